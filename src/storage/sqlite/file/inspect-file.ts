/**
 * Looks at a file before anything is written to it: is it a database, ours, whole, and not from the
 * future? Nothing here changes a byte of it.
 */
import Database from 'better-sqlite3';
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { diskFault, messageOf, StorageError } from './errors.ts';
import { schemaOf } from '../schema/migrations.ts';

/** "PLSQ": what the header of every database of Porchlight says, so that no other one is taken for it. */
export const APPLICATION_ID = 0x504c_5351;

const HEADER_BYTES = 100;
const MAGIC = Buffer.from('SQLite format 3\0');
const APPLICATION_ID_OFFSET = 68;

/** What there is: nothing (no file, or an empty one), or a database with or without migrations to be applied. */
export type Found = 'NOTHING' | 'OLDER' | 'CURRENT';

/**
 * Looks at a file without reading all of it.
 * @throws StorageError: UNWRITABLE, CORRUPT, FOREIGN, NEWER_SCHEMA, LOCKED or DISK.
 */
export const inspectFile = (path: string): Found => {
  if (!isOurs(path, constants.R_OK | constants.W_OK)) return 'NOTHING';
  const schema = looking(path, schemaOf);
  if (schema !== 'NEWER') return schema;
  throw new StorageError(
    'NEWER_SCHEMA',
    `${path} was made by a newer version of Porchlight.\nStart that version, or name another database.`,
  );
};

/** @throws StorageError: UNWRITABLE (also where there is nothing), CORRUPT or FOREIGN. */
export const inspectForReading = (path: string): void => {
  if (!isOurs(path, constants.R_OK)) {
    throw new StorageError('UNWRITABLE', `${path} does not exist, or is empty: there is no database to read.`);
  }
};

/** Does the header say that it is a database of Porchlight? False: there is none. */
const isOurs = (path: string, access: number): boolean => {
  const header = readHeader(path, access);
  if (header === null) return false;
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new StorageError(
      'CORRUPT',
      `${path} is not a database.\nName another file, or move this one away to start with an empty database.`,
    );
  }
  // The header says it even while changes wait in a write-ahead log: it is written before there is one.
  if (header.readUInt32BE(APPLICATION_ID_OFFSET) !== APPLICATION_ID) {
    throw new StorageError('FOREIGN', `${path} is a database of another program.\nName another file.`);
  }
  return true;
};

/** Reads all of a database. @throws StorageError: CORRUPT when it is not whole. */
export const checkPages = (path: string): void => {
  const found = looking(path, (connection) => {
    const said = String(connection.pragma('quick_check(1)', { simple: true }));
    return said === 'ok' ? null : placed(said, connection);
  });
  if (found !== null) throw damaged(path, found);
};

/** What SQLite says of a damage, on one line, and which table or index it is in: it names them by their root page. */
const placed = (said: string, connection: Database.Database): string => {
  const words = said
    .replace(/\*+ in database main \*+/, '')
    .trim()
    .replaceAll(/\s+/g, ' ');
  const rootPage = /\btree (\d+)/i.exec(words)?.[1];
  if (rootPage === undefined) return words;
  const owner = connection
    .prepare<[number], [string, string, string]>('SELECT type, name, tbl_name FROM sqlite_schema WHERE rootpage = ?')
    .raw()
    .get(Number(rootPage));
  if (owner === undefined) return words;
  const [type, name, table] = owner;
  return `the ${type} ${name}${type === 'table' ? '' : ` of the table ${table}`} (${words})`;
};

const looking = <Result>(path: string, look: (connection: Database.Database) => Result): Result => {
  let connection: Database.Database | undefined;
  try {
    connection = new Database(path, { readonly: true, fileMustExist: true, timeout: 2_000 });
    return look(connection);
  } catch (error) {
    throw fileError(path, error);
  } finally {
    connection?.close();
  }
};

const readHeader = (path: string, access: number): Buffer | null => {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return null;
    if (!stats.isFile()) throw new Error('it is no regular file');
    accessSync(path, access);
    if (stats.size === 0) return null;
    const file = openSync(path, 'r');
    try {
      const header = Buffer.alloc(HEADER_BYTES);
      readSync(file, header, 0, HEADER_BYTES, 0);
      return header;
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new StorageError('UNWRITABLE', `${path} cannot be used: ${messageOf(error)}.`, { cause: error });
  }
};

const damaged = (path: string, what: string, options?: ErrorOptions): StorageError =>
  new StorageError('CORRUPT', `${path} is damaged: ${what}.\nRestore it from a backup; it was left as it is.`, options);

/** Says what an error of SQLite means for whoever wanted to open the file. Other errors are what they are. */
export const fileError = (path: string, error: unknown): unknown => {
  if (!(error instanceof Database.SqliteError)) return error;
  const { code } = error;
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new StorageError(
      'LOCKED',
      `${path} is locked: another process is writing to it.\nEnd that process first, or name another database.`,
      { cause: error },
    );
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return damaged(path, error.message, { cause: error });
  const fault = diskFault(path, error);
  if (fault !== null) return fault;
  return new StorageError('UNWRITABLE', `${path} cannot be opened or written: ${error.message}.`, { cause: error });
};
