/**
 * Copies a database that a server may be writing to. The pages are copied in steps within one read transaction.
 * Without the transaction, SQLite restarts the copy after each commit of another process and never finishes beside a
 * busy server.
 */
import Database from 'better-sqlite3';
import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { toDatabaseFileError } from '../file/inspect-file.ts';
import { countRows, type RowCounts } from './row-counts.ts';
import { openSnapshot } from './snapshot.ts';

/** 4 MiB: fast, and short enough to handle a signal between steps. */
const PAGES_PER_STEP = 1_024;
/** 16 MiB: written pages are synced regularly, so that the commits of a server never wait behind the whole copy. */
const STEPS_PER_SYNC = 4;

/**
 * @param target an empty file. It becomes a single-file database without a write-ahead log.
 * @param onProgress called between steps with the progress from 0 to 1. An error that it throws ends the copy.
 * @throws DatabaseFileError about `source`; the original error about `target`.
 */
export const copyDatabase = async (
  source: string,
  target: string,
  onProgress: (progress: number) => void,
): Promise<RowCounts> => {
  const snapshot = openSnapshot(source);
  const descriptor = openSync(target, 'r+');
  let portions = 0;
  try {
    await snapshot.backup(target, {
      progress: ({ totalPages, remainingPages }) => {
        onProgress(totalPages === 0 ? 0 : 1 - remainingPages / totalPages);
        if (++portions % STEPS_PER_SYNC === 0) fdatasyncSync(descriptor);
        return PAGES_PER_STEP;
      },
    });
  } catch (error) {
    throw isSourceError(error) ? toDatabaseFileError(source, error) : error;
  } finally {
    // Not earlier: closing a file releases all locks that this process has on it.
    closeSync(descriptor);
    snapshot.close();
  }
  const copy = new Database(target, { fileMustExist: true });
  try {
    copy.pragma('journal_mode = DELETE');
    return countRows(copy);
  } finally {
    copy.close();
  }
};

const isSourceError = (error: unknown): boolean =>
  error instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB|BUSY|LOCKED|IOERR_READ)/.test(error.code);
