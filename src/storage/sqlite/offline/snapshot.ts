/**
 * One instant of a database, for as long as somebody needs to look at it, while a server may go on writing to
 * the file: nobody waits for anybody. Only the write-ahead log cannot be folded into the file meanwhile.
 */
import type Database from 'better-sqlite3';
import { realpathSync } from 'node:fs';
import { toDatabaseFileError, assertReadableDatabase } from '../file/inspect-file.ts';
import { openReadConnection } from '../read/reader.ts';

/**
 * Takes no lock, makes no database, migrates nothing.
 * @throws StorageError when there is no database of Porchlight to read.
 */
export const openSnapshot = (path: string): Database.Database => {
  assertReadableDatabase(path);
  let connection: Database.Database | undefined;
  try {
    connection = openReadConnection(realpathSync(path));
    connection.exec('BEGIN');
    // The instant is that of the first look.
    connection.prepare('SELECT count(*) FROM sqlite_schema').get();
    return connection;
  } catch (error) {
    connection?.close();
    throw toDatabaseFileError(path, error);
  }
};
