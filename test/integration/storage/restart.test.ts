/** A restart changes nothing that a client can see. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PresenceStore } from '../../../src/app/ports/presence-store.ts';
import { asSocketId, parseSessionId, type UserId } from '../../../src/core/ids.ts';
import { applyPolicyChange, DEFAULT_POLICY } from '../../../src/core/policy.ts';
import {
  heartbeat,
  endAllSessions,
  login,
  logout,
  runCommand,
  setStatusText,
  user,
  expire,
} from '../../contract/commands.ts';
import { VirtualClock } from '../../contract/virtual-clock.ts';
import { openQuietly, temporaryDirectories } from './support/sqlite-files.ts';

const newDirectory = temporaryDirectories();
const SECOND = 1_000;
const DAY = 86_400_000;
const GRAIN_MS = 200;
const POLICY = applyPolicyChange(DEFAULT_POLICY, { multiDevice: { mode: 'MULTI' } });
const [ALICE, BOB, CAROL] = ['alice', 'bob', 'carol'].map(user) as [UserId, UserId, UserId];

/** A database file, and a function that starts a store on it again and again. */
const makeServer = (eventRetentionMs = 30 * DAY) => {
  const path = join(newDirectory(), 'presence.db');
  const clock = new VirtualClock();
  return { clock, start: () => openQuietly(path, { clock: clock.now, policySeed: POLICY, eventRetentionMs }) };
};

const onlineIds = async (store: PresenceStore) =>
  (await store.listOnlineUsers({ after: null, limit: 100 })).users.map(({ id }) => id);

