/** Loads a database into memory at startup. */
import Database from 'better-sqlite3';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { asSocketId, toMillis } from '../../../src/core/ids.ts';
import { restoreUserAfterRestart } from '../../../src/core/state-machine.ts';
import { applyPolicyChange, DEFAULT_POLICY } from '../../../src/core/policy.ts';
import { loadDatabase } from '../../../src/storage/sqlite/load/load.ts';
import { heartbeat, login, runCommand, setStatusText, user } from '../../contract/commands.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const POLICY = applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } });
const IDS = ['alice', 'bób', '慡🥪'].map(user);

/** More users than are read at once, so that sessions of one user are in different reads. */
const MANY = Array.from({ length: 700 }, (_, index) => user(`user ${index}`));

const createServedFile = async (): Promise<{ path: string; users: unknown[]; counts: unknown; now: number }> => {
  const path = join(newDirectory(), 'presence.db');
  const store = await openQuietly(path, { policySeed: POLICY });
  for (const [index, id] of IDS.entries()) {
    await runCommand(store, id, login(`phone ${index}`, 'ANDROID', { socketId: asSocketId('one') }));
    await runCommand(store, id, login(`page ${index}`, 'WEB', { watchScope: index === 0 ? '*' : [...IDS] }));
    await runCommand(store, id, setStatusText(`page ${index}`, 'out for lunch'));
    await runCommand(store, id, heartbeat(`page ${index}`));
  }
  for (const platform of ['ANDROID', 'MINI_PROGRAM'] as const) {
    const all = MANY.map((id) => runCommand(store, id, login(`${platform} of ${id}`, platform)));
    await Promise.all(all);
  }
  await runCommand(store, user('gone'), login('gone', 'WEB'));
  await runCommand(store, user('gone'), { type: 'logout', sessionId: login('gone').sessionId });
  const now = toMillis(store.now() + 5_000);
  const users = (await store.readUsers([...IDS, ...MANY])).map((each) => restoreUserAfterRestart(each, now));
  const counts = store.getPresenceCounts();
  await store.close();
  return { path, users, counts, now };
};

const editFile = <Result>(path: string, work: (database: Database.Database) => Result): Result => {
  const database = new Database(path);
  try {
    return work(database);
  } finally {
    database.close();
  }
};

describe('loading a database', () => {
  it('applies the rules for a restart to all users, with and without a thread', async () => {
    const { path, users, counts, now } = await createServedFile();
    for (const useThread of [false, true]) {
      const { reader, activeUsers } = await loadDatabase(path, toMillis(now), () => undefined, useThread);
      reader.close();
      expect([...IDS, ...MANY].map((id) => activeUsers.getUser(id))).toEqual(
        // Sessions that were ONLINE have lost their sockets; the others had none.
        users,
      );
      expect(activeUsers.getPresenceCounts()).toEqual(counts);
      expect(activeUsers.getUser(user('gone'))).toBeUndefined();
    }
  });

  it('reports the error of SQLite when the thread cannot read', async () => {
    const { path, now } = await createServedFile();
    const page = editFile(path, (database) =>
      database.prepare("SELECT pageno FROM dbstat WHERE name = 'sessions' AND pagetype = 'leaf'").pluck().get(),
    );
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(4_096, 0xa5), 0, 4_096, (Number(page) - 1) * 4_096);
    closeSync(file);
    const loading = loadDatabase(path, toMillis(now), () => undefined, true);
    await expect(loading).rejects.toThrow(Database.SqliteError);
    await expect(loading).rejects.toMatchObject({ code: 'SQLITE_CORRUPT' });
  });

  it('reports any other error of the thread', async () => {
    const { path, now } = await createServedFile();
    editFile(path, (database) => database.exec("UPDATE sessions SET watch = 'no JSON'"));
    await expect(loadDatabase(path, toMillis(now), () => undefined, true)).rejects.toThrow('not valid JSON');
  });

  it('reports the error of the check first, whatever reading returns', async () => {
    const check = () => {
      throw new Error('The file is damaged.');
    };
    for (const useThread of [false, true]) {
      const { path, now } = await createServedFile();
      const load = () => loadDatabase(path, toMillis(now), check, useThread);
      await expect(load()).rejects.toThrow('The file is damaged.');
      editFile(path, (database) => database.exec('ALTER TABLE users RENAME TO others'));
      await expect(load()).rejects.toThrow('The file is damaged.');
    }
  });
});
