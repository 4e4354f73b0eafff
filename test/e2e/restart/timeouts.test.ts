/** A restart changes no status: ONLINE sessions get one full timeout to reconnect, and expiry times stay the same. */
import { describe, expect, test } from 'vitest';
import { SHUTDOWN_METHODS, createRestartHarness } from '../../support/crash/restart-harness.ts';
import { retryUntilPasses, delay } from '../../support/crash/event-stream.ts';
import { GraphqlSocket } from '../../support/porchlight-client.ts';
import {
  sendHeartbeat,
  fetchEvents,
  logIn,
  createPushOnlineDevice,
  type Server,
  fetchEventSummaries,
  Watcher,
} from '../support/users.ts';

const TIMEOUT_MS = 5_000;
const BACKGROUND_MS = 2_500;
const EXPIRY_MS = 7_000;
/** The documented maximum lateness of a timeout. */
const MAX_LATENESS_MS = 1_000;
/** Additional time that a busy machine may need to deliver a change. */
const SLACK_MS = 5_000;
const POLICY = {
  PORCHLIGHT_PUSH_ONLINE_EXPIRY: `${EXPIRY_MS}ms`,
  PORCHLIGHT_PLATFORMS: JSON.stringify(
    ['IPHONE', 'WEB', 'MAC', 'MINI_PROGRAM'].map((platform) => ({
      platform,
      heartbeatIntervalMs: 1_000,
      heartbeatTimeoutMs: TIMEOUT_MS,
      backgroundTimeoutMs: platform === 'MINI_PROGRAM' ? BACKGROUND_MS : null,
      disconnectGraceMs: platform === 'MAC' ? 2_000 : 0,
    })),
  ),
};

/** The time of the user's last event, in milliseconds since the epoch. */
const lastEventAt = async (server: Server, userId: string): Promise<number> =>
  Date.parse((await fetchEvents(server, userId)).at(-1)?.occurredAt ?? '');

describe.concurrent.each(SHUTDOWN_METHODS)('a server %s and started again', (shutdownName, shutDown) => {
  test('times out ONLINE sessions one full timeout after the start and keeps expiry times', async () => {
    await using harness = createRestartHarness(POLICY);
    const before = await harness.start();
    await logIn(before, 'phone', 'IPHONE');
    await logIn(before, 'page', 'WEB');
    const reconnecting = await logIn(before, 'back', 'IPHONE');
    const background = await logIn(before, 'background', 'MINI_PROGRAM');
    await createPushOnlineDevice(before, 'push', 'IPHONE');
    const droppedAt = await lastEventAt(before, 'push');
    // Most of the timeout has passed, so without a new full timeout the sessions would soon time out.
    await delay((await lastEventAt(before, 'phone')) + TIMEOUT_MS - 1_500 - Date.now());
    await sendHeartbeat(before, background, 'BACKGROUND');
    // The disconnect grace of this session is running when the server ends.
    const graced = await logIn(before, 'graced', 'MAC');
    await (await GraphqlSocket.open(before, graced.token)).close();
    await shutDown(before);

    const restarting = Date.now();
    const after = await harness.start();
    const ready = Date.now();
    // A crash may lose the app state and the last activity, because neither is a status change.
    const limits = {
      phone: TIMEOUT_MS,
      page: TIMEOUT_MS,
      graced: TIMEOUT_MS,
      ...(shutdownName === 'stopped with SIGTERM' ? { background: BACKGROUND_MS } : {}),
    };
    const ids = [...Object.keys(limits), 'back'];
    const watcher = await Watcher.open(after, ids);
    expect(watcher.initialStatuses.map(({ status, version }) => [status, version])).toEqual(
      ids.map(() => ['ONLINE', 1]),
    );

    // A session with activity in time stays ONLINE.
    const heartbeats = setInterval(() => void sendHeartbeat(after, reconnecting).catch(() => undefined), 1_000);
    try {
      for (const _ of Object.keys(limits)) await watcher.next(TIMEOUT_MS + MAX_LATENESS_MS + SLACK_MS);
      await retryUntilPasses(
        async () => expect(await fetchEventSummaries(after, 'push')).toHaveLength(3),
        EXPIRY_MS + SLACK_MS,
      );
    } finally {
      clearInterval(heartbeats);
    }
    for (const [id, limit] of Object.entries(limits)) {
      const at = await lastEventAt(after, id);
      expect(at - restarting, `${id} was not early`).toBeGreaterThanOrEqual(limit);
      expect(at - ready, `${id} was not late`).toBeLessThanOrEqual(limit + MAX_LATENESS_MS);
    }
    const expiredAt = await lastEventAt(after, 'push');
    expect(expiredAt, 'the expiry time is not earlier').toBeGreaterThanOrEqual(droppedAt + EXPIRY_MS);
    expect(expiredAt, 'the expiry time is not later').toBeLessThanOrEqual(
      Math.max(droppedAt + EXPIRY_MS, ready) + MAX_LATENESS_MS,
    );

    const eventsAfterLogin = async (id: string) => (await fetchEventSummaries(after, id)).slice(1);
    expect(await eventsAfterLogin('phone')).toEqual(['IPHONE HEARTBEAT_TIMEOUT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2']);
    expect(await eventsAfterLogin('page')).toEqual(['WEB HEARTBEAT_TIMEOUT OFFLINE: ONLINE > OFFLINE v2']);
    if ('background' in limits)
      expect(await eventsAfterLogin('background')).toEqual([
        'MINI_PROGRAM BACKGROUND_TIMEOUT OFFLINE: ONLINE > OFFLINE v2',
      ]);
    expect(await eventsAfterLogin('graced')).toEqual(['MAC HEARTBEAT_TIMEOUT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2']);
    expect(await eventsAfterLogin('back')).toEqual([]);
    expect(await fetchEventSummaries(after, 'push')).toEqual([
      'IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1',
      'IPHONE DISCONNECT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2',
      'IPHONE PUSH_EXPIRED OFFLINE: PUSH_ONLINE > OFFLINE v3',
    ]);
    expect(watcher.changeSummaries).toHaveLength(Object.keys(limits).length);
  });

  test('ends sessions at its start whose expiry passed while it was down', async () => {
    await using harness = createRestartHarness({ PORCHLIGHT_PUSH_ONLINE_EXPIRY: '2s' });
    const before = await harness.start();
    await createPushOnlineDevice(before, 'push', 'IPHONE');
    const droppedAt = await lastEventAt(before, 'push');
    await shutDown(before);
    await delay(droppedAt + 2_000 - Date.now());

    const after = await harness.start();
    const ready = Date.now();
    await retryUntilPasses(async () => expect(await fetchEventSummaries(after, 'push')).toHaveLength(3));
    expect((await fetchEventSummaries(after, 'push')).at(-1)).toBe(
      'IPHONE PUSH_EXPIRED OFFLINE: PUSH_ONLINE > OFFLINE v3',
    );
    expect(await lastEventAt(after, 'push')).toBeLessThanOrEqual(ready + MAX_LATENESS_MS);
  });
});
