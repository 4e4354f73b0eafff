/** Files that appear complete or not at all: written under another name, synced to the disk, then named. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { StartupError } from './startup-error.ts';

/**
 * Creates the directory and its missing parents with the mode 0700. An existing directory is left as it is.
 * @throws the error of mkdir.
 */
export const createDirectory = (directory: string): void => {
  // Not with `recursive`: in a file system that answers ENOENT to every mkdir, such as /proc, Node 20 never returns.
  if (isDirectory(directory)) return;
  const parent = dirname(resolve(directory));
  if (parent !== resolve(directory)) createDirectory(parent);
  try {
    mkdirSync(directory, { mode: 0o700 });
  } catch (error) {
    // Another process created it in the meantime.
    if (!isDirectory(directory)) throw error;
  }
};

const isDirectory = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/**
 * Creates a file that only its owner can read. An existing file is never overwritten: of two processes that do this at
 * the same time, one wins, and both return without an error.
 */
export const createFileOnce = (path: string, text: string): void => {
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600 });
    syncToDisk(draft);
    // Unlike rename, link never replaces an existing file.
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  syncToDisk(dirname(path));
};

/**
 * Calls `write` with the path of an empty file, `<path>.partial`, that only its owner can read. Afterwards the file is
 * renamed to `path`. After an error, the partial file is removed and `path` is unchanged.
 * @param overwrite replace an existing file, and a partial file of an interrupted command.
 * @throws StartupError when a file exists or the partial file cannot be created. Errors of `write` are passed on.
 */
export const writeAtomically = async <Result>(
  path: string,
  overwrite: boolean,
  write: (partialPath: string) => Promise<Result>,
): Promise<Result> => {
  const finalPath = resolve(path);
  const partialPath = `${finalPath}.partial`;
  if (!overwrite && existsSync(finalPath)) {
    throw new StartupError(`${path} already exists.\nChoose another file, or overwrite it with --force.`, 1);
  }
  if (overwrite) removePartialFile(partialPath);
  createPartialFile(partialPath);
  try {
    const result = await write(partialPath);
    syncToDisk(partialPath);
    renameSync(partialPath, finalPath);
    syncToDisk(dirname(finalPath));
    return result;
  } catch (error) {
    removePartialFile(partialPath);
    throw error;
  }
};

const createPartialFile = (partialPath: string): void => {
  try {
    closeSync(openSync(partialPath, 'wx', 0o600));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new StartupError(
      code === 'EEXIST'
        ? `${partialPath} already exists: another process is writing it, or a killed process left it.\nWait for that process, remove the file, or overwrite it with --force.`
        : `${partialPath} cannot be created: ${message}.`,
      1,
      { cause: error },
    );
  }
};

/** Also removes the files that SQLite creates beside a database. */
const removePartialFile = (partialPath: string): void => {
  for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${partialPath}${suffix}`, { force: true });
};

/** Syncs a file, or a directory: a new name survives a power loss only when its directory is on the disk. */
const syncToDisk = (path: string): void => {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    // Windows cannot open a directory, and does not need to.
    if (process.platform === 'win32') return;
    throw error;
  }
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
};
