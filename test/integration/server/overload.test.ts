/** Load shedding: an overloaded server rejects new work with a retry delay and keeps its existing clients. */
import { describe, expect, it, vi } from 'vitest';
import { HeapMonitor } from '../../../src/server/limits/heap-monitor.ts';
import { EventLoopLagMonitor } from '../../../src/server/limits/event-loop-lag.ts';
import { isLagExcessive, LoadShedder, computeRetryAfterMs } from '../../../src/server/graphql/load-shedding.ts';
import { API_KEY, codeOf, ServerHarness, LOGIN } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

const MAX_LAG_MS = 500;
const BEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';
const STATUSES = '{ userStatuses(userIds: ["alice"]) { status } }';
const WATCH = 'subscription { statusChanges(userIds: ["alice"]) { status } }';
const SPEC = { accept: 'application/graphql-response+json' };

describe('the overload decision', () => {
  it.each([
    [false, 0, false],
    [false, 500, false],
    [false, 501, true],
    [true, 501, true],
    [true, 251, true],
    [true, 250, false],
    [true, 0, false],
  ])('with overloaded before = %s and a lag of %i ms is %s', (before, lagMs, after) => {
    expect(isLagExcessive(before, lagMs, MAX_LAG_MS)).toBe(after);
  });

  it('spreads retry delays at random, grows them with the lag and caps them at 15 s', () => {
    expect([0, 0.5, 0.999].map((random) => computeRetryAfterMs(600, random))).toEqual([850, 1_700, 2_548]);
    expect([0, 1_000, 4_000, 86_400_000].map((lagMs) => computeRetryAfterMs(lagMs, 0.5))).toEqual([
      500, 2_500, 8_500, 10_000,
    ]);
  });

  it('uses the larger of the event loop lag and the write lag, per kind of operation', () => {
    const load = { loopMs: 0, diskMs: 0, pending: 64 };
    let isMemoryLow = false;
    const overload = new LoadShedder({
      maxLagMs: MAX_LAG_MS,
      readLoopLagMs: () => load.loopMs,
      readWriteBacklog: () => ({ pendingChanges: load.pending, oldestPendingMs: load.diskMs }),
      isMemoryLow: () => isMemoryLow,
    });
    const isRejected = (field: string): boolean => {
      const isServerOverloaded = overload.isOverloaded;
      const rejected =
        overload.getRejection({ node: {} as never, rootFields: new Set(['__typename', field]) }) !== null;
      // `isOverloaded` is checked first, so it must be true whenever the full check rejects.
      if (rejected) expect(isServerOverloaded).toBe(true);
      return rejected;
    };
    expect(isRejected('login')).toBe(false);
    load.loopMs = 501;
    expect(
      ['login', 'statusChanges', 'presenceEvents', 'userStatuses', 'onlineUsers', 'events', 'webhookDeliveries'].map(
        isRejected,
      ),
    ).toEqual(Array.from({ length: 7 }, () => true));
    const vital = ['heartbeat', 'logout', 'setCustomStatus', 'endSessions', 'updatePolicy', 'sessionEnded', 'me'];
    vital.push('webhooks', 'createWebhook', 'updateWebhook', 'deleteWebhook', 'testWebhook', 'redeliver');
    expect([...vital, 'userStatus', 'stats', 'policy', 'latestCursor'].filter(isRejected)).toEqual([]);
    Object.assign(load, { loopMs: 0, diskMs: 300 });
    expect(isRejected('login')).toBe(true);
    load.diskMs = 250;
    expect(isRejected('login')).toBe(false);
    load.diskMs = 501;
    expect(isRejected('login')).toBe(true);
    load.diskMs = 0;
    expect(isRejected('login')).toBe(false);
    // Below 64 pending changes logins are accepted at any lag, because the lag may come from rejecting them.
    Object.assign(load, { loopMs: 60_000, diskMs: 60_000, pending: 63 });
    expect(['login', 'statusChanges', 'userStatuses'].map(isRejected)).toEqual([false, true, true]);
    load.pending = 64;
    expect(isRejected('login')).toBe(true);
    // A write lag rejects what writes or watches, but not reads, which do not wait for the disk.
    Object.assign(load, { loopMs: 250, diskMs: 501, pending: 1 });
    expect(['login', 'statusChanges', 'presenceEvents'].map(isRejected)).toEqual([true, true, true]);
    expect(['userStatuses', 'onlineUsers', 'events', 'webhookDeliveries'].filter(isRejected)).toEqual([]);
    isMemoryLow = true;
    expect(['login', 'statusChanges', 'heartbeat', 'logout'].map(isRejected)).toEqual([true, true, false, false]);
    Object.assign(load, { loopMs: 0, diskMs: 0 });
    expect(overload.isOverloaded).toBe(true);
    isMemoryLow = false;
    expect(overload.isOverloaded).toBe(false);
  });
});

