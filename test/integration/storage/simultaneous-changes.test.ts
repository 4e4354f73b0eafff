/** Thousands of simultaneous changes, whose commits overlap, have the same result as changes one after another. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { CommittedChange, LoggedEvent } from '../../../src/app/ports/presence-store.ts';
import { parseSessionId, type Cursor } from '../../../src/core/ids.ts';
import { applyPolicyChange } from '../../../src/core/policy.ts';
import type { SqliteStore } from '../../../src/storage/sqlite/store.ts';
import { heartbeat, login, runCommand, runCommandForAll, user, expire } from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const SECOND = 1_000;
/** Several commits. */
const MANY = Array.from({ length: 3_000 }, (_, index) => user(`user ${String(index).padStart(4, '0')}`));
const web = (id: string): string => `web of ${id}`;

/** Logs in each user on a phone, which can be PUSH_ONLINE, and in a browser, which cannot. */
const logInAll = async (store: SqliteStore): Promise<void> => {
  await store.updatePolicy((policy) => applyPolicyChange(policy, { multiDevice: { mode: 'MULTI' } }));
  await Promise.all(
    MANY.flatMap((id) => [
      runCommand(store, id, login(`phone of ${id}`)),
      runCommand(store, id, login(web(id), 'WEB')),
    ]),
  );
};

const readWholeLog = async (store: SqliteStore): Promise<readonly LoggedEvent[]> => {
  const events: LoggedEvent[] = [];
  for (let after: Cursor | null = null; ;) {
    const page = await store.eventLog.readEvents({ after, limit: 1_000 });
    events.push(...page.events);
    after = page.events.at(-1)?.cursor ?? null;
    if (!page.hasMore) return events;
  }
};

it('applies and publishes exactly what is on disk', async () => {
  const path = join(newDirectory(), 'presence.db');
  const clock = new VirtualClock();
  const first = await openQuietly(path, { clock: clock.now });
  await logInAll(first);
  // Activity that is only in memory when the user's browser session times out.
  const alive = MANY.filter((_, index) => index % 3 === 0);
  clock.advance(20 * SECOND);
  await Promise.all(alive.map((id) => runCommand(first, id, heartbeat(web(id)))));
  const firstBeatAt = clock.now();
  clock.advance(80 * SECOND);
  await Promise.all(alive.map((id) => runCommand(first, id, heartbeat(`phone of ${id}`))));
  const published: CommittedChange[] = [];
  first.onCommit((changes) => published.push(...changes));
  expect(await runCommandForAll(first, MANY, expire)).toEqual([]);
  clock.advance(300 * SECOND);
  expect(await runCommandForAll(first, MANY, expire)).toEqual([]);
  const before = { users: await first.readUsers(MANY), log: await readWholeLog(first) };
  expect(before.log.slice(2 * MANY.length)).toMatchObject(published.flatMap(({ events }) => events));
  const ended = await Promise.all(MANY.map((id) => first.findEndedSession(id, parseSessionId(web(id)))));
  expect(ended.filter((end) => end?.session.lastSeenAt === firstBeatAt)).toHaveLength(alive.length);
  expect(before.users.filter(({ status }) => status === 'PUSH_ONLINE')).toHaveLength(MANY.length - alive.length);
  await first.close();

  const second = await openQuietly(path, { clock: clock.now });
  expect(await readWholeLog(second)).toEqual(before.log);
  expect(await Promise.all(MANY.map((id) => second.findEndedSession(id, parseSessionId(web(id)))))).toEqual(ended);
  const asWritten = before.users.map((record) => ({
    ...record,
    // A restart restarts the timeout of ONLINE sessions.
    sessions: record.sessions.map((session) =>
      session.status === 'ONLINE' ? { ...session, inactiveSince: clock.now() } : session,
    ),
  }));
  expect(await second.readUsers(MANY)).toEqual(asWritten);
  await second.close();
});

it('leaves no gap in the log and rejects no other commit when one commit fails', async () => {
  const path = join(newDirectory(), 'presence.db');
  const clock = new VirtualClock();
  const store = await openQuietly(path, { clock: clock.now });
  await logInAll(store);
  const end = await store.eventLog.getLatestCursor();
  clock.advance(60 * SECOND);
  const failingUser = MANY[1_500];
  const otherConnection = new Database(path);
  otherConnection.exec(
    `CREATE TRIGGER broken BEFORE INSERT ON events WHEN new.user_id = '${failingUser}'
     BEGIN SELECT RAISE(ABORT, 'broken for a test'); END`,
  );
  const failed = (await runCommandForAll(store, MANY, expire)).map(({ userId }) => userId);
  expect(failed).toContain(failingUser);
  expect(failed.length).toBeLessThan(MANY.length / 2);
  const written = MANY.filter((id) => !failed.includes(id));
  const following = async () => (await store.eventLog.readEvents({ after: end, limit: MANY.length })).events;
  expect((await following()).map(({ userId }) => userId)).toEqual(written);

  otherConnection.exec('DROP TRIGGER broken');
  expect(await runCommandForAll(store, failed, expire)).toEqual([]);
  const log = await following();
  expect(log.map(({ userId }) => userId)).toEqual([...written, ...failed]);
  await store.close();
  const seqs = otherConnection.prepare('SELECT count(*), max(seq), min(seq) FROM events').raw().get();
  expect(seqs).toEqual([3 * MANY.length, 3 * MANY.length, 1]);
  otherConnection.close();

  const again = await openQuietly(path, { clock: clock.now });
  expect((await again.eventLog.readEvents({ after: end, limit: MANY.length })).events).toEqual(log);
  await again.close();
});
