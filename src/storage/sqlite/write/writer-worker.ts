/** The thread that owns the writing connection, so that the event loop never waits for the disk. */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { createBatchWriter } from './batch-writer.ts';
import { isFatalDatabaseError, errorMessage } from '../file/errors.ts';
import { createReplacementCheck } from '../file/file-identity.ts';
import type { WriterRequest, WriterReply, WriterInput } from './writer-messages.ts';
import { createPurger } from './retention.ts';

const port = parentPort;
if (port === null) throw new Error('This file is the writer thread of the store: it is not run by itself.');

const reply = (message: WriterReply): void => port.postMessage(message);

const { path } = workerData as WriterInput;
const connection = new Database(path, { fileMustExist: true, timeout: 5_000 });
// FULL: a commit is on the disk before it is acknowledged.
connection.pragma('synchronous = FULL');
// A burst must not leave a huge file behind.
connection.pragma('journal_size_limit = 67108864');
const write = createBatchWriter(connection);
const purge = createPurger(connection);
const checkFiles = createReplacementCheck(path);

let hasFailed = false;

const handleRequest = (order: WriterRequest): WriterReply => {
  switch (order.kind) {
    case 'commit':
      write(order.batch);
      // Before it is acknowledged.
      checkFiles();
      return { kind: 'done', purged: null };
    case 'purge':
      return { kind: 'done', purged: purge(order.purge) };
    case 'check':
      checkFiles();
      return { kind: 'done', purged: null };
    case 'close':
      // Folding the log into a file that is not ours any more would take away somebody else's log.
      checkFiles();
      // Whoever else reads the file keeps the log from being folded: that can wait for the next start, this end cannot.
      connection.pragma('busy_timeout = 1000');
      connection.pragma('wal_checkpoint(TRUNCATE)');
      connection.close();
      return { kind: 'closed' };
  }
};

port.on('message', (order: WriterRequest) => {
  try {
    // What was sent before the failure was heard of must not be written after it.
    if (hasFailed) throw new Error('A commit before it has failed for good');
    reply(handleRequest(order));
  } catch (error) {
    const code = error instanceof Database.SqliteError ? ` (${error.code})` : '';
    hasFailed ||= isFatalDatabaseError(error);
    reply({ kind: 'failed', message: `${errorMessage(error)}${code}`, fatal: hasFailed });
  }
  if (order.kind === 'close') port.close();
});

reply({ kind: 'ready' });
