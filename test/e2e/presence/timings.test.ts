/** Timeouts by real time: never early, and at most one second late. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import {
  sendHeartbeat,
  fetchEvents,
  logIn,
  newUserId,
  createPushOnlineDevice,
  startSharedServer,
  updatePolicy,
  fetchUser,
  Watcher,
  type Platform,
} from '../support/users.ts';
import {
  expectOnTime,
  repeatFor,
  msBetween,
  delay,
  RETRY_AFTER_STALL,
  measureStalls,
  measureSpan,
} from '../support/stopwatch.ts';

vi.setConfig({ maxConcurrency: 50 });

const server = startSharedServer();
const stall = measureStalls(server);

const row = (platform: Platform, heartbeatTimeoutMs: number, rest: object = {}) => ({
  platform,
  heartbeatIntervalMs: 500,
  heartbeatTimeoutMs,
  ...rest,
});

beforeAll(() =>
  updatePolicy(server, {
    platforms: [
      row('ANDROID', 1_000),
      row('WINDOWS', 1_700),
      row('IPHONE', 2_300),
      row('LINUX', 2_000),
      row('MINI_PROGRAM', 400_000, { backgroundTimeoutMs: 1_500 }),
      row('IPAD', 400_000, { disconnectGraceMs: 1_500 }),
      row('WEB', 400_000, { disconnectGraceMs: 1_500 }),
    ],
  }),
);

describe.concurrent('the heartbeat timeout', () => {
  test('counts from the last heartbeat', RETRY_AFTER_STALL, async () => {
    const user = newUserId();
    const device = await logIn(server, user, 'LINUX');
    const watcher = await Watcher.open(server, [user]);
    await repeatFor(4_500, 300, () => sendHeartbeat(server, device));
    expect(watcher.changeSummaries).toEqual([]);
    const last = await measureSpan(() => sendHeartbeat(server, device));
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > OFFLINE v2 HEARTBEAT_TIMEOUT']);
    expectOnTime(last, watcher.changes.receivedAt[0] ?? 0, 2_000, stall);
  });
});

describe.concurrent('the background limit', () => {
  test('is not extended by heartbeats', RETRY_AFTER_STALL, async () => {
    const user = newUserId();
    const device = await logIn(server, user, 'MINI_PROGRAM');
    const watcher = await Watcher.open(server, [user]);
    const entered = await measureSpan(() => sendHeartbeat(server, device, 'BACKGROUND'));
    await repeatFor(900, 200, async () => {
      await sendHeartbeat(server, device, 'BACKGROUND');
      await sendHeartbeat(server, device);
    });
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > OFFLINE v2 BACKGROUND_TIMEOUT']);
    expectOnTime(entered, watcher.changes.receivedAt[0] ?? 0, 1_500, stall);
  });

  test('is cleared by FOREGROUND and restarts with the next BACKGROUND', RETRY_AFTER_STALL, async () => {
    const user = newUserId();
    const device = await logIn(server, user, 'MINI_PROGRAM');
    const watcher = await Watcher.open(server, [user]);
    await sendHeartbeat(server, device, 'BACKGROUND');
    await repeatFor(1_000, 250, () => sendHeartbeat(server, device));
    expect(await sendHeartbeat(server, device, 'FOREGROUND')).toMatchObject({ appState: 'FOREGROUND' });
    await repeatFor(1_000, 250, () => sendHeartbeat(server, device));
    const entered = await measureSpan(() => sendHeartbeat(server, device, 'BACKGROUND'));
    expect(watcher.changeSummaries).toEqual([]);
    await watcher.next();
    expectOnTime(entered, watcher.changes.receivedAt[0] ?? 0, 1_500, stall);
  });

  test('does not apply on a platform without one, where the app state is only recorded', async () => {
    const user = newUserId();
    const device = await logIn(server, user, 'MAC');
    expect(await sendHeartbeat(server, device, 'BACKGROUND')).toMatchObject({
      appState: 'BACKGROUND',
      status: 'ONLINE',
    });
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ appState: 'BACKGROUND', status: 'ONLINE' }]);
    expect(await sendHeartbeat(server, device)).toMatchObject({ appState: 'BACKGROUND' });
  });
});

describe.concurrent('the disconnect grace', () => {
  test.for([
    ['IPAD', 'PUSH_ONLINE'],
    ['WEB', 'OFFLINE'],
  ] as const)('delays the DISCONNECT of a session on %s, which then becomes %s', async ([platform, becomes]) => {
    const user = newUserId();
    const device = await logIn(server, user, platform);
    const socket = await GraphqlSocket.open(server, device.token);
    const watcher = await Watcher.open(server, [user]);
    const lost = await measureSpan(async () => socket.sendReset());
    await watcher.next();
    expect(watcher.changeSummaries).toEqual([`ONLINE > ${becomes} v2 DISCONNECT`]);
    expectOnTime(lost, watcher.changes.receivedAt[0] ?? 0, 1_500, stall);
  });

  test.for([
    ['a new socket', (token: string) => GraphqlSocket.open(server, token)],
    ['a heartbeat', (token: string) => postForData(server, token, 'mutation { heartbeat { heartbeatTimeoutMs } }')],
    ['a query', (token: string) => postForData(server, token, '{ me { id } }')],
  ] as const)('ends without any event after %s in time', RETRY_AFTER_STALL, async ([, act]) => {
    const user = newUserId();
    const device = await logIn(server, user, 'IPAD');
    const socket = await GraphqlSocket.open(server, device.token);
    const watcher = await Watcher.open(server, [user]);
    await socket.close();
    await act(device.token);
    await expect(watcher.next(2_500)).rejects.toThrow('No matching message');
    expect((await fetchEvents(server, user)).map(({ reason }) => reason)).toEqual(['LOGIN']);
    expect(await fetchUser(server, user)).toMatchObject({ status: 'ONLINE', version: 1 });
  });

  test('restarts with the next lost socket', RETRY_AFTER_STALL, async () => {
    const user = newUserId();
    const device = await logIn(server, user, 'WEB');
    const watcher = await Watcher.open(server, [user]);
    let lost = { sentAt: 0, answeredAt: 0 };
    for (let round = 0; round < 4; round++) {
      const socket = await GraphqlSocket.open(server, device.token);
      await delay(600);
      lost = await measureSpan(() => socket.close());
    }
    expect(watcher.changeSummaries).toEqual([]);
    await watcher.next();
    expectOnTime(lost, watcher.changes.receivedAt[0] ?? 0, 1_500, stall);
  });
});

describe('timings sent to a device', () => {
  test.sequential('apply until its next heartbeat, whatever the policy changes to', async () => {
    const platforms = (heartbeatTimeoutMs: number) => ({ platforms: [row('LINUX', heartbeatTimeoutMs)] });
    await updatePolicy(server, platforms(1_000));
    const [short, long] = [newUserId(), newUserId()];
    const watcher = await Watcher.open(server, [short, long]);
    const shortLogin = await measureSpan(() => logIn(server, short, 'LINUX'));
    await updatePolicy(server, platforms(400_000));
    const device = await logIn(server, long, 'LINUX');
    await updatePolicy(server, platforms(1_000));
    const socket = await GraphqlSocket.open(server, device.token);
    socket.ws.ping();
    await socket.executeForData('{ me { id } }');

    // The session with the 1 s timeout times out; the session with the 400 s timeout keeps it.
    await watcher.changes.nextMatching(({ userId, reason }) => userId === short && reason === 'HEARTBEAT_TIMEOUT');
    expectOnTime(shortLogin, watcher.changes.receivedAt.at(-1) ?? 0, 1_000, stall);
    await expect(watcher.next(2_500)).rejects.toThrow('No matching message');

    const heartbeat = await measureSpan(() =>
      postForData(server, device.token, 'mutation { heartbeat { heartbeatIntervalMs heartbeatTimeoutMs } }'),
    );
    expect(heartbeat.value).toEqual({ heartbeat: { heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 } });
    expect(await watcher.next()).toMatchObject({ userId: long, reason: 'HEARTBEAT_TIMEOUT' });
    expectOnTime(heartbeat, watcher.changes.receivedAt.at(-1) ?? 0, 1_000, stall);
  });

  test.sequential('include the expiry of a PUSH_ONLINE session, which a policy change does not alter', async () => {
    const [old, fresh] = [newUserId(), newUserId()];
    await createPushOnlineDevice(server, old, 'MAC');
    await updatePolicy(server, { pushOnlineExpiryMs: 1_200 });
    const watcher = await Watcher.open(server, [old, fresh]);
    await createPushOnlineDevice(server, fresh, 'MAC');
    const expiredChange = await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
    expect(expiredChange).toMatchObject({ userId: fresh, reason: 'PUSH_EXPIRED' });
    const events = await fetchEvents(server, fresh);
    const [lost, expired] = events.slice(-2);
    expect(msBetween(lost?.occurredAt ?? '', expired?.occurredAt ?? '')).toBeGreaterThanOrEqual(1_200);
    expect(msBetween(lost?.occurredAt ?? '', expired?.occurredAt ?? '')).toBeLessThanOrEqual(2_200 + stall.worstMs);
    expect((await fetchUser(server, old)).status).toBe('PUSH_ONLINE');
  });
});

// These tests run last, because the others need an idle machine.
describe('many sessions', () => {
  test.concurrent.for([
    ['ANDROID', 1_000],
    ['WINDOWS', 1_700],
    ['IPHONE', 2_300],
  ] as const)('of 80 inactive users on %s time out after %i ms each', async ([platform, timeoutMs]) => {
    const users = Array.from({ length: 80 }, () => newUserId());
    const watcher = await Watcher.open(server, users);
    const logins = new Map(
      await Promise.all(
        users.map(async (user) => [user, await measureSpan(() => logIn(server, user, platform))] as const),
      ),
    );
    for (let received = 0; received < users.length; received++) {
      await watcher.changes.nextMatching(({ reason }) => reason === 'HEARTBEAT_TIMEOUT');
    }
    for (const [index, change] of watcher.changes.all.entries()) {
      if (change.reason === 'LOGIN') continue;
      const login = logins.get(change.userId);
      if (login === undefined) throw new Error('A change of an unknown user was received.');
      expectOnTime(login, watcher.changes.receivedAt[index] ?? 0, timeoutMs, stall);
      const { loggedInAt } = login.value;
      expect(loggedInAt).toBeGreaterThan(0);
      expect(msBetween(change.lastSeenAt ?? '', change.changedAt ?? '')).toBeGreaterThanOrEqual(timeoutMs);
    }
  });
});
