/** Behind with its work, the server sends new work away, says until when, and keeps those it has. */
import { describe, expect, it, vi } from 'vitest';
import { HeapRoom } from '../../../src/server/limits/heap-monitor.ts';
import { LoopLag } from '../../../src/server/limits/event-loop-lag.ts';
import { isOverloaded, Overload, retryAfterMs } from '../../../src/server/graphql/load-shedding.ts';
import { API_KEY, codeOf, ServerHarness, LOGIN } from './support/server-harness.ts';
import { TestSocket } from './support/wire.ts';

const MAX_LAG_MS = 500;
const BEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';
const STATUSES = '{ userStatuses(userIds: ["alice"]) { status } }';
const WATCH = 'subscription { statusChanges(userIds: ["alice"]) { status } }';
const SPEC = { accept: 'application/graphql-response+json' };

describe('What is too much', () => {
  it.each([
    [false, 0, false],
    [false, 500, false],
    [false, 501, true],
    [true, 501, true],
    [true, 251, true],
    [true, 250, false],
    [true, 0, false],
  ])('overloaded before: %s, behind by %i ms: %s', (before, lagMs, after) => {
    expect(isOverloaded(before, lagMs, MAX_LAG_MS)).toBe(after);
  });

  it('lets the others come back later the more is ahead of them, not all at once, and within 15 s', () => {
    expect([0, 0.5, 0.999].map((random) => retryAfterMs(600, random))).toEqual([850, 1_700, 2_548]);
    expect([0, 1_000, 4_000, 86_400_000].map((lagMs) => retryAfterMs(lagMs, 0.5))).toEqual([500, 2_500, 8_500, 10_000]);
  });

  it('is the loop or the disk, whichever is further behind', () => {
    const behind = { loop: 0, disk: 0, waiting: 64 };
    let short = false;
    const overload = new Overload({
      maxLagMs: MAX_LAG_MS,
      loopLagMs: () => behind.loop,
      workload: () => ({ waiting: behind.waiting, waitedMs: behind.disk }),
      isShortOfMemory: () => short,
    });
    const refused = (field: string): boolean => {
      const { isBehind } = overload;
      const isRefused = overload.refusal({ node: {} as never, rootFields: new Set(['__typename', field]) }) !== null;
      // Whoever asks that first must not let in whom the whole question would keep out.
      if (isRefused) expect(isBehind).toBe(true);
      return isRefused;
    };
    expect(refused('login')).toBe(false);
    behind.loop = 501;
    expect(
      ['login', 'statusChanges', 'presenceEvents', 'userStatuses', 'onlineUsers', 'events', 'webhookDeliveries'].map(
        refused,
      ),
    ).toEqual(Array.from({ length: 7 }, () => true));
    const vital = ['heartbeat', 'logout', 'setCustomStatus', 'endSessions', 'updatePolicy', 'sessionEnded', 'me'];
    vital.push('webhooks', 'createWebhook', 'updateWebhook', 'deleteWebhook', 'testWebhook', 'redeliver');
    expect([...vital, 'userStatus', 'stats', 'policy', 'latestCursor'].filter(refused)).toEqual([]);
    Object.assign(behind, { loop: 0, disk: 300 });
    expect(refused('login')).toBe(true);
    behind.disk = 250;
    expect(refused('login')).toBe(false);
    behind.disk = 501;
    expect(refused('login')).toBe(true);
    behind.disk = 0;
    expect(refused('login')).toBe(false);
    // However late the loop is, some logins are under way: its lateness may come of refusing them.
    Object.assign(behind, { loop: 60_000, disk: 60_000, waiting: 63 });
    expect(['login', 'statusChanges', 'userStatuses'].map(refused)).toEqual([false, true, true]);
    behind.waiting = 64;
    expect(refused('login')).toBe(true);
    // What waits for the disk does not get there sooner by more of it; what reads does not wait for it.
    Object.assign(behind, { loop: 250, disk: 501, waiting: 1 });
    expect(['login', 'statusChanges', 'presenceEvents'].map(refused)).toEqual([true, true, true]);
    expect(['userStatuses', 'onlineUsers', 'events', 'webhookDeliveries'].filter(refused)).toEqual([]);
    short = true;
    expect(['login', 'statusChanges', 'heartbeat', 'logout'].map(refused)).toEqual([true, true, false, false]);
    Object.assign(behind, { loop: 0, disk: 0 });
    expect(overload.isBehind).toBe(true);
    short = false;
    expect(overload.isBehind).toBe(false);
  });
});

