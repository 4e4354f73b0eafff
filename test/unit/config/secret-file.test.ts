import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  describeFileError,
  isExistingFile,
  MAX_SECRET_FILE_BYTES,
  readSecretFile,
} from '../../../src/config/secret-file.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-secret-file-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (content: string | Buffer, mode = 0o600): string => {
  const path = join(directory, 'secret');
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
};

const failureOf = (action: () => unknown): unknown => {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('It did not fail.');
};

describe('readSecretFile', () => {
  test('returns the exact bytes and the permissions of a file', () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    const path = write(bytes, 0o640);
    expect(readSecretFile(path)).toEqual({ bytes, mode: 0o640 });
    symlinkSync(path, join(directory, 'link'));
    expect(readSecretFile(join(directory, 'link'))).toEqual({ bytes, mode: 0o640 });
  });

  test('reads up to 64 KiB, and rejects more without reading it', () => {
    const longest = Buffer.alloc(MAX_SECRET_FILE_BYTES, 's');
    expect(readSecretFile(write(longest)).bytes).toEqual(longest);
    expect(() => readSecretFile(write(Buffer.alloc(MAX_SECRET_FILE_BYTES + 1, 's')))).toThrow('is larger than 64 KiB');
    // It has no end.
    expect(() => readSecretFile('/dev/zero')).toThrow('is larger than 64 KiB');
  });

  test('rejects a directory, which a container runtime creates for a missing file', () => {
    mkdirSync(join(directory, 'secret'));
    expect(() => readSecretFile(join(directory, 'secret'))).toThrow('is a directory');
  });

  test('reads an empty file and an empty device as no bytes', () => {
    expect(readSecretFile(write('')).bytes).toHaveLength(0);
    expect(readSecretFile('/dev/null')).toEqual({ bytes: Buffer.alloc(0), mode: null });
  });

  test('reads a pipe to its end, though the writer writes in parts', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const script = 'exec >"$1"; printf first; printf second';
    const writer = spawn('sh', ['-c', script, 'sh', pipe], { stdio: ['ignore', 'ignore', 'inherit'] });
    const closed = once(writer, 'close');
    expect(readSecretFile(pipe)).toEqual({ bytes: Buffer.from('firstsecond'), mode: null });
    await closed;
  });
});

describe('describeFileError', () => {
  test('names the error but not the path', () => {
    const missing = failureOf(() => readSecretFile(join(directory, 'gone')));
    expect(describeFileError(missing)).toBe('ENOENT: no such file or directory');
    expect(describeFileError(failureOf(() => readSecretFile(join(write(''), 'below'))))).toBe(
      'ENOTDIR: not a directory',
    );
    expect(describeFileError(failureOf(() => readSecretFile('x'.repeat(5_000))))).toBe('ENAMETOOLONG: name too long');
  });

  test('keeps the message of another error', () => {
    expect(describeFileError(new Error('It is broken.'))).toBe('It is broken.');
  });
});

describe('isExistingFile', () => {
  test('is true for a file and a device, and false for a directory and for text that is no path', () => {
    const path = write('');
    expect([path, '/dev/null'].map(isExistingFile)).toEqual([true, true]);
    expect(
      [directory, join(directory, 'gone'), join(path, 'below'), `/${'x'.repeat(5_000)}`].map(isExistingFile),
    ).toEqual([false, false, false, false]);
  });
});
