/**
 * Ensures one server per file with an exclusive lock on `<path>.lock`, an empty file beside the database. The lock is
 * held while the store is open. The operating system releases it when the process is killed. The lock file remains
 * and has no meaning by itself.
 */
import Database from 'better-sqlite3';
import { closeSync, openSync, rmSync } from 'node:fs';
import { toDiskError, errorMessage, DatabaseFileError } from './errors.ts';

export interface FileLock {
  /**
   * Releases the lock.
   * @param removeLockFile removes the lock file too, if this lock created it.
   */
  release(removeLockFile?: boolean): void;
}

/**
 * @throws DatabaseFileError: LOCKED if another process holds the lock, UNWRITABLE or DISK if the lock file cannot be
 * created.
 */
export const acquireFileLock = (path: string): FileLock => {
  const lockPath = `${path}.lock`;
  let isCreated = false;
  let connection: Database.Database | undefined;
  try {
    isCreated = createEmptyFile(lockPath);
    connection = new Database(lockPath, { timeout: 0 });
    // Avoids a journal file; nothing is ever written.
    connection.pragma('journal_mode = MEMORY');
    // SQLite locks the file without writing to it, on every operating system.
    connection.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    connection?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new DatabaseFileError(
        'LOCKED',
        `${path} is served by another Porchlight server.\nStop that server first, or choose another database.`,
        {
          cause: error,
        },
      );
    }
    const fault = toDiskError(lockPath, error);
    if (fault !== null) throw fault;
    throw new DatabaseFileError('UNWRITABLE', `${lockPath} cannot be created: ${errorMessage(error)}.`, {
      cause: error,
    });
  }
  const openConnection = connection;
  return {
    release(removeLockFile = false) {
      // Removes the file while it is locked, so that a process that waits for it cannot lock a removed file.
      if (removeLockFile && isCreated) rmSync(lockPath, { force: true });
      openConnection.close();
    },
  };
};

/**
 * Creates an empty file that only its owner can read.
 * @returns false if the file exists already.
 */
export const createEmptyFile = (path: string): boolean => {
  try {
    closeSync(openSync(path, 'wx', 0o600));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
};
