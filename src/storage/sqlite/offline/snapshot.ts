/**
 * Opens one consistent state of a database. A server can write to the file meanwhile without waiting. Only the
 * write-ahead log cannot be checkpointed completely while the snapshot is open.
 */
import type Database from 'better-sqlite3';
import { realpathSync } from 'node:fs';
import { toDatabaseFileError, assertReadableDatabase } from '../file/inspect-file.ts';
import { openReadConnection } from '../read/reader.ts';

/**
 * Takes no lock, creates no database and runs no migration.
 * @throws DatabaseFileError if there is no readable Porchlight database.
 */
export const openSnapshot = (path: string): Database.Database => {
  assertReadableDatabase(path);
  let connection: Database.Database | undefined;
  try {
    connection = openReadConnection(realpathSync(path));
    connection.exec('BEGIN');
    // The first query of the transaction fixes the state.
    connection.prepare('SELECT count(*) FROM sqlite_schema').get();
    return connection;
  } catch (error) {
    connection?.close();
    throw toDatabaseFileError(path, error);
  }
};
