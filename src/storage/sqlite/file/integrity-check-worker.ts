/** The thread that checks a large file at startup and then ends. */
import { parentPort, workerData } from 'node:worker_threads';
import type { IntegrityCheckReply } from './integrity-check.ts';
import { errorMessage, DatabaseFileError } from './errors.ts';
import { assertUndamaged } from './inspect-file.ts';

const port = parentPort;
if (port === null) throw new Error('This file must be run as a worker thread of the store.');

const runIntegrityCheck = (path: string): IntegrityCheckReply => {
  try {
    assertUndamaged(path);
    return null;
  } catch (error) {
    return { kind: error instanceof DatabaseFileError ? error.kind : null, message: errorMessage(error) };
  }
};

port.postMessage(runIntegrityCheck(workerData as string));
