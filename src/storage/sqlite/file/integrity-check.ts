/** Checks a file in a thread of its own, for SQLite does it in one go: of a large file that is seconds. */
import { on } from 'node:events';
import { Worker } from 'node:worker_threads';
import { resolveWorkerUrl } from '../../../process/worker-url.ts';
import { DatabaseFileError, type DatabaseFileErrorKind } from './errors.ts';

/** Null: it is whole. `kind` is null when what went wrong is no StorageError. */
export type IntegrityCheckReply = { readonly kind: DatabaseFileErrorKind | null; readonly message: string } | null;

const WORKER_URL = resolveWorkerUrl(import.meta.url, './integrity-check-worker.js');

/** @throws as `checkPages`, without a cause. */
export const assertUndamagedInThread = async (path: string): Promise<void> => {
  const thread = new Worker(WORKER_URL, { workerData: path });
  for await (const [reply] of on(thread, 'message', { close: ['exit'] }) as AsyncIterable<[IntegrityCheckReply]>) {
    if (reply === null) return;
    throw reply.kind === null ? new Error(reply.message) : new DatabaseFileError(reply.kind, reply.message);
  }
  throw new Error('The thread that checks the file ended by itself.');
};
