/** The thread that owns the writing connection, so that the event loop never waits for the disk. */
import { parentPort, workerData } from 'node:worker_threads';
import { statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { createBatchWriter } from './batch-writer.ts';
import { errorMessage, FileReplacedError, isFatalDatabaseError } from '../file/errors.ts';
import type { WriterRequest, WriterReply, WriterWorkerData } from './writer-messages.ts';
import { createRetentionPurger } from './retention.ts';

const port = parentPort;
if (port === null) throw new Error('This file must be run as a worker thread of the store.');

const sendReply = (message: WriterReply): void => port.postMessage(message);

/** Identifies a file among all files that exist at the same time. Null: there is no file. */
const readFileIdentity = (path: string): string | null => {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev} ${stats.ino}`;
};

/**
 * SQLite does not notice when its file is removed, or replaced by renaming another file over it. It continues to write
 * to the old file, whose content is lost when the process ends. Call this after the first read, when the write-ahead
 * log exists too.
 * @returns a check that takes some microseconds and throws FileReplacedError.
 */
const createReplacementCheck = (path: string): (() => void) => {
  const openFiles = [path, `${path}-wal`].map((name) => ({ name, identity: readFileIdentity(name) }));
  return () => {
    for (const { name, identity } of openFiles)
      if (readFileIdentity(name) !== identity) throw new FileReplacedError(name);
  };
};

const { path } = workerData as WriterWorkerData;
const connection = new Database(path, { fileMustExist: true, timeout: 5_000 });
// FULL: a commit is on disk before it is acknowledged.
connection.pragma('synchronous = FULL');
// Truncates the write-ahead log after a burst.
connection.pragma('journal_size_limit = 67108864');
const writeBatch = createBatchWriter(connection);
const purgePortion = createRetentionPurger(connection);
const assertNotReplaced = createReplacementCheck(path);

let hasFailed = false;

const handleRequest = (request: WriterRequest): WriterReply => {
  switch (request.kind) {
    case 'commit':
      writeBatch(request.batch);
      // Checked before the commit is acknowledged.
      assertNotReplaced();
      return { kind: 'done', purgeResult: null };
    case 'purge':
      return { kind: 'done', purgeResult: purgePortion(request.purge) };
    case 'check':
      assertNotReplaced();
      return { kind: 'done', purgeResult: null };
    case 'close':
      // If the file was replaced, a checkpoint would damage the log of the new file.
      assertNotReplaced();
      // Another reader can block the checkpoint. The next start can do it; the shutdown does not wait longer than
      // this.
      connection.pragma('busy_timeout = 1000');
      connection.pragma('wal_checkpoint(TRUNCATE)');
      connection.close();
      return { kind: 'closed' };
  }
};

port.on('message', (request: WriterRequest) => {
  try {
    // Requests sent before the main thread knew of the failure must not be written after it.
    if (hasFailed) throw new Error('An earlier commit failed permanently');
    sendReply(handleRequest(request));
  } catch (error) {
    const code = error instanceof Database.SqliteError ? ` (${error.code})` : '';
    hasFailed ||= isFatalDatabaseError(error);
    sendReply({ kind: 'failed', message: `${errorMessage(error)}${code}`, fatal: hasFailed });
  }
  if (request.kind === 'close') port.close();
});

sendReply({ kind: 'ready' });
