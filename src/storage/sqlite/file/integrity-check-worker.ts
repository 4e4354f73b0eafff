/** The thread that checks a large file at the start, and is gone afterwards. */
import { parentPort, workerData } from 'node:worker_threads';
import type { CheckReply } from './integrity-check.ts';
import { messageOf, StorageError } from './errors.ts';
import { checkPages } from './inspect-file.ts';

const port = parentPort;
if (port === null) throw new Error('This file is a thread of the store: it is not run by itself.');

const checked = (path: string): CheckReply => {
  try {
    checkPages(path);
    return null;
  } catch (error) {
    return { kind: error instanceof StorageError ? error.kind : null, message: messageOf(error) };
  }
};

port.postMessage(checked(workerData as string));
