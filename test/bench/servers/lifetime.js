// What must be gone when the bench is: processes, and directories on the disk.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clearTimeout } from 'node:timers';

const STOP_WITHIN_MS = 15_000;

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
/** @type {Set<string>} */
const directories = new Set();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT', 'SIGHUP'])) process.on(signal, () => process.exit(1));

/**
 * Does not let a process outlive the bench. `exited` resolves when it is gone; `stop` ends it, by force if it takes
 * too long.
 * @param {import('node:child_process').ChildProcess} child
 */
export function bound(child) {
  running.add(child);
  const exited = new Promise((resolve) => child.once('close', resolve)).then(() => void running.delete(child));
  const stop = async (/** @type {'SIGTERM' | 'SIGKILL'} */ signal) => {
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
    child.kill(signal);
    await exited;
    clearTimeout(late);
  };
  return { exited, stop };
}

/** A directory that is gone when the bench is. */
export function temporary() {
  return keep(mkdtempSync(join(tmpdir(), 'porchlight-bench-')));
}

/**
 * Makes a directory one that is gone when the bench is.
 * @param {string} directory
 */
export function keep(directory) {
  directories.add(directory);
  return directory;
}

/** @param {string} directory */
export function remove(directory) {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  directories.delete(directory);
}
