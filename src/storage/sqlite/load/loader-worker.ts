/** The thread that reads the sessions of a large file at the start, and is gone afterwards. */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { messageOf } from '../file/errors.ts';
import { liveSessionChunks, THREAD_CHUNK_BYTES, type LoaderData, type LoaderReply } from './load.ts';
import { Reader } from '../read/reader.ts';

const port = parentPort;
if (port === null) throw new Error('This file is a thread of the store: it is not run by itself.');

const { path, now } = workerData as LoaderData;

const read = (): void => {
  const reader = new Reader(path);
  try {
    for (const chunk of liveSessionChunks(reader, now, THREAD_CHUNK_BYTES)) {
      port.postMessage({ kind: 'chunk', chunk } satisfies LoaderReply, [chunk.bytes.buffer]);
    }
  } finally {
    reader.close();
  }
};

try {
  read();
  port.postMessage({ kind: 'done' } satisfies LoaderReply);
} catch (error) {
  const code = error instanceof Database.SqliteError ? error.code : null;
  port.postMessage({ kind: 'failed', message: messageOf(error), code } satisfies LoaderReply);
}
