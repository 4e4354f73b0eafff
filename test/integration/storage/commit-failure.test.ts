/** A failed commit changes nothing. A failed writer rejects every pending call. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CommittedChange } from '../../../src/app/ports/presence-store.ts';
import { applyPolicyChange } from '../../../src/core/policy.ts';
import { createUnknownUser } from '../../../src/core/records.ts';
import { heartbeat, login, logout, runCommand, setStatusText, user } from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { settled } from '../../unit/app/support/waiting.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const newPath = (): string => join(newDirectory(), 'presence.db');
const [ALICE, BOB, CAROL] = [user('alice'), user('bob'), user('carol')];

/** Until it is repaired, every write to the table fails, as on a full disk. */
const breakTable = (path: string, table: string, when: 'INSERT' | 'UPDATE' = 'INSERT') => {
  const database = new Database(path);
  database.exec(`CREATE TRIGGER broken BEFORE ${when} ON ${table} BEGIN SELECT RAISE(ABORT, 'broken for a test'); END`);
  return {
    repair(): void {
      database.exec('DROP TRIGGER broken');
      database.close();
    },
  };
};

/** Makes the schema unreadable, so that every statement fails as on a damaged file. */
const damage = (path: string) => {
  const alter = (from: string, to: string): void => {
    const database = new Database(path);
    database.unsafeMode().pragma('writable_schema = ON');
    database
      .prepare('UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?')
      .run(from, to, 'events_of_user');
    const version = database.pragma('schema_version', { simple: true }) as number;
    database.pragma(`schema_version = ${version + 1}`);
    database.close();
  };
  alter('CREATE INDEX', 'DAMAGED INDEX');
  return { repair: () => alter('DAMAGED INDEX', 'CREATE INDEX') };
};

