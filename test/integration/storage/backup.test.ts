/** A backup is consistent and finishes while the source is being written to. */
import Database from 'better-sqlite3';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { copyDatabase } from '../../../src/storage/sqlite/offline/backup.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();

/** Four steps of the backup. */
const BALLAST_BYTES = 16 * 1024 * 1024;

it('copies the state at the start of the backup although a commit follows every step', async () => {
  const directory = newDirectory();
  const source = join(directory, 'presence.db');
  await (await openQuietly(source)).close();
  const writer = new Database(source);
  try {
    writer.exec(
      'CREATE TABLE ballast (bytes BLOB); CREATE TABLE written (count INTEGER); INSERT INTO written VALUES (0)',
    );
    writer.prepare('INSERT INTO ballast VALUES (zeroblob(?))').run(BALLAST_BYTES);
    const write = writer.prepare('UPDATE written SET count = count + 1');

    const target = join(directory, 'copy.db');
    closeSync(openSync(target, 'wx'));
    const progress: number[] = [];
    await copyDatabase(source, target, (part) => {
      progress.push(part);
      write.run();
      if (progress.length > 100) throw new Error('The backup does not finish.');
    });
    expect(progress.length).toBeGreaterThanOrEqual(4);
    expect(progress).toEqual([...progress].sort((one, other) => one - other));

    const copy = new Database(target, { readonly: true });
    expect(copy.prepare('SELECT count FROM written').pluck().get()).toBe(0);
    expect(copy.pragma('integrity_check', { simple: true })).toBe('ok');
    expect(copy.pragma('journal_mode', { simple: true })).toBe('delete');
    copy.close();
    expect(writer.prepare('SELECT count FROM written').pluck().get()).toBe(progress.length);
  } finally {
    writer.close();
  }
});
