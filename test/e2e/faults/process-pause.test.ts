/**
 * Pauses the server process (SIGSTOP, equal to a suspended machine or a blocked event loop) for longer than every
 * timeout. The pause is added to all timeouts; inactivity continues to count afterwards.
 */
import { afterEach, expect, test } from 'vitest';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  type Device,
  fetchEvents,
  logIn,
  createPushOnlineDevice,
  fetchEventSummaries,
  fetchUser,
  Watcher,
} from '../support/users.ts';
import { msBetween, delay } from '../support/stopwatch.ts';

const TIMEOUT_MS = 3_000;
const GRACE_MS = 2_000;
const PAUSE_MS = 4_000;
const PING_MS = 400;
/** How far the measured pause may differ from the pause that the server detects. */
const TOLERANCE_MS = 100;
/** The documented maximum lateness of a timeout (1 s), doubled for a busy machine. */
const MAX_LATENESS_MS = 2_000;

const policy = (heartbeatTimeoutMs: number) => ({
  PORCHLIGHT_MULTI_DEVICE: 'multi',
  PORCHLIGHT_PUSH_ONLINE_EXPIRY: '3s',
  PORCHLIGHT_PLATFORMS: JSON.stringify(
    ['IPHONE', 'WEB', 'MAC', 'MINI_PROGRAM'].map((platform) => ({
      platform,
      heartbeatIntervalMs: PING_MS,
      heartbeatTimeoutMs: platform === 'MINI_PROGRAM' ? 60_000 : heartbeatTimeoutMs,
      backgroundTimeoutMs: platform === 'MINI_PROGRAM' ? heartbeatTimeoutMs : null,
      disconnectGraceMs: platform === 'MAC' ? GRACE_MS : 0,
    })),
  ),
});

const pingTimers = new Set<NodeJS.Timeout>();
afterEach(() => {
  for (const timer of pingTimers) clearInterval(timer);
  pingTimers.clear();
});

/** Sends pings at an interval, also while the server does not read them. @returns a function that stops them. */
const keepPinging = (socket: GraphqlSocket): (() => void) => {
  const timer = setInterval(() => socket.send({ type: 'ping' }), PING_MS);
  pingTimers.add(timer);
  return () => clearInterval(timer);
};

/** Stops the process for `ms`. @returns the minimum duration of the pause in milliseconds. */
const pauseProcess = async (server: PorchlightProcess, ms: number): Promise<number> => {
  server.signal('SIGSTOP');
  const from = performance.now();
  await delay(ms);
  const pausedMs = performance.now() - from;
  server.signal('SIGCONT');
  return pausedMs;
};

const lastEvent = async (server: PorchlightProcess, { userId }: Device) => (await fetchEvents(server, userId)).at(-1);

