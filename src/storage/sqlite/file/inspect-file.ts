/**
 * Checks a file before anything is written to it: whether it is a database, made by Porchlight, undamaged, and not of
 * a newer version. Nothing here changes the file.
 */
import Database from 'better-sqlite3';
import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { toDiskError, errorMessage, DatabaseFileError } from './errors.ts';
import { readSchemaState } from '../schema/migrations.ts';

/**
 * "PLSQ": the application id in the header of every Porchlight database. It distinguishes them from databases of
 * other programs.
 */
export const APPLICATION_ID = 0x504c_5351;

const HEADER_BYTES = 100;
const MAGIC = Buffer.from('SQLite format 3\0');
const APPLICATION_ID_OFFSET = 68;

/** NOTHING: no file, or an empty one. OLDER: migrations are pending. CURRENT: the schema is up to date. */
export type FileState = 'NOTHING' | 'OLDER' | 'CURRENT';

/**
 * Checks a file without reading all of it.
 * @throws DatabaseFileError: UNWRITABLE, CORRUPT, FOREIGN, NEWER_SCHEMA, LOCKED or DISK.
 */
export const inspectFile = (path: string): FileState => {
  if (!hasPorchlightHeader(path, constants.R_OK | constants.W_OK)) return 'NOTHING';
  const schema = withReadOnly(path, readSchemaState);
  if (schema !== 'NEWER') return schema;
  throw new DatabaseFileError(
    'NEWER_SCHEMA',
    `${path} was created by a newer version of Porchlight.\nStart that version, or choose another database.`,
  );
};

/** @throws DatabaseFileError: UNWRITABLE (also if there is no database), CORRUPT or FOREIGN. */
export const assertReadableDatabase = (path: string): void => {
  if (!hasPorchlightHeader(path, constants.R_OK)) {
    throw new DatabaseFileError('UNWRITABLE', `${path} does not exist or is empty. There is no database to read.`);
  }
};

/**
 * Returns true if the header belongs to a Porchlight database, false if the file is missing or empty.
 * @throws DatabaseFileError for any other file.
 */
const hasPorchlightHeader = (path: string, access: number): boolean => {
  const header = readHeader(path, access);
  if (header === null) return false;
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new DatabaseFileError(
      'CORRUPT',
      `${path} is not a database.\nChoose another file, or move this one away to start with an empty database.`,
    );
  }
  // The header has the id even while changes are only in the write-ahead log: it is written before the log exists.
  if (header.readUInt32BE(APPLICATION_ID_OFFSET) !== APPLICATION_ID) {
    throw new DatabaseFileError('FOREIGN', `${path} is a database of another program.\nChoose another file.`);
  }
  return true;
};

/**
 * Reads the whole database.
 * @throws DatabaseFileError: CORRUPT if it is damaged.
 */
export const assertUndamaged = (path: string): void => {
  const damage = withReadOnly(path, (connection) => {
    const result = String(connection.pragma('quick_check(1)', { simple: true }));
    return result === 'ok' ? null : describeDamage(result, connection);
  });
  if (damage !== null) throw corruptFileError(path, damage);
};

/**
 * Puts a message of SQLite's integrity check on one line, and names the damaged table or index. SQLite itself names
 * only its root page.
 */
export const describeDamage = (message: string, connection: Database.Database): string => {
  const text = message
    .replace(/\*+ in database main \*+/, '')
    .trim()
    .replaceAll(/\s+/g, ' ');
  const rootPage = /\btree (\d+)/i.exec(text)?.[1];
  if (rootPage === undefined) return text;
  const owner = connection
    .prepare<[number], [string, string, string]>('SELECT type, name, tbl_name FROM sqlite_schema WHERE rootpage = ?')
    .raw()
    .get(Number(rootPage));
  if (owner === undefined) return text;
  const [type, name, table] = owner;
  return `the ${type} ${name}${type === 'table' ? '' : ` of the table ${table}`} (${text})`;
};

const withReadOnly = <Result>(path: string, read: (connection: Database.Database) => Result): Result => {
  let connection: Database.Database | undefined;
  try {
    connection = new Database(path, { readonly: true, fileMustExist: true, timeout: 2_000 });
    return read(connection);
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
    if (!stats.isFile()) throw new Error('it is not a regular file');
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

const corruptFileError = (path: string, damage: string, options?: ErrorOptions): DatabaseFileError =>
  new DatabaseFileError(
    'CORRUPT',
    `${path} is damaged: ${damage}.\nRestore it from a backup. The file was not changed.`,
    options,
  );

/** Converts an error of SQLite to a DatabaseFileError. Returns other errors unchanged. */
export const toDatabaseFileError = (path: string, error: unknown): unknown => {
  if (!(error instanceof Database.SqliteError)) return error;
  const { code } = error;
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new DatabaseFileError(
      'LOCKED',
      `${path} is locked: another process is writing to it.\nStop that process first, or choose another database.`,
      { cause: error },
    );
  }
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return corruptFileError(path, error.message, { cause: error });
  const diskError = toDiskError(path, error);
  if (diskError !== null) return diskError;
  return new DatabaseFileError('UNWRITABLE', `${path} cannot be opened or written: ${error.message}.`, {
    cause: error,
  });
};
