/** A file that is there whole or not at all: written beside its place, put on the disk, then given its name. */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { StartupError } from '../process/startup-error.ts';

/**
 * Runs `write` with the path of an empty file, `<path>.partial`, that its owner alone may read.
 * @param force overwrite what is there, and what an interrupted one has left.
 * @throws StartupError when something is there already or the file cannot be made; what `write` throws. Nothing
 * is left then, and what was there before is as it was.
 */
export const writeAtomically = async <Result>(
  path: string,
  force: boolean,
  write: (partial: string) => Promise<Result>,
): Promise<Result> => {
  const whole = resolve(path);
  const partial = `${whole}.partial`;
  if (!force && existsSync(whole)) {
    throw new StartupError(`${path} exists already.\nName another file, or overwrite it with --force.`, 1);
  }
  if (force) removeAll(partial);
  makeEmpty(partial);
  try {
    const result = await write(partial);
    onDisk(partial);
    renameSync(partial, whole);
    onDisk(dirname(whole));
    return result;
  } catch (error) {
    removeAll(partial);
    throw error;
  }
};

const makeEmpty = (partial: string): void => {
  try {
    closeSync(openSync(partial, 'wx', 0o600));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new StartupError(
      code === 'EEXIST'
        ? `${partial} exists already: it is being written by another process, or was left by one that was killed.\nWait for it, or remove it, or overwrite it with --force.`
        : `${partial} cannot be made: ${message}.`,
      1,
      { cause: error },
    );
  }
};

/** What SQLite makes beside a database goes with it. */
const removeAll = (partial: string): void => {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${partial}${suffix}`, { force: true });
};

const onDisk = (path: string): void => {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
};