test(
  'a pause longer than every timeout times out no session, and inactivity counts on after it',
  { timeout: 60_000 },
  async () => {
    await using server = await startPorchlight({ env: policy(TIMEOUT_MS) });
    await createPushOnlineDevice(server, 'expiring', 'IPHONE');
    const shortLived = await GraphqlSocket.open(server, await mintToken('short', { acceptedForS: 3 }));
    const [pingingWeb, pingingPhone] = [
      await logIn(server, 'pinging web', 'WEB'),
      await logIn(server, 'pinging phone', 'IPHONE'),
    ];
    const [pingingWebSocket, pingingPhoneSocket] = [
      await GraphqlSocket.open(server, pingingWeb.token),
      await GraphqlSocket.open(server, pingingPhone.token),
    ];
    const stopPinging = [keepPinging(pingingWebSocket), keepPinging(pingingPhoneSocket)];
    const attached = await logIn(server, 'attached', 'WEB');
    const overHttp = await logIn(server, 'over http', 'IPHONE');
    const background = await logIn(server, 'background', 'MINI_PROGRAM');
    const graced = await logIn(server, 'graced', 'MAC');
    const attachedSocket = await GraphqlSocket.open(server, attached.token);
    await sendHeartbeat(server, background, 'BACKGROUND');
    await (await GraphqlSocket.open(server, graced.token)).close();
    const inactive = [attached, overHttp, background, graced];
    const usersBefore = await Promise.all(inactive.map(({ userId }) => fetchUser(server, userId)));
    const watcher = await Watcher.open(server, [
      'pinging web',
      'pinging phone',
      ...inactive.map(({ userId }) => userId),
    ]);
    expect(watcher.initialStatuses.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 'ONLINE'));

    const pausedMs = await pauseProcess(server, PAUSE_MS);

    const usersAfter = await Promise.all(inactive.map(({ userId }) => fetchUser(server, userId)));
    const lastSeen = (users: typeof usersAfter) => users.map(({ lastSeenAt }) => lastSeenAt);
    expect(lastSeen(usersAfter), 'a pause does not count as activity').toEqual(lastSeen(usersBefore));
    // Absolute times are not extended: the expiry of a token and of PUSH_ONLINE.
    expect(await shortLived.closed).toMatchObject({ code: 4413 });
    await retryUntilPasses(async () =>
      expect((await fetchEventSummaries(server, 'expiring')).at(-1)).toMatch(/PUSH_EXPIRED/),
    );

    // Each inactive session times out after one timeout of inactivity, not counting the pause.
    expect(await attachedSocket.closed).toMatchObject({ code: 4410 });
    for (const _ of inactive) await watcher.next();
    const reasons = await Promise.all(inactive.map(async (device) => (await lastEvent(server, device))?.reason));
    expect(reasons).toEqual(['HEARTBEAT_TIMEOUT', 'HEARTBEAT_TIMEOUT', 'BACKGROUND_TIMEOUT', 'DISCONNECT']);
    for (const [index, device] of inactive.entries()) {
      const limit = device === graced ? GRACE_MS : TIMEOUT_MS;
      const since = usersBefore[index]?.lastSeenAt ?? '';
      const inactiveMs = msBetween(since, (await lastEvent(server, device))?.occurredAt ?? '') - pausedMs;
      expect(inactiveMs, `${device.userId} not early`).toBeGreaterThanOrEqual(limit - TOLERANCE_MS);
      expect(inactiveMs, `${device.userId} not late`).toBeLessThanOrEqual(limit + TOLERANCE_MS + MAX_LATENESS_MS);
    }

    // Sessions that kept pinging stayed ONLINE, and their timeouts still apply.
    expect(await fetchEventSummaries(server, 'pinging web')).toEqual(['WEB LOGIN ONLINE: OFFLINE > ONLINE v1']);
    expect(await fetchEventSummaries(server, 'pinging phone')).toEqual(['IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1']);
    for (const stop of stopPinging) stop();
    expect(await pingingWebSocket.closed).toMatchObject({ code: 4410 });
    expect(await pingingPhoneSocket.closed).toMatchObject({ code: 4412 });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

test(
  'pings that arrived during a pause are read before any session times out',
  // A busy machine may delay the pings themselves.
  { timeout: 60_000, retry: 2 },
  async () => {
    // The pauses are too short to be detected and nearly as long as the timeout.
    await using server = await startPorchlight({ env: policy(1_000) });
    const names = Array.from({ length: 20 }, (_, index) => `quick ${index}`);
    const watcher = await Watcher.open(server, names);
    for (const name of names) keepPinging(await GraphqlSocket.open(server, (await logIn(server, name, 'WEB')).token));
    for (const _ of names) await watcher.next();
    for (let round = 0; round < 3; round++) {
      await pauseProcess(server, 900);
      // The server has resumed and processed due timeouts.
      await delay(200);
      expect((await Promise.all(names.map((name) => fetchEventSummaries(server, name)))).flat()).toHaveLength(
        names.length,
      );
    }
  },
);
