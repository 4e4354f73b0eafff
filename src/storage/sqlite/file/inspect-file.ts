/**
 * Looks at a file before anything is written to it: is it a database, ours, whole, and not from the
 * future? Nothing here changes a byte of it.
 */
import Database from 'better-sqlite3';
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { toDiskError, errorMessage, DatabaseFileError } from './errors.ts';
import { readSchemaState } from '../schema/migrations.ts';

/** "PLSQ": what the header of every database of Porchlight says, so that no other one is taken for it. */
export const APPLICATION_ID = 0x504c_5351;

const HEADER_BYTES = 100;
const MAGIC = Buffer.from('SQLite format 3\0');
const APPLICATION_ID_OFFSET = 68;

/** What there is: nothing (no file, or an empty one), or a database with or without migrations to be applied. */
export type FileState = 'NOTHING' | 'OLDER' | 'CURRENT';

/**
 * Looks at a file without reading all of it.
 * @throws StorageError: UNWRITABLE, CORRUPT, FOREIGN, NEWER_SCHEMA, LOCKED or DISK.
 */
export const inspectFile = (path: string): FileState => {
  if (!hasPorchlightHeader(path, constants.R_OK | constants.W_OK)) return 'NOTHING';
  const schema = withReadOnly(path, readSchemaState);
  if (schema !== 'NEWER') return schema;
  throw new DatabaseFileError(
    'NEWER_SCHEMA',
    `${path} was made by a newer version of Porchlight.\nStart that version, or name another database.`,
  );
};

/** @throws StorageError: UNWRITABLE (also where there is nothing), CORRUPT or FOREIGN. */
export const assertReadableDatabase = (path: string): void => {
  if (!hasPorchlightHeader(path, constants.R_OK)) {
    throw new DatabaseFileError('UNWRITABLE', `${path} does not exist, or is empty: there is no database to read.`);
  }
};

/** Does the header say that it is a database of Porchlight? False: there is none. */
const hasPorchlightHeader = (path: string, access: number): boolean => {
  const header = readHeader(path, access);
  if (header === null) return false;
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new DatabaseFileError(
      'CORRUPT',
      `${path} is not a database.\nName another file, or move this one away to start with an empty database.`,
    );
  }
  // The header says it even while changes wait in a write-ahead log: it is written before there is one.
  if (header.readUInt32BE(APPLICATION_ID_OFFSET) !== APPLICATION_ID) {
    throw new DatabaseFileError('FOREIGN', `${path} is a database of another program.\nName another file.`);
  }
  return true;
};

/** Reads all of a database. @throws StorageError: CORRUPT when it is not whole. */
export const assertUndamaged = (path: string): void => {
  const damage = withReadOnly(path, (connection) => {
    const result = String(connection.pragma('quick_check(1)', { simple: true }));
    return result === 'ok' ? null : describeDamage(result, connection);
  });
  if (damage !== null) throw corruptFileError(path, damage);
};

/** What SQLite says of a damage, on one line, and which table or index it is in: it names them by their root page. */
const describeDamage = (message: string, connection: Database.Database): string => {
  const words = message
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

const withReadOnly = <Result>(path: string, look: (connection: Database.Database) => Result): Result => {
  let connection: Database.Database | undefined;
  try {
    connection = new Database(path, { readonly: true, fileMustExist: true, timeout: 2_000 });
    return look(connection);
  } catch (error) {
    throw toDatabaseFileError(path, error);
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
    throw new DatabaseFileError('UNWRITABLE', `${path} cannot be used: ${errorMessage(error)}.`, { cause: error });
  }
};

const corruptFileError = (path: string, what: string, options?: ErrorOptions): DatabaseFileError =>
  new DatabaseFileError(
    'CORRUPT',
    `${path} is damaged: ${what}.\nRestore it from a backup; it was left as it is.`,
    options,
  );

/** Says what an error of SQLite means for whoever wanted to open the file. Other errors are what they are. */
export const toDatabaseFileError = (path: string, error: unknown): unknown => {
  if (!(error instanceof Database.SqliteError)) return error;
  const { code } = error;
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new DatabaseFileError(
      'LOCKED',
      `${path} is locked: another process is writing to it.\nEnd that process first, or name another database.`,
      { cause: error },
    );
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return corruptFileError(path, error.message, { cause: error });
  const fault = toDiskError(path, error);
  if (fault !== null) return fault;
  return new DatabaseFileError('UNWRITABLE', `${path} cannot be opened or written: ${error.message}.`, {
    cause: error,
  });
};
