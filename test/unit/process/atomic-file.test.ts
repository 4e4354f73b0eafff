/** Directories and files that appear complete or not at all. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDirectory, createFileOnce, writeAtomically } from '../../../src/process/atomic-file.ts';
import { StartupError } from '../../../src/process/startup-error.ts';

let root: string;
let file: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'porchlight-files-'));
  file = join(root, 'file');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe('createDirectory', () => {
  test('creates missing parents for the owner only, and accepts an existing directory', () => {
    createDirectory(join(root, 'a', 'b'));
    expect([modeOf(join(root, 'a')), modeOf(join(root, 'a', 'b'))]).toEqual([0o700, 0o700]);
    createDirectory(join(root, 'a', 'b'));
    expect(() => createDirectory(root)).not.toThrow();
  });

  test('fails when a file has the name of the directory or of a parent', () => {
    writeFileSync(file, '');
    expect(() => createDirectory(file)).toThrow('EEXIST');
    expect(() => createDirectory(join(file, 'child'))).toThrow(/EEXIST|ENOTDIR/);
  });

  test.skipIf(process.platform !== 'linux')('fails in a file system that cannot create directories', () => {
    expect(() => createDirectory('/proc/porchlight/data')).toThrow('ENOENT');
  });
});

describe('createFileOnce', () => {
  test('creates a file for the owner only, and leaves no other file', () => {
    createFileOnce(file, 'text');
    expect(readFileSync(file, 'utf8')).toBe('text');
    expect(modeOf(file)).toBe(0o600);
    expect(readdirSync(root)).toEqual(['file']);
  });

  test('does not overwrite an existing file', () => {
    writeFileSync(file, 'first');
    createFileOnce(file, 'second');
    expect(readFileSync(file, 'utf8')).toBe('first');
    expect(readdirSync(root)).toEqual(['file']);
  });

  test('fails when the directory does not exist', () => {
    expect(() => createFileOnce(join(root, 'missing', 'file'), 'text')).toThrow('ENOENT');
  });
});

describe('writeAtomically', () => {
  const write = (text: string) => (partialPath: string) => {
    writeFileSync(partialPath, text);
    return Promise.resolve(text.length);
  };

  test('renames the complete file and returns the result of the writer', async () => {
    expect(await writeAtomically(file, false, write('text'))).toBe(4);
    expect(readFileSync(file, 'utf8')).toBe('text');
    expect(modeOf(file)).toBe(0o600);
    expect(readdirSync(root)).toEqual(['file']);
  });

  test('rejects an existing file, and overwrites it on request', async () => {
    writeFileSync(file, 'first');
    await expect(writeAtomically(file, false, write('second'))).rejects.toThrow(StartupError);
    expect(readFileSync(file, 'utf8')).toBe('first');
    await writeAtomically(file, true, write('second'));
    expect(readFileSync(file, 'utf8')).toBe('second');
  });

  test('rejects the partial file of another process, and overwrites it on request', async () => {
    writeFileSync(`${file}.partial`, 'partial');
    await expect(writeAtomically(file, false, write('text'))).rejects.toThrow('another process is writing it');
    expect(readFileSync(`${file}.partial`, 'utf8')).toBe('partial');
    await writeAtomically(file, true, write('text'));
    expect(readdirSync(root)).toEqual(['file']);
  });

  test('removes the partial file and its SQLite files after an error, and keeps the existing file', async () => {
    writeFileSync(file, 'first');
    const fail = (partialPath: string): Promise<void> => {
      writeFileSync(`${partialPath}-wal`, '');
      return Promise.reject(new Error('The disk is full.'));
    };
    await expect(writeAtomically(file, true, fail)).rejects.toThrow('The disk is full.');
    expect(readFileSync(file, 'utf8')).toBe('first');
    expect(readdirSync(root)).toEqual(['file']);
  });

  test('rejects a path in a missing directory', async () => {
    await expect(writeAtomically(join(root, 'missing', 'file'), false, write('text'))).rejects.toThrow(
      'cannot be created',
    );
  });
});
