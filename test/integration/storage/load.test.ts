/** What a start reads into memory. */
import Database from 'better-sqlite3';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { asSocketId, toMillis } from '../../../src/core/ids.ts';
import { restoreUserAfterRestart } from '../../../src/core/state-machine.ts';
import { applyPolicyChange, DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { loadDatabase } from '../../../src/storage/sqlite/load/load.ts';
import { beat, login, run, say, user } from '../../contract/commands.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const POLICY = applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } });
const IDS = ['alice', 'bób', '慡🥪'].map(user);

/** More than are read together, so that there are sessions of one user on both sides of a seam. */
const MANY = Array.from({ length: 700 }, (_, index) => user(`user ${index}`));

const served = async (): Promise<{ path: string; users: unknown[]; counts: unknown; now: number }> => {
  const path = join(newDirectory(), 'presence.db');
  const store = await openQuietly(path, { policySeed: POLICY });
  for (const [index, id] of IDS.entries()) {
    await run(store, id, login(`phone ${index}`, 'ANDROID', { socketId: asSocketId('one') }));
    await run(store, id, login(`page ${index}`, 'WEB', { watchScope: index === 0 ? '*' : [...IDS] }));
    await run(store, id, say(`page ${index}`, 'out for lunch'));
    await run(store, id, beat(`page ${index}`));
  }
  for (const platform of ['ANDROID', 'MINI_PROGRAM'] as const) {
    const all = MANY.map((id) => run(store, id, login(`${platform} of ${id}`, platform)));
    await Promise.all(all);
  }
  await run(store, user('gone'), login('gone', 'WEB'));
  await run(store, user('gone'), { type: 'logout', sessionId: login('gone').sessionId });
  const now = toMillis(store.now() + 5_000);
  const users = (await store.readUsers([...IDS, ...MANY])).map((each) => restoreUserAfterRestart(each, now));
  const counts = store.getPresenceCounts();
  await store.close();
  return { path, users, counts, now };
};

const change = <Result>(path: string, work: (database: Database.Database) => Result): Result => {
  const database = new Database(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
};

describe('a start', () => {
  it('finds everybody as `afterRestart` says, whichever thread reads the sessions', async () => {
    const { path, users, counts, now } = await served();
    for (const inThread of [false, true]) {
      const { reader, activeUsers: present } = await loadDatabase(path, toMillis(now), () => undefined, inThread);
      reader.close();
      expect([...IDS, ...MANY].map((id) => present.getUser(id))).toEqual(
        // What was ONLINE has no socket any more; what is not ONLINE had none.
        users,
      );
      expect(present.getPresenceCounts()).toEqual(counts);
      expect(present.getUser(user('gone'))).toBeUndefined();
    }
  });

  it('says what SQLite said when the thread cannot read', async () => {
    const { path, now } = await served();
    const page = change(path, (database) =>
      database.prepare("SELECT pageno FROM dbstat WHERE name = 'sessions' AND pagetype = 'leaf'").pluck().get(),
    );
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(4_096, 0xa5), 0, 4_096, (Number(page) - 1) * 4_096);
    closeSync(file);
    const refused = loadDatabase(path, toMillis(now), () => undefined, true);
    await expect(refused).rejects.toThrow(Database.SqliteError);
    await expect(refused).rejects.toMatchObject({ code: 'SQLITE_CORRUPT' });
  });

  it('says what else the thread stumbled over', async () => {
    const { path, now } = await served();
    change(path, (database) => database.exec("UPDATE sessions SET watch = 'nobody'"));
    await expect(loadDatabase(path, toMillis(now), () => undefined, true)).rejects.toThrow('not valid JSON');
  });

  it('is refused by the check first, whatever reading comes to', async () => {
    const check = () => {
      throw new Error('It is damaged.');
    };
    for (const inThread of [false, true]) {
      const { path, now } = await served();
      const refused = () => loadDatabase(path, toMillis(now), check, inThread);
      await expect(refused()).rejects.toThrow('It is damaged.');
      change(path, (database) => database.exec('ALTER TABLE users RENAME TO others'));
      await expect(refused()).rejects.toThrow('It is damaged.');
    }
  });
});