describe('after a restart', () => {
  it('users, versions, custom statuses, devices, counts and the log are unchanged; only sockets are gone', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(
      first,
      ALICE,
      login('a1', 'MAC', { socketId: asSocketId('one'), watchScope: [BOB], appVersion: null }),
    );
    await runCommand(first, ALICE, login('a2', 'WEB', { watchScope: '*' }));
    await runCommand(first, ALICE, setStatusText('a2', 'out for lunch 🥪'));
    await runCommand(first, BOB, login('b1', 'IPHONE', { socketId: asSocketId('two') }));
    clock.advance(SECOND);
    await runCommand(first, BOB, { type: 'detachSocket', socketId: asSocketId('two'), closedByServer: false });
    await runCommand(first, CAROL, login('c1'));
    await runCommand(first, CAROL, endAllSessions(true));
    const before = await first.readUsers([ALICE, BOB, CAROL]);
    const log = await first.eventLog.readEvents({ after: null, limit: 100 });
    const counts = first.getPresenceCounts();
    const ended = await first.findEndedSession(CAROL, parseSessionId('c1'));
    const latest = await first.eventLog.getLatestCursor();
    await first.close();

    const second = await start();
    const [alice, bob, carol] = await second.readUsers([ALICE, BOB, CAROL]);
    expect(alice).toEqual({
      ...before[0],
      sessions: before[0]?.sessions.map((session) => ({ ...session, socketIds: [], inactiveSince: clock.now() })),
    });
    expect(bob).toEqual(before[1]);
    expect(carol).toEqual(before[2]);
    expect(second.getPresenceCounts()).toEqual(counts);
    expect(await onlineIds(second)).toEqual([ALICE, BOB]);
    expect(await second.findEndedSession(CAROL, parseSessionId('c1'))).toEqual(ended);
    expect(await second.eventLog.readEvents({ after: null, limit: 100 })).toEqual(log);
    expect(await second.eventLog.getLatestCursor()).toBe(latest);
    await second.close();
  });

  it('a session that reconnected or got other timings is restored in that state', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1', 'IPHONE'));
    await runCommand(first, BOB, login('b1', 'IPHONE'));
    await first.updatePolicy((policy) =>
      applyPolicyChange(policy, { platforms: [{ platform: 'IPHONE', heartbeatTimeoutMs: 500 * SECOND }] }),
    );
    // Within the same millisecond: only the changed timings show the activity.
    await runCommand(first, BOB, heartbeat('b1'));
    clock.advance(450 * SECOND);
    await runCommand(first, ALICE, expire);
    clock.advance(SECOND);
    await runCommand(first, ALICE, {
      type: 'heartbeat',
      sessionId: parseSessionId('a1'),
      appState: 'BACKGROUND',
      ipAddress: '198.51.100.9',
    });
    const [alice, bob] = await first.readUsers([ALICE, BOB]);
    expect(alice).toMatchObject({ status: 'ONLINE', reason: 'RECONNECT' });
    await first.close();

    const second = await start();
    const again = await second.readUsers([ALICE, BOB]);
    const restarted = { inactiveSince: clock.now() };
    expect(again[0]?.sessions).toEqual([{ ...alice?.sessions[0], ...restarted, backgroundSince: clock.now() }]);
    expect(again[1]?.sessions).toEqual([{ ...bob?.sessions[0], ...restarted }]);
    expect(again[1]?.sessions[0]?.timings.heartbeatTimeoutMs).toBe(500 * SECOND);
    await second.close();
  });

  it('the log continues without gaps or duplicates, and old cursors stay valid', async () => {
    const { start } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1'));
    const middle = await first.eventLog.getLatestCursor();
    await runCommand(first, BOB, login('b1'));
    await first.close();

    const second = await start();
    await runCommand(second, ALICE, setStatusText('a1', 'back'));
    const { events } = await second.eventLog.readEvents({ after: middle, limit: 10 });
    expect(events.map(({ userId, version }) => ({ userId, version }))).toEqual([
      { userId: BOB, version: 1 },
      { userId: ALICE, version: 2 },
    ]);
    // From the file, and across to the events in memory.
    expect((await second.eventLog.readEvents({ after: null, limit: 10 })).events.slice(1)).toEqual(events);
    await second.close();
  });

  it('the log continues at its old position although retention removed all of it', async () => {
    const { start, clock } = makeServer(SECOND);
    const first = await start();
    await runCommand(first, ALICE, login('a1'));
    const old = await first.eventLog.getLatestCursor();
    clock.advance(2 * SECOND);
    await first.purgeExpiredData();
    await first.close();

    const second = await start();
    expect(await second.eventLog.getLatestCursor()).toBe(old);
    await runCommand(second, ALICE, logout('a1'));
    const { events } = await second.eventLog.readEvents({ after: old, limit: 10 });
    expect(events.map(({ reason }) => reason)).toEqual(['LOGOUT']);
    expect(events[0]?.cursor).not.toBe(old);
    await second.close();
  });

  it('sessions that were ONLINE get one full timeout, and nothing changes before it has passed', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1', 'WEB'));
    clock.advance(59 * SECOND);
    await first.close();
    clock.advance(10 * DAY);

    const second = await start();
    expect(await second.claimDueUsers(10)).toEqual([]);
    clock.advance(60 * SECOND - 1);
    expect(await second.claimDueUsers(10)).toEqual([]);
    expect(await onlineIds(second)).toEqual([ALICE]);
    clock.advance(1 + GRAIN_MS);
    expect(await second.claimDueUsers(10)).toEqual([ALICE]);
    expect((await runCommand(second, ALICE, expire)).user).toMatchObject({
      status: 'OFFLINE',
      reason: 'HEARTBEAT_TIMEOUT',
    });
    await second.close();
  });

  it('a session that was PUSH_ONLINE expires at its original time', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('one') }));
    await runCommand(first, ALICE, { type: 'detachSocket', socketId: asSocketId('one'), closedByServer: false });
    await first.close();
    clock.advance(7 * DAY - 1);

    const second = await start();
    expect(await second.claimDueUsers(10)).toEqual([]);
    clock.advance(1 + GRAIN_MS);
    expect(await second.claimDueUsers(10)).toEqual([ALICE]);
    await second.close();
  });

  it('last-seen times that no commit included were written at close', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1'));
    await runCommand(first, ALICE, login('a2', 'WEB'));
    clock.advance(30 * SECOND);
    await runCommand(first, ALICE, heartbeat('a1'));
    const seenAt = clock.now();
    await first.close();
    clock.advance(SECOND);

    const second = await start();
    const [alice] = await second.readUsers([ALICE]);
    expect(alice).toMatchObject({ lastSeenAt: seenAt, version: 1 });
    expect(alice?.sessions.map((session) => session.lastSeenAt)).toEqual([seenAt, seenAt - 30 * SECOND]);
    await second.close();
  });

  it('last-seen times written together with a change do not overwrite it', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1', 'ANDROID', { socketId: asSocketId('one') }));
    clock.advance(SECOND);
    await runCommand(first, ALICE, heartbeat('a1'));
    const detaching = runCommand(first, ALICE, {
      type: 'detachSocket',
      socketId: asSocketId('one'),
      closedByServer: false,
    });
    await first.flushLastSeen();
    const { user: detachedUser } = await detaching;
    expect(detachedUser.sessions).toMatchObject([{ status: 'PUSH_ONLINE', lastSeenAt: clock.now() }]);
    await first.close();

    const second = await start();
    expect(await second.readUsers([ALICE])).toEqual([detachedUser]);
    await second.close();
  });

  it('last-seen times of one session are written with a change of another session', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1', 'ANDROID'));
    await runCommand(first, ALICE, login('a2', 'WEB'));
    clock.advance(30 * SECOND);
    await runCommand(first, ALICE, heartbeat('a1'));
    await runCommand(first, ALICE, logout('a2'));
    await first.close();

    const second = await start();
    expect((await second.readUsers([ALICE]))[0]?.sessions).toMatchObject([{ id: 'a1', lastSeenAt: clock.now() }]);
    await second.close();
  });

  it('the timings of a session, the order of logins and the app state are kept', async () => {
    const { start } = makeServer();
    const first = await start();
    const logins = ['z', 'a', 'm'].map((name) => ({ name, id: `session ${name}` }));
    await first.updatePolicy((policy) =>
      applyPolicyChange(policy, { platforms: [{ platform: 'ANDROID', maxInstances: 3 }] }),
    );
    for (const { id } of logins) await runCommand(first, ALICE, login(id));
    await first.updatePolicy((policy) => applyPolicyChange(policy, { preset: 'CLASSIC', pushOnlineExpiryMs: 9_000 }));
    const policy = first.getPolicy();
    await runCommand(first, ALICE, {
      type: 'heartbeat',
      sessionId: parseSessionId('session a'),
      appState: 'BACKGROUND',
      ipAddress: null,
    });
    await first.close();

    const second = await start();
    expect(second.getPolicy()).toEqual(policy);
    const [alice] = await second.readUsers([ALICE]);
    expect(alice?.sessions.map(({ id, appState }) => ({ id, appState }))).toEqual([
      { id: 'session z', appState: 'FOREGROUND' },
      { id: 'session a', appState: 'BACKGROUND' },
      { id: 'session m', appState: 'FOREGROUND' },
    ]);
    await second.close();
  });

  it('removed users still raise the next version', async () => {
    const { start, clock } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1'));
    await runCommand(first, ALICE, logout('a1'));
    clock.advance(31 * DAY);
    await first.purgeExpiredData();
    await first.close();

    const second = await start();
    expect((await runCommand(second, ALICE, login('a2'))).user.version).toBe(3);
    await second.close();
  });

  it('a cursor from a later state is rejected after an older file was restored', async () => {
    const { start } = makeServer();
    const first = await start();
    await runCommand(first, ALICE, login('a1'));
    const latest = await first.eventLog.getLatestCursor();
    const ahead = latest.replace(/\d+$/, (seq) => String(Number(seq) + 1)) as typeof latest;
    await expect(first.eventLog.readEvents({ after: ahead, limit: 1 })).rejects.toMatchObject({
      details: { code: 'BAD_USER_INPUT' },
    });
    await runCommand(first, BOB, login('b1'));
    expect(await first.eventLog.readEvents({ after: ahead, limit: 1 })).toEqual({ events: [], hasMore: false });
    await first.close();
  });
});

