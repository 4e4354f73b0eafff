/** A restart is not a status change: whoever was ONLINE gets one full timeout to come back; expiry dates stay. */
import { describe, expect, test } from 'vitest';
import { SHUTDOWN_METHODS, createRestartHarness } from '../../support/crash/crash-restart.ts';
import { retryUntilPasses, delay } from '../../support/crash/crash-stream.ts';
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
/** How late a timeout may be. */
const LATE_MS = 1_000;
/** What a busy machine may add before it is told. */
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

/** When the last event of this user happened. */
const lastAt = async (server: Server, userId: string): Promise<number> =>
  Date.parse((await fetchEvents(server, userId)).at(-1)?.occurredAt ?? '');

describe.concurrent.each(SHUTDOWN_METHODS)('a server %s and started again', (ends, end) => {
  test('it times nobody out before one full timeout since, and changes no expiry date', async () => {
    await using place = createRestartHarness(POLICY);
    const before = await place.start();
    await logIn(before, 'phone', 'IPHONE');
    await logIn(before, 'page', 'WEB');
    const back = await logIn(before, 'back', 'IPHONE');
    const background = await logIn(before, 'background', 'MINI_PROGRAM');
    await createPushOnlineDevice(before, 'push', 'IPHONE');
    const droppedAt = await lastAt(before, 'push');
    // Nearly a whole timeout is used up: without a new one they would be gone in a moment.
    await delay((await lastAt(before, 'phone')) + TIMEOUT_MS - 1_500 - Date.now());
    await sendHeartbeat(before, background, 'BACKGROUND');
    // Its grace is running when the server goes.
    const graced = await logIn(before, 'graced', 'MAC');
    await (await GraphqlSocket.open(before, graced.token)).close();
    await end(before);

    const restarting = Date.now();
    const after = await place.start();
    const ready = Date.now();
    // After a crash an app state may be forgotten, as the last sign of life: neither is a change of status.
    const limits = {
      phone: TIMEOUT_MS,
      page: TIMEOUT_MS,
      graced: TIMEOUT_MS,
      ...(ends === 'stopped with SIGTERM' ? { background: BACKGROUND_MS } : {}),
    };
    const ids = [...Object.keys(limits), 'back'];
    const watcher = await Watcher.open(after, ids);
    expect(watcher.initialStatuses.map(({ status, version }) => [status, version])).toEqual(
      ids.map(() => ['ONLINE', 1]),
    );

    // Who comes back in time was never away.
    const beating = setInterval(() => void sendHeartbeat(after, back).catch(() => undefined), 1_000);
    try {
      for (const _ of Object.keys(limits)) await watcher.next(TIMEOUT_MS + LATE_MS + SLACK_MS);
      await retryUntilPasses(
        async () => expect(await fetchEventSummaries(after, 'push')).toHaveLength(3),
        EXPIRY_MS + SLACK_MS,
      );
    } finally {
      clearInterval(beating);
    }
    for (const [id, limit] of Object.entries(limits)) {
      const at = await lastAt(after, id);
      expect(at - restarting, `${id} was not early`).toBeGreaterThanOrEqual(limit);
      expect(at - ready, `${id} was not late`).toBeLessThanOrEqual(limit + LATE_MS);
    }
    const expiredAt = await lastAt(after, 'push');
    expect(expiredAt, 'the date did not come nearer').toBeGreaterThanOrEqual(droppedAt + EXPIRY_MS);
    expect(expiredAt, 'nor did it move away').toBeLessThanOrEqual(Math.max(droppedAt + EXPIRY_MS, ready) + LATE_MS);

    const ended = async (id: string) => (await fetchEventSummaries(after, id)).slice(1);
    expect(await ended('phone')).toEqual(['IPHONE HEARTBEAT_TIMEOUT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2']);
    expect(await ended('page')).toEqual(['WEB HEARTBEAT_TIMEOUT OFFLINE: ONLINE > OFFLINE v2']);
    if ('background' in limits)
      expect(await ended('background')).toEqual(['MINI_PROGRAM BACKGROUND_TIMEOUT OFFLINE: ONLINE > OFFLINE v2']);
    expect(await ended('graced')).toEqual(['MAC HEARTBEAT_TIMEOUT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2']);
    expect(await ended('back')).toEqual([]);
    expect(await fetchEventSummaries(after, 'push')).toEqual([
      'IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1',
      'IPHONE DISCONNECT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2',
      'IPHONE PUSH_EXPIRED OFFLINE: PUSH_ONLINE > OFFLINE v3',
    ]);
    expect(watcher.changeSummaries).toHaveLength(Object.keys(limits).length);
  });

  test('it ends at its start what expired while it was down', async () => {
    await using place = createRestartHarness({ PORCHLIGHT_PUSH_ONLINE_EXPIRY: '2s' });
    const before = await place.start();
    await createPushOnlineDevice(before, 'push', 'IPHONE');
    const droppedAt = await lastAt(before, 'push');
    await end(before);
    await delay(droppedAt + 2_000 - Date.now());

    const after = await place.start();
    const ready = Date.now();
    await retryUntilPasses(async () => expect(await fetchEventSummaries(after, 'push')).toHaveLength(3));
    expect((await fetchEventSummaries(after, 'push')).at(-1)).toBe(
      'IPHONE PUSH_EXPIRED OFFLINE: PUSH_ONLINE > OFFLINE v3',
    );
    expect(await lastAt(after, 'push')).toBeLessThanOrEqual(ready + LATE_MS);
  });
});