describe('a commit that fails', () => {
  it('rejects all its changes, publishes nothing, and the next commit succeeds', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const store = await openQuietly(path, { clock: clock.now });
    const { user: alice } = await runCommand(store, ALICE, login('a1'));
    const published: CommittedChange[] = [];
    store.onCommit((changes) => published.push(...changes));
    const [end, counts] = [await store.eventLog.getLatestCursor(), store.getPresenceCounts()];

    const broken = breakTable(path, 'events');
    const failed = await Promise.allSettled([
      runCommand(store, ALICE, setStatusText('a1', 'lost')),
      runCommand(store, BOB, login('b1')),
      // Waits for the first change, is decided after its failure, and fails too.
      runCommand(store, ALICE, logout('a1')),
    ]);
    for (const result of failed) {
      expect(result).toMatchObject({
        status: 'rejected',
        reason: {
          code: 'NOT_WRITTEN',
          // The client gets a retry time and no internal details.
          details: { code: 'OVERLOADED', retryAfterMs: 1_000 },
          message: expect.not.stringContaining('broken for a test') as string,
          cause: { message: expect.stringContaining('broken for a test') as string },
        },
      });
    }
    expect(await store.readUsers([ALICE, BOB])).toEqual([alice, createUnknownUser(BOB, 0)]);
    expect(store.getPresenceCounts()).toEqual(counts);
    expect(published).toEqual([]);
    expect(await store.eventLog.getLatestCursor()).toBe(end);

    broken.repair();
    expect((await runCommand(store, ALICE, setStatusText('a1', 'kept'))).user.version).toBe(2);
    expect((await runCommand(store, BOB, login('b1'))).user.version).toBe(1);
    const { events } = await store.eventLog.readEvents({ after: end, limit: 10 });
    expect(events.map(({ userId }) => userId)).toEqual([ALICE, BOB]);
    const records = await store.readUsers([ALICE, BOB]);
    await store.close();

    const again = await openQuietly(path, { clock: clock.now });
    expect(await again.readUsers([ALICE, BOB])).toEqual(records);
    expect((await again.eventLog.readEvents({ after: end, limit: 10 })).events).toEqual(events);
    await again.close();
  });

  it('leaves the policy unchanged', async () => {
    const path = newPath();
    const store = await openQuietly(path);
    const before = store.getPolicy();
    const broken = breakTable(path, 'meta');
    await expect(
      store.updatePolicy((policy) => applyPolicyChange(policy, { preset: 'CLASSIC' })),
    ).rejects.toMatchObject({
      code: 'NOT_WRITTEN',
    });
    expect(store.getPolicy()).toEqual(before);
    broken.repair();
    await store.updatePolicy((policy) => applyPolicyChange(policy, { preset: 'CLASSIC' }));
    expect(store.getPolicy()).toEqual(applyPolicyChange(before, { preset: 'CLASSIC' }));
    await store.close();
  });

  it('of last-seen times is repeated later', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const store = await openQuietly(path, { clock: clock.now });
    await runCommand(store, ALICE, login('a1'));
    clock.advance(5_000);
    await runCommand(store, ALICE, heartbeat('a1'));
    const broken = breakTable(path, 'users', 'UPDATE');
    await expect(store.flushLastSeen()).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    broken.repair();
    await store.close();
    const again = await openQuietly(path, { clock: clock.now });
    expect((await again.readUsers([ALICE]))[0]?.lastSeenAt).toBe(clock.now());
    await again.close();
  });

  it('of last-seen times is included in the next change of the user', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const store = await openQuietly(path, { clock: clock.now });
    await store.updatePolicy((policy) => applyPolicyChange(policy, { multiDevice: { mode: 'MULTI' } }));
    await runCommand(store, ALICE, login('a1'));
    await runCommand(store, ALICE, login('a2', 'WEB'));
    clock.advance(5_000);
    await runCommand(store, ALICE, heartbeat('a1'));
    const database = new Database(path);
    database.exec(
      `CREATE TRIGGER broken BEFORE UPDATE ON users WHEN new.version = old.version
       BEGIN SELECT RAISE(ABORT, 'broken for a test'); END`,
    );
    const flushing = expect(store.flushLastSeen()).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    // By now it has been sent, alone.
    await settled();
    await runCommand(store, ALICE, setStatusText('a2', 'hello'));
    await flushing;
    await store.close();
    database.close();
    const again = await openQuietly(path, { clock: clock.now });
    const [alice] = await again.readUsers([ALICE]);
    expect(alice?.sessions).toMatchObject([{ id: 'a1', lastSeenAt: clock.now() }, { id: 'a2' }]);
    await again.close();
  });

  it('at close is reported, and the file is released anyway', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const store = await openQuietly(path, { clock: clock.now });
    await runCommand(store, ALICE, login('a1'));
    clock.advance(5_000);
    await runCommand(store, ALICE, heartbeat('a1'));
    const broken = breakTable(path, 'users', 'UPDATE');
    await expect(store.close()).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    broken.repair();
    const again = await openQuietly(path, { clock: clock.now });
    expect(await again.readUsers([ALICE])).toMatchObject([{ version: 1, status: 'ONLINE' }]);
    await again.close();
  });

  it('of retention is reported and removes nothing', async () => {
    const path = newPath();
    const clock = new VirtualClock();
    const store = await openQuietly(path, { clock: clock.now, eventRetentionMs: 1_000 });
    await runCommand(store, ALICE, login('a1'));
    clock.advance(5_000);
    const broken = breakTable(path, 'meta');
    await expect(store.purgeExpiredData()).rejects.toMatchObject({ code: 'NOT_WRITTEN' });
    expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(1);
    broken.repair();
    await store.purgeExpiredData();
    expect((await store.eventLog.readEvents({ after: null, limit: 10 })).events).toHaveLength(0);
    await store.close();
  });
});

describe('a writer that fails for good', () => {
  it('rejects all pending and later calls, reports the failure once, and releases the file', async () => {
    const path = newPath();
    const failures: Error[] = [];
    const store = await openQuietly(path, { onFailure: (error) => failures.push(error) });
    await runCommand(store, ALICE, login('a1'));
    const pending = Promise.allSettled([
      ...Array.from({ length: 100 }, (_, index) => runCommand(store, ALICE, setStatusText('a1', `word ${index}`))),
      runCommand(store, BOB, login('b1')),
      store.updatePolicy((policy) => applyPolicyChange(policy, { preset: 'CLASSIC' })),
    ]);
    // Another process damages the file before the first commit is sent.
    const damaged = damage(path);
    for (const result of await pending) {
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'DEAD' } });
    }
    await expect(runCommand(store, CAROL, login('c1'))).rejects.toMatchObject({ code: 'DEAD' });
    await expect(store.readUsers([ALICE])).rejects.toMatchObject({ code: 'DEAD' });
    expect(failures).toMatchObject([{ code: 'DEAD' }]);
    await store.close();
    await expect(openQuietly(path)).rejects.toMatchObject({ kind: 'CORRUPT' });

    damaged.repair();
    const again = await openQuietly(path);
    expect(await again.readUsers([ALICE])).toMatchObject([{ status: 'ONLINE', customStatus: null }]);
    await runCommand(again, ALICE, logout('a1'));
    await again.close();
  });
});