describe('The room in the heap', () => {
  it('is looked at once a second, and is short until there is some again', () => {
    vi.useFakeTimers();
    try {
      let used = 0;
      const heap = new HeapRoom(() => used);
      const shortAt = (share: number): boolean => {
        used = share;
        vi.advanceTimersByTime(1_000);
        return heap.isShort;
      };
      expect([0, 0.9, 0.901, 0.851, 0.85, 0.9, 0.95, 0.1].map(shortAt)).toEqual([
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
      expect(shortAt(1)).toBe(false);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('The lag of the loop', () => {
  it('is seen while a turn of it lasts, and forgotten with the next that does not', () => {
    vi.useFakeTimers();
    try {
      let now = 0;
      const lag = new LoopLag(() => now);
      const turn = (ms: number): void => {
        now += ms;
        vi.advanceTimersByTime(20);
      };
      turn(20);
      expect(lag.ms).toBe(0);
      now += 520;
      expect(lag.ms).toBe(500);
      vi.advanceTimersByTime(20);
      expect(lag.ms).toBe(500);
      turn(20);
      expect(lag.ms).toBe(0);
      // A whole night's sleep.
      turn(40_000_000);
      expect(lag.ms).toBe(39_999_980);
      turn(21);
      expect(lag.ms).toBe(1);
      lag.stop();
    } finally {
      vi.useRealTimers();
    }
  });
});

/** A harness whose disk can be made to hang, and one login that waits for it. */
const behind = async () => {
  let release: () => void = () => undefined;
  const disk = { held: Promise.resolve() };
  const harness = await ServerHarness.open({ settings: { maxLagMs: MAX_LAG_MS }, beforeCommit: () => disk.held });
  const { token } = await harness.login('alice', 'ANDROID');
  const socket = await TestSocket.as(harness.socketUrl, token);
  const asUser = await TestSocket.as(harness.socketUrl, await harness.jwt('bob'));
  // What is known is refused unheard; this is what makes it known.
  await harness.post(STATUSES, token);
  disk.held = new Promise((resolve) => (release = resolve));
  const waiting = harness.login('carol');
  await vi.waitFor(() => expect(harness.store.workload().waiting).toBe(1));
  harness.shift(MAX_LAG_MS + 100);
  return { harness, token, socket, asUser, waiting, release };
};

describe('While the disk hangs', () => {
  it('logins and watches are OVERLOADED over HTTP, everything else goes on', async () => {
    const { harness, token, waiting, release } = await behind();
    const login = { input: { platform: 'WEB' } };
    const refused = await Promise.all([
      harness.post(LOGIN, await harness.jwt('dave'), login, SPEC),
      // Nobody has looked at who asks: that would cost more than the refusal.
      harness.post(LOGIN, 'forged', login, SPEC),
    ]);
    for (const reply of refused) {
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
    // What is read does not wait for what is written.
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

  it('over a socket too, and new sockets of sessions are let in', async () => {
    const { harness, token, socket, asUser, waiting, release } = await behind();
    const login = [LOGIN, { input: { platform: 'WEB' } }] as const;
    for (const reply of [await asUser.ask(...login), await socket.ask(WATCH)]) {
      const { payload } = reply;
      expect(JSON.stringify(payload)).toContain('"code":"OVERLOADED","retryAfterMs":');
    }
    expect((await socket.ask(STATUSES)).payload).not.toHaveProperty('errors');
    expect((await socket.ask(BEAT)).payload).not.toHaveProperty('errors');
    await socket.roundTrip();
    socket.send({ type: 'ping' });
    expect(await socket.next()).toEqual({ type: 'pong' });
    socket.subscribe('subscription { sessionEnded { reason } }');
    const second = await TestSocket.as(harness.socketUrl, token);
    second.subscribe('mutation { logout { userStatus { status } } }');
    release();
    await waiting;
    expect(await socket.next()).toMatchObject({
      type: 'next',
      payload: { data: { sessionEnded: { reason: 'LOGOUT' } } },
    });
    expect((await socket.closed).code).toBe(4410);
    expect((await asUser.ask(...login)).payload).not.toHaveProperty('errors');
  });

  it('who is sent away with a session was there all the same', async () => {
    const { harness, token, release } = await behind();
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

describe('When the loop was held up', () => {
  it('a list that waited for it is OVERLOADED, and one right after it is not; a login or two come in', async () => {
    const harness = await ServerHarness.open({ settings: { maxLagMs: 100 } });
    const alice = await TestSocket.as(harness.socketUrl, await harness.jwt('alice'));
    const login = { input: { platform: 'WEB' } };
    await alice.ask(LOGIN, login);
    const bob = await TestSocket.as(harness.socketUrl, await harness.jwt('bob'));
    const answer = alice.ask(STATUSES);
    const loggedIn = bob.ask(LOGIN, login);
    const until = performance.now() + 400;
    while (performance.now() < until);
    expect(JSON.stringify((await answer).payload)).toContain('OVERLOADED');
    expect((await loggedIn).payload).not.toHaveProperty('errors');
    await vi.waitFor(async () => expect((await alice.ask(STATUSES)).payload).not.toHaveProperty('errors'));
  });
});
