/**
 * One server per file: an exclusive lock on `<path>.lock`, an empty file beside the database, held as
 * long as the store is open. It is the operating system's, so a killed process leaves none behind;
 * the file itself stays and means nothing.
 */
import Database from 'better-sqlite3';
import { closeSync, openSync, rmSync } from 'node:fs';
import { toDiskError, errorMessage, DatabaseFileError } from './errors.ts';

export interface FileLock {
  /** Lets others in. With `traceless`, takes the lock file away too if this lock made it. */
  release(removeLockFile?: boolean): void;
}

/** @throws LOCKED when another process has it, UNWRITABLE or DISK when the lock file cannot be made. */
export const acquireFileLock = (path: string): FileLock => {
  const lockPath = `${path}.lock`;
  let isCreated = false;
  let connection: Database.Database | undefined;
  try {
    isCreated = createEmptyFile(lockPath);
    connection = new Database(lockPath, { timeout: 0 });
    // No journal beside it: nothing is ever written.
    connection.pragma('journal_mode = MEMORY');
    // SQLite locks the file without writing to it, and knows how on every system.
    connection.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    connection?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new DatabaseFileError(
        'LOCKED',
        `${path} is served by another Porchlight.\nStop that one first, or name another database.`,
        {
          cause: error,
        },
      );
    }
    const fault = toDiskError(lockPath, error);
    if (fault !== null) throw fault;
    throw new DatabaseFileError('UNWRITABLE', `${lockPath} cannot be made: ${errorMessage(error)}.`, { cause: error });
  }
  const openConnection = connection;
  return {
    release(removeLockFile = false) {
      // While it is still locked: nobody who waited for it may find it gone.
      if (removeLockFile && isCreated) rmSync(lockPath, { force: true });
      openConnection.close();
    },
  };
};

/** Makes an empty file that only its owner may read. @returns false when there is one already. */
export const createEmptyFile = (path: string): boolean => {
  try {
    closeSync(openSync(path, 'wx', 0o600));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
};
