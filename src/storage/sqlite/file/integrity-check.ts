/** Checks a file in its own thread, because SQLite does it in one call: seconds for a large file. */
import { on } from 'node:events';
import { Worker } from 'node:worker_threads';
import { resolveWorkerUrl } from '../../../process/worker-url.ts';
import { DatabaseFileError, type DatabaseFileErrorKind } from './errors.ts';

/** Null: the file is undamaged. `kind` is null if the error is not a DatabaseFileError. */
export type IntegrityCheckReply = { readonly kind: DatabaseFileErrorKind | null; readonly message: string } | null;

const WORKER_URL = resolveWorkerUrl(import.meta.url, './integrity-check-worker.js');

/** @throws the errors of `assertUndamaged`, without a cause. */
export const assertUndamagedInThread = async (path: string): Promise<void> => {
  const thread = new Worker(WORKER_URL, { workerData: path });
  for await (const [reply] of on(thread, 'message', { close: ['exit'] }) as AsyncIterable<[IntegrityCheckReply]>) {
    if (reply === null) return;
    throw reply.kind === null ? new Error(reply.message) : new DatabaseFileError(reply.kind, reply.message);
  }
  throw new Error('The thread that checks the file ended unexpectedly.');
};
