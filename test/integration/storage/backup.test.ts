/** A backup is of one instant, and comes to its end, however much is written meanwhile. */
import Database from 'better-sqlite3';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { copyDatabase } from '../../../src/storage/sqlite/offline/backup.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();

/** Four portions. */
const BALLAST_BYTES = 16 * 1024 * 1024;

it('is of the moment when it began, though something is committed after every portion', async () => {
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
    const done: number[] = [];
    await copyDatabase(source, target, (part) => {
      done.push(part);
      write.run();
      if (done.length > 100) throw new Error('It never gets to its end.');
    });
    expect(done.length).toBeGreaterThanOrEqual(4);
    expect(done).toEqual([...done].sort((one, other) => one - other));

    const copy = new Database(target, { readonly: true });
    expect(copy.prepare('SELECT count FROM written').pluck().get()).toBe(0);
    expect(copy.pragma('integrity_check', { simple: true })).toBe('ok');
    expect(copy.pragma('journal_mode', { simple: true })).toBe('delete');
    copy.close();
    expect(writer.prepare('SELECT count FROM written').pluck().get()).toBe(done.length);
  } finally {
    writer.close();
  }
});
