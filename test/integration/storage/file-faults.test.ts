/**
 * A file that is removed or damaged while it is open: no lost change is acknowledged, and no wrong data is returned.
 */
import Database from 'better-sqlite3';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { applyCommand } from '../../../src/core/state-machine.ts';
import { login, runCommand, setStatusText, user } from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const [ALICE, BOB] = [user('alice'), user('bob')];

const openFile = async (runPeriodicTasks = false) => {
  const path = join(newDirectory(), 'presence.db');
  let onFailure: (error: Error) => void = () => undefined;
  const failure = new Promise<Error>((resolve) => (onFailure = resolve));
  const store = await openQuietly(path, { onFailure, runPeriodicTasks });
  await runCommand(store, ALICE, login('a1'));
  return { path, store, failure };
};

const FAULTS: readonly (readonly [string, (path: string) => void])[] = [
  ['was removed', (path) => rmSync(path)],
  [
    'was replaced by another file',
    (path) => {
      copyFileSync(path, `${path}.other`);
      renameSync(`${path}.other`, path);
    },
  ],
  ['has lost its write-ahead log', (path) => rmSync(`${path}-wal`)],
];

describe.each(FAULTS)('a file that %s', (_name, breakFile) => {
  it('gets no further writes: a change that would be lost is not acknowledged, and the store fails', async () => {
    const { path, store, failure } = await openFile();
    breakFile(path);
    const replaced = { code: 'DEAD', message: expect.stringMatching(/was removed or replaced/) as string };
    await expect(runCommand(store, BOB, login('b1'))).rejects.toMatchObject(replaced);
    expect(await failure).toMatchObject(replaced);
    await expect(store.readUsers([ALICE])).rejects.toMatchObject(replaced);
    await store.close();
  });

  it('is noticed within moments although nothing changes', async () => {
    const { path, store, failure } = await openFile(true);
    breakFile(path);
    expect(await failure).toMatchObject({ code: 'DEAD' });
    await store.close();
  });

  it('is noticed when the store is closed', async () => {
    const { path, store, failure } = await openFile();
    breakFile(path);
    await expect(store.close()).rejects.toMatchObject({ code: 'DEAD' });
    expect(await failure).toMatchObject({ code: 'DEAD' });
  });
});

it('a file that replaces the open one keeps its own write-ahead log', async () => {
  const { path, store, failure } = await openFile();
  const other = join(newDirectory(), 'restored.db');
  const restored = new Database(other);
  restored.pragma('journal_mode = WAL');
  restored.exec('CREATE TABLE restored (x); INSERT INTO restored VALUES (1)');
  for (const end of ['', '-wal']) copyFileSync(`${other}${end}`, `${other}${end}.copy`);
  for (const end of ['', '-wal']) renameSync(`${other}${end}.copy`, `${path}${end}`);
  const log = readFileSync(`${path}-wal`);
  expect(log.length).toBeGreaterThan(0);
  await expect(runCommand(store, ALICE, setStatusText('a1', 'lost'))).rejects.toMatchObject({ code: 'DEAD' });
  await failure;
  await store.close();
  expect(existsSync(`${path}-wal`)).toBe(true);
  expect(readFileSync(`${path}-wal`).equals(log)).toBe(true);
  restored.close();
});

const OVERWRITE = `const { openSync, writeSync } = require('node:fs');
const [, path, pages] = process.argv;
const file = openSync(path, 'r+');
for (const page of pages.split(',')) writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, (page - 1) * 4096);`;

/** Enough users that the pages of most are not cached. */
const MANY = 1_000;

it('a damaged page fails the read and the store', async () => {
  const path = join(newDirectory(), 'presence.db');
  const clock = new VirtualClock();
  const first = await openQuietly(path, { clock: clock.now });
  const ids = Array.from({ length: MANY }, (_, index) => user(`user ${index}`));
  // Logged in and out, so that they are only in the file.
  await Promise.all(ids.map((id) => runCommand(first, id, login(`of ${id}`))));
  await Promise.all(
    ids.map((id) =>
      runCommand(first, id, { type: 'endSessions', platform: null, sessionId: null, revokeTokens: false }),
    ),
  );
  await first.close();
  let onFailure: (error: Error) => void = () => undefined;
  const failure = new Promise<Error>((resolve) => (onFailure = resolve));
  const store = await openQuietly(path, { clock: clock.now, onFailure });
  const database = new Database(path, { readonly: true });
  const pages = database
    .prepare<[], number>(
      "SELECT pageno FROM dbstat WHERE name IN ('users', 'sqlite_autoindex_users_1') AND pagetype = 'leaf'",
    )
    .pluck()
    .all();
  database.close();
  // Done by another process: opening a file that SQLite has open here would release its locks.
  execFileSync(process.execPath, ['-e', OVERWRITE, path, pages.join()]);
  const damaged = execFileSync('sha256sum', [path], { encoding: 'utf8' });
  await expect(
    store.updateUser(ids[0] ?? ALICE, (record, policy, now) => applyCommand(record, login('again'), policy, now)),
  ).rejects.toThrow();
  expect(await failure).toMatchObject({ code: 'DEAD', message: expect.stringMatching(/malformed/) as string });
  await expect(store.readUsers([BOB])).rejects.toMatchObject({ code: 'DEAD' });
  await store.close();
  expect(execFileSync('sha256sum', [path], { encoding: 'utf8' })).toBe(damaged);
});

it('an intact file stays in use whatever other files are beside it', async () => {
  const { path, store } = await openFile(true);
  writeFileSync(`${path}.backup`, 'of another program');
  await runCommand(store, ALICE, setStatusText('a1', 'here'));
  await store.close();
});
