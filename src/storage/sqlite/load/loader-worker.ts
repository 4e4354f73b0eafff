/** The thread that reads the sessions of a large file at startup and then ends. */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { errorMessage } from '../file/errors.ts';
import { readLiveSessionChunks, THREAD_CHUNK_BYTES, type LoaderInput, type LoaderReply } from './load.ts';
import { DatabaseReader } from '../read/reader.ts';

const port = parentPort;
if (port === null) throw new Error('This file must be run as a worker thread of the store.');

const { path, now } = workerData as LoaderInput;

const sendSessionChunks = (): void => {
  const reader = new DatabaseReader(path);
  try {
    for (const chunk of readLiveSessionChunks(reader, now, THREAD_CHUNK_BYTES)) {
      port.postMessage({ kind: 'chunk', chunk } satisfies LoaderReply, [chunk.bytes.buffer]);
    }
  } finally {
    reader.close();
  }
};

try {
  sendSessionChunks();
  port.postMessage({ kind: 'done' } satisfies LoaderReply);
} catch (error) {
  const code = error instanceof Database.SqliteError ? error.code : null;
  port.postMessage({ kind: 'failed', message: errorMessage(error), code } satisfies LoaderReply);
}