describe('the log in memory and the log on disk', () => {
  it('return the same pages, from either and across both', async () => {
    const path = join(newDirectory(), 'presence.db');
    const clock = new VirtualClock();
    const store = await openQuietly(path, { clock: clock.now, policySeed: POLICY, recentEventCount: 4 });
    await runCommand(store, ALICE, login('a1'));
    await runCommand(store, BOB, login('b1'));
    for (let word = 0; word < 8; word++)
      await runCommand(store, word % 3 === 0 ? BOB : ALICE, setStatusText(word % 3 === 0 ? 'b1' : 'a1', `${word}`));
    await runCommand(store, ALICE, login('a2', 'ANDROID'));
    const { events } = await store.eventLog.readEvents({ after: null, limit: 100 });
    expect(events).toHaveLength(12);
    for (const userId of [undefined, ALICE, BOB]) {
      for (const wholeChanges of [false, true]) {
        for (let from = 0; from < 12; from++) {
          const following = events.slice(from).filter((event) => userId === undefined || event.userId === userId);
          for (let limit = 1; limit <= 13; limit++) {
            let end = limit;
            while (wholeChanges && following[end]?.changeId === following[end - 1]?.changeId && end < following.length)
              end++;
            const after = events[from - 1]?.cursor ?? null;
            expect(await store.eventLog.readEvents({ after, limit, userId, wholeChanges })).toEqual({
              events: following.slice(0, end),
              hasMore: following.length > end,
            });
          }
        }
      }
    }
    await store.close();
  });

  it('return the same events to a scan', async () => {
    const path = join(newDirectory(), 'presence.db');
    const clock = new VirtualClock();
    const store = await openQuietly(path, { clock: clock.now, policySeed: POLICY, recentEventCount: 4 });
    await runCommand(store, ALICE, login('a1'));
    for (let word = 0; word < 8; word++) await runCommand(store, ALICE, setStatusText('a1', `${word}`));
    await runCommand(store, ALICE, login('a2', 'ANDROID'));
    const { events } = await store.eventLog.readEvents({ after: null, limit: 100 });
    expect(events).toHaveLength(11);
    // A custom status of one change, then a login together with the session that it kicked.
    const isOdd = ({ customStatus, reason }: { customStatus: string | null; reason: string }): boolean =>
      reason === 'KICKED' || Number(customStatus) % 2 === 1;
    for (let from = 0; from <= 11; from++) {
      const after = events[from - 1]?.cursor ?? null;
      const following = events.slice(from).filter(isOdd);
      expect(await store.eventLog.scanEvents({ after, limit: 100, matchesEvent: isOdd })).toEqual({
        events: from === 11 ? [] : following,
        scannedThrough: events[10]?.cursor,
        hasMore: false,
      });
    }
    await store.close();
  });
});
