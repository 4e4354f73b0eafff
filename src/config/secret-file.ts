/** Reads a secret from a file, a pipe or a device, as bytes. Nothing is decoded here. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { getSystemErrorMap } from 'node:util';

export interface SecretFile {
  readonly bytes: Buffer;
  /** Permission bits of a regular file. Null for a pipe or a device, and on Windows, which has no such bits. */
  readonly mode: number | null;
}

/** A file that can be opened, but that cannot be a secret. The message completes the sentence "NAME …". */
export class SecretFileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SecretFileError';
  }
}

/** Far more than any key, and far less than a file that was named by mistake. */
export const MAX_SECRET_FILE_BYTES = 64 * 1024;

/**
 * Reads until the end of the file. The size in the directory is not used, because a pipe, such as `/dev/fd/63` of a
 * process substitution, has none. A pipe blocks until its writer closes it.
 * @throws SecretFileError for a directory and for more than 64 KiB. Errors of the file system are passed on.
 */
export const readSecretFile = (path: string): SecretFile => {
  const descriptor = openSync(path, 'r');
  try {
    // Bytes and mode come from one open file, so that the file cannot be replaced in between.
    const stats = fstatSync(descriptor);
    if (stats.isDirectory()) throw new SecretFileError('is a directory');
    const buffer = Buffer.alloc(MAX_SECRET_FILE_BYTES + 1);
    let length = 0;
    while (length < buffer.length) {
      const count = readSync(descriptor, buffer, length, buffer.length - length, null);
      if (count === 0) break;
      length += count;
    }
    if (length > MAX_SECRET_FILE_BYTES) throw new SecretFileError('is larger than 64 KiB');
    const hasMode = stats.isFile() && process.platform !== 'win32';
    return { bytes: buffer.subarray(0, length), mode: hasMode ? stats.mode & 0o777 : null };
  } finally {
    closeSync(descriptor);
  }
};

/** Whether the path names anything but a directory. @returns false when it cannot be examined. */
export const isExistingFile = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
  } catch {
    // The text is too long for a path, or a part of it is not a directory.
    return false;
  }
};

/** Describes an error of the file system without the path, which can be a secret that was set as `_FILE` by mistake. */
export const describeFileError = (error: unknown): string => {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const [, description] = getSystemErrorMap().get(errno ?? 0) ?? [];
  return code === undefined || description === undefined ? message : `${code}: ${description}`;
};
