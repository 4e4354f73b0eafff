/**
 * The whole server stands still (SIGSTOP; as good as a suspended machine or a blocked event loop) for
 * longer than every timeout: nobody is timed out for its sleep, and silence goes on counting where it stopped.
 */
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../support/crash/crash-stream.ts';
import { Socket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { beat, type Device, eventsOf, logIn, pushOnline, storyOf, userSeen, Watcher } from '../support/users.ts';
import { msBetween, pause } from '../support/stopwatch.ts';

const TIMEOUT_MS = 3_000;
const GRACE_MS = 2_000;
const SLEEP_MS = 4_000;
const PING_MS = 400;
/** What stopping, waking and noticing it may add to a sleep, and take from it. */
const GRAIN_MS = 100;
/** How late a timeout may be, and as much again for a busy machine. */
const LATE_MS = 2_000;

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

const beating = new Set<NodeJS.Timeout>();
afterEach(() => {
  for (const timer of beating) clearInterval(timer);
  beating.clear();
});

/** Pings every so often, whether anybody reads it or not. @returns ends that. */
const keepPinging = (socket: Socket): (() => void) => {
  const timer = setInterval(() => socket.send({ type: 'ping' }), PING_MS);
  beating.add(timer);
  return () => clearInterval(timer);
};

/** @returns how long it slept at the least. */
const sleep = async (server: PorchlightProcess, ms: number): Promise<number> => {
  server.signal('SIGSTOP');
  const from = performance.now();
  await pause(ms);
  const slept = performance.now() - from;
  server.signal('SIGCONT');
  return slept;
};

const lastEvent = async (server: PorchlightProcess, { userId }: Device) => (await eventsOf(server, userId)).at(-1);

test(
  'a sleep longer than every timeout is nobody’s silence, and costs nobody anything',
  { timeout: 60_000 },
  async () => {
    await using server = await startPorchlight({ env: policy(TIMEOUT_MS) });
    await pushOnline(server, 'expiring', 'IPHONE');
    const shortLived = await Socket.open(server, await mintToken('short', { expiresInS: 3 }));
    const [live, lively] = [await logIn(server, 'live', 'WEB'), await logIn(server, 'lively', 'IPHONE')];
    const [liveSocket, livelySocket] = [await Socket.open(server, live.token), await Socket.open(server, lively.token)];
    const stopPinging = [keepPinging(liveSocket), keepPinging(livelySocket)];
    const attached = await logIn(server, 'attached', 'WEB');
    const overHttp = await logIn(server, 'over http', 'IPHONE');
    const background = await logIn(server, 'background', 'MINI_PROGRAM');
    const graced = await logIn(server, 'graced', 'MAC');
    const attachedSocket = await Socket.open(server, attached.token);
    await beat(server, background, 'BACKGROUND');
    await (await Socket.open(server, graced.token)).close();
    const silent = [attached, overHttp, background, graced];
    const seenBefore = await Promise.all(silent.map(({ userId }) => userSeen(server, userId)));
    const watcher = await Watcher.open(server, ['live', 'lively', ...silent.map(({ userId }) => userId)]);
    expect(watcher.present.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 'ONLINE'));

    const slept = await sleep(server, SLEEP_MS);

    const seenAfter = await Promise.all(silent.map(({ userId }) => userSeen(server, userId)));
    const lastSeen = (seen: typeof seenAfter) => seen.map(({ lastSeenAt }) => lastSeenAt);
    expect(lastSeen(seenAfter), 'a sleep is no sign of life').toEqual(lastSeen(seenBefore));
    // Dates are dates: a token's, and that of whoever was PUSH_ONLINE.
    expect(await shortLived.closed).toMatchObject({ code: 4413 });
    await eventually(async () => expect((await storyOf(server, 'expiring')).at(-1)).toMatch(/PUSH_EXPIRED/));

    // Whoever stays silent is timed out when she has been so for one timeout, the sleep apart.
    expect(await attachedSocket.closed).toMatchObject({ code: 4410 });
    for (const _ of silent) await watcher.next();
    const reasons = await Promise.all(silent.map(async (each) => (await lastEvent(server, each))?.reason));
    expect(reasons).toEqual(['HEARTBEAT_TIMEOUT', 'HEARTBEAT_TIMEOUT', 'BACKGROUND_TIMEOUT', 'DISCONNECT']);
    for (const [index, each] of silent.entries()) {
      const limit = each === graced ? GRACE_MS : TIMEOUT_MS;
      const since = seenBefore[index]?.lastSeenAt ?? '';
      const silence = msBetween(since, (await lastEvent(server, each))?.occurredAt ?? '') - slept;
      expect(silence, `${each.userId} not early`).toBeGreaterThanOrEqual(limit - GRAIN_MS);
      expect(silence, `${each.userId} not late`).toBeLessThanOrEqual(limit + GRAIN_MS + LATE_MS);
    }

    // Those who never fell silent were never gone, and are held to their timeout as before.
    expect(await storyOf(server, 'live')).toEqual(['WEB LOGIN ONLINE: OFFLINE > ONLINE v1']);
    expect(await storyOf(server, 'lively')).toEqual(['IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1']);
    for (const stop of stopPinging) stop();
    expect(await liveSocket.closed).toMatchObject({ code: 4410 });
    expect(await livelySocket.closed).toMatchObject({ code: 4412 });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

test(
  'what lay unread while the server stood still is heard before anybody’s time is up',
  // A busy machine may keep the pings themselves from being sent.
  { timeout: 60_000, retry: 2 },
  async () => {
    // Too short to count as a sleep, and nearly as long as the timeout.
    await using server = await startPorchlight({ env: policy(1_000) });
    const names = Array.from({ length: 20 }, (_, index) => `quick ${index}`);
    const watcher = await Watcher.open(server, names);
    for (const name of names) keepPinging(await Socket.open(server, (await logIn(server, name, 'WEB')).token));
    for (const _ of names) await watcher.next();
    for (let round = 0; round < 3; round++) {
      await sleep(server, 900);
      // It is up again, and has looked who is due.
      await pause(200);
      expect((await Promise.all(names.map((name) => storyOf(server, name)))).flat()).toHaveLength(names.length);
    }
  },
);