describe('the heap monitor', () => {
  it('checks the heap once a second and reports low memory above 90 % until it is at most 85 %', () => {
    vi.useFakeTimers();
    try {
      let used = 0;
      const heap = new HeapMonitor(() => used);
      const isLowAt = (share: number): boolean => {
        used = share;
        vi.advanceTimersByTime(1_000);
        return heap.isMemoryLow;
      };
      expect([0, 0.9, 0.901, 0.851, 0.85, 0.9, 0.95, 0.1].map(isLowAt)).toEqual([
        false,
        false,
        true,
        true,
        false,
        false,
        true,
        false,
      ]);
      heap.stop();
      expect(isLowAt(1)).toBe(false);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('the event loop lag monitor', () => {
  it('reports the lag during a long loop iteration and forgets it after the next short one', () => {
    vi.useFakeTimers();
    try {
      let now = 0;
      const lag = new EventLoopLagMonitor(() => now);
      const runIteration = (ms: number): void => {
        now += ms;
        vi.advanceTimersByTime(20);
      };
      runIteration(20);
      expect(lag.lagMs).toBe(0);
      now += 520;
      expect(lag.lagMs).toBe(500);
      vi.advanceTimersByTime(20);
      expect(lag.lagMs).toBe(500);
      runIteration(20);
      expect(lag.lagMs).toBe(0);
      // A process pause of eleven hours.
      runIteration(40_000_000);
      expect(lag.lagMs).toBe(39_999_980);
      runIteration(21);
      expect(lag.lagMs).toBe(1);
      lag.stop();
    } finally {
      vi.useRealTimers();
    }
  });
});

/** Opens a server whose commits are blocked until `release`, with one login that waits for its commit. */
const openWithBlockedDisk = async () => {
  let release: () => void = () => undefined;
  const disk = { blocked: Promise.resolve() };
  const harness = await ServerHarness.open({ settings: { maxLagMs: MAX_LAG_MS }, beforeCommit: () => disk.blocked });
  const { token } = await harness.login('alice', 'ANDROID');
  const socket = await TestSocket.connect(harness.socketUrl, token);
  const asUser = await TestSocket.connect(harness.socketUrl, await harness.jwt('bob'));
  // A cached document can be rejected before authentication; this request caches it.
  await harness.post(STATUSES, token);
  disk.blocked = new Promise((resolve) => (release = resolve));
  const waiting = harness.login('carol');
  await vi.waitFor(() => expect(harness.store.getWriteBacklog().pendingChanges).toBe(1));
  harness.advanceClock(MAX_LAG_MS + 100);
  return { harness, token, socket, asUser, waiting, release };
};

describe('while commits are blocked', () => {
  it('rejects logins and watches over HTTP with OVERLOADED and answers everything else', async () => {
    const { harness, token, waiting, release } = await openWithBlockedDisk();
    const login = { input: { platform: 'WEB' } };
    const rejected = await Promise.all([
      harness.post(LOGIN, await harness.jwt('dave'), login, SPEC),
      // The credential is not checked, because that would cost more than the rejection.
      harness.post(LOGIN, 'forged', login, SPEC),
    ]);
    for (const reply of rejected) {
      expect(reply).toMatchObject({ status: 503, body: { errors: [{ extensions: { code: 'OVERLOADED' } }] } });
      const retryMs = Number(reply.body.errors?.[0]?.extensions['retryAfterMs']);
      expect(retryMs).toBeGreaterThanOrEqual(850);
      expect(retryMs).toBeLessThanOrEqual(15_000);
      expect(reply.headers.get('retry-after')).toBe(String(Math.ceil(retryMs / 1_000)));
    }
    const watch = await fetch(`${harness.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${token}`,
      },
      body: JSON.stringify({ query: WATCH }),
    });
    expect(await watch.text()).toContain('"code":"OVERLOADED"');
    // Reads do not wait for writes.
    for (const query of [
      STATUSES,
      BEAT,
      '{ me { status } }',
      '{ userStatus(userId: "alice") { status } }',
      '{ __typename }',
    ]) {
      expect((await harness.post(query, token)).body.errors).toBeUndefined();
    }
    expect((await fetch(`${harness.url}/health/live`)).status).toBe(200);
    expect((await fetch(`${harness.url}/health/ready`)).status).toBe(200);
    const logout = harness.post('mutation { logout { userStatus { status } } }', token);
    release();
    await waiting;
    expect(codeOf(await logout)).toBeUndefined();
    expect((await harness.post(LOGIN, await harness.jwt('dave'), login)).body.errors).toBeUndefined();
    expect(await harness.status('alice')).toBe('OFFLINE');
  });

  it('rejects logins and watches over a socket with OVERLOADED and accepts new sockets of sessions', async () => {
    const { harness, token, socket, asUser, waiting, release } = await openWithBlockedDisk();
    const login = [LOGIN, { input: { platform: 'WEB' } }] as const;
    for (const reply of [await asUser.execute(...login), await socket.execute(WATCH)]) {
      const { payload } = reply;
      expect(JSON.stringify(payload)).toContain('"code":"OVERLOADED","retryAfterMs":');
    }
    expect((await socket.execute(STATUSES)).payload).not.toHaveProperty('errors');
    expect((await socket.execute(BEAT)).payload).not.toHaveProperty('errors');
    await socket.waitForRoundTrip();
    socket.send({ type: 'ping' });
    expect(await socket.nextMessage()).toEqual({ type: 'pong' });
    socket.subscribe('subscription { sessionEnded { reason } }');
    const second = await TestSocket.connect(harness.socketUrl, token);
    second.subscribe('mutation { logout { userStatus { status } } }');
    release();
    await waiting;
    expect(await socket.nextMessage()).toMatchObject({
      type: 'next',
      payload: { data: { sessionEnded: { reason: 'LOGOUT' } } },
    });
    expect((await socket.closed).code).toBe(4410);
    expect((await asUser.execute(...login)).payload).not.toHaveProperty('errors');
  });

  it('counts a rejected request of a session as activity', async () => {
    const { harness, token, release } = await openWithBlockedDisk();
    const watch = await fetch(`${harness.url}/graphql?${new URLSearchParams({ query: WATCH }).toString()}`, {
      headers: { accept: 'text/event-stream', authorization: `Bearer ${token}` },
    });
    expect(await watch.text()).toContain('"code":"OVERLOADED"');
    const { body } = await harness.post('{ userStatus(userId: "alice") { lastSeenAt } }', API_KEY);
    const { lastSeenAt } = body.data?.['userStatus'] as unknown as { lastSeenAt: string };
    expect(Date.parse(lastSeenAt)).toBeGreaterThan(harness.now - MAX_LAG_MS);
    release();
  });
});

describe('after the event loop was blocked', () => {
  it('a list query that waited is OVERLOADED, a login is accepted, and a later list query is answered', async () => {
    const harness = await ServerHarness.open({ settings: { maxLagMs: 100 } });
    const alice = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const login = { input: { platform: 'WEB' } };
    await alice.execute(LOGIN, login);
    const bob = await TestSocket.connect(harness.socketUrl, await harness.jwt('bob'));
    const answer = alice.execute(STATUSES);
    const loggedIn = bob.execute(LOGIN, login);
    const until = performance.now() + 400;
    while (performance.now() < until);
    expect(JSON.stringify((await answer).payload)).toContain('OVERLOADED');
    expect((await loggedIn).payload).not.toHaveProperty('errors');
    await vi.waitFor(async () => expect((await alice.execute(STATUSES)).payload).not.toHaveProperty('errors'));
  });
});
