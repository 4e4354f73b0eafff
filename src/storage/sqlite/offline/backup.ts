/**
 * A copy of a database that a server may be writing to. The pages are copied as they are, in portions, within one
 * read transaction: without that, SQLite begins anew whenever another process has committed in between, and never
 * gets to the end beside a busy server.
 */
import Database from 'better-sqlite3';
import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { toDatabaseFileError } from '../file/inspect-file.ts';
import { countRows, type RowCounts } from './row-counts.ts';
import { openSnapshot } from './snapshot.ts';

/** 4 MiB: long enough to be quick, short enough to be told of a signal in between. */
const PAGES_PER_STEP = 1_024;
/** 16 MiB: what is written goes to the disk as it comes, so that a server's commits never wait behind all of it. */
const STEPS_PER_SYNC = 4;

/**
 * @param target an empty file, which becomes a database of one file, without a write-ahead log.
 * @param onProgress told how much is done, from 0 to 1, between portions. What it throws ends the copying.
 * @throws StorageError about `source`; what the system said about `target` otherwise.
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
    // Not before: closing a file takes away the locks that this process has on it.
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
