/** The disk metrics of the store. */
import Database from 'better-sqlite3';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readDiskUsage } from '../../../src/storage/sqlite/file/disk-usage.ts';
import { login, runCommand, user } from '../../contract/commands.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const many = ({ counts }: { readonly counts: Float64Array }): number => counts.reduce((all, count) => all + count, 0);

it('counts commits, their entries, their durations and their failures', async () => {
  const path = join(newDirectory(), 'presence.db');
  const store = await openQuietly(path);
  const { commitMetrics: commits } = store;
  await Promise.all(['a', 'b', 'c'].map((name) => runCommand(store, user(name), login(`session of ${name}`))));
  expect([many(commits.durations), many(commits.entryCounts), commits.entryCounts.sum, commits.failedCount]).toEqual([
    1, 1, 3, 0,
  ]);
  expect(commits.durations.sum).toBeGreaterThan(0);
  const other = new Database(path);
  other.exec(`CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'broken for a test'); END`);
  await expect(runCommand(store, user('d'), login('session of d'))).rejects.toThrow();
  expect([many(commits.durations), commits.failedCount]).toEqual([2, 1]);
  other.exec('DROP TRIGGER broken');
  other.close();
  await store.close();
});

it('returns the size of the database files and the free space of the disk', async () => {
  const path = join(newDirectory(), 'presence.db');
  const store = await openQuietly(path);
  await runCommand(store, user('a'), login('session of a'));
  const { databaseBytes, walBytes, freeBytes } = await store.readDiskUsage();
  expect([databaseBytes, walBytes]).toEqual([statSync(path).size, statSync(`${path}-wal`).size]);
  expect(walBytes).toBeGreaterThan(0);
  expect(freeBytes).toBeGreaterThan(0);
  await store.close();
  expect((await readDiskUsage(path)).walBytes).toBe(0);
  rmSync(path);
  await expect(readDiskUsage(path)).rejects.toThrow('ENOENT');
});
