/** The thread that checks a large file at the start, and is gone afterwards. */
import { parentPort, workerData } from 'node:worker_threads';
import type { IntegrityCheckReply } from './integrity-check.ts';
import { errorMessage, DatabaseFileError } from './errors.ts';
import { assertUndamaged } from './inspect-file.ts';

const port = parentPort;
if (port === null) throw new Error('This file is a thread of the store: it is not run by itself.');

const runIntegrityCheck = (path: string): IntegrityCheckReply => {
  try {
    assertUndamaged(path);
    return null;
  } catch (error) {
    return { kind: error instanceof DatabaseFileError ? error.kind : null, message: errorMessage(error) };
  }
};

port.postMessage(runIntegrityCheck(workerData as string));
