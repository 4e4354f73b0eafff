/** Every documented transition of a session, over real sockets, from each initial status. */
import { describe, expect, test, vi } from 'vitest';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import {
  sendHeartbeat,
  endSessions,
  logIn,
  logOut,
  newUserId,
  createPushOnlineDevice,
  startSharedServer,
  fetchEventSummaries,
  updatePolicy,
  fetchUser,
  Watcher,
} from '../support/users.ts';

vi.setConfig({ maxConcurrency: 50 });

const server = startSharedServer();
const shortExpiryServer = startSharedServer({ env: { PORCHLIGHT_PUSH_ONLINE_EXPIRY: '1s' } });

const IPHONE_LOGIN = 'IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1';
const IPHONE_LOST = 'IPHONE DISCONNECT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2';

describe.concurrent('a login', () => {
  test('creates an ONLINE session with the reason LOGIN', async () => {
    const user = newUserId();
    const watcher = await Watcher.open(server, [user]);
    await logIn(server, user, 'IPHONE');
    expect(await watcher.next()).toMatchObject({ status: 'ONLINE', previousStatus: 'OFFLINE', reason: 'LOGIN' });
    expect(await fetchEventSummaries(server, user)).toEqual([IPHONE_LOGIN]);
  });

  test('of the same ONLINE device ends the old session as REPLACED, and the user stays ONLINE', async () => {
    const user = newUserId();
    const old = await logIn(server, user, 'IPHONE', 'phone');
    const watcher = await Watcher.open(server, [user]);
    const fresh = await logIn(server, user, 'IPHONE', 'phone');
    expect(fresh.sessionId).not.toBe(old.sessionId);
    expect(fresh.kicked).toEqual([]);
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      'IPHONE LOGIN ONLINE: ONLINE > ONLINE v1',
      'IPHONE REPLACED OFFLINE: ONLINE > ONLINE v1',
    ]);
    await logOut(server, fresh);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > OFFLINE v2 LOGOUT']);
  });

  test('of the same PUSH_ONLINE device makes the user ONLINE without an OFFLINE in between', async () => {
    const user = newUserId();
    const old = await createPushOnlineDevice(server, user, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    await logIn(server, user, 'IPHONE', old.deviceId);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['PUSH_ONLINE > ONLINE v3 LOGIN']);
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      IPHONE_LOST,
      'IPHONE LOGIN ONLINE: PUSH_ONLINE > ONLINE v3',
      'IPHONE REPLACED OFFLINE: ONLINE > ONLINE v3',
    ]);
  });

  test('without a deviceId creates a new device, which kicks the earlier one', async () => {
    const user = newUserId();
    const first = await logIn(server, user, 'IPHONE');
    const second = await logIn(server, user, 'IPHONE');
    expect(first.deviceId).not.toBe(second.deviceId);
    expect(second.kicked.map(({ id, status }) => ({ id, status }))).toEqual([
      { id: first.sessionId, status: 'OFFLINE' },
    ]);
  });
});

describe.concurrent('activity of a PUSH_ONLINE session', () => {
  const activities: readonly (readonly [string, (token: string) => Promise<unknown>])[] = [
    ['a heartbeat', (token) => postForData(server, token, 'mutation { heartbeat { heartbeatIntervalMs } }')],
    ['a query', (token) => postForData(server, token, '{ me { id } }')],
    ['a query about another user', (token) => postForData(server, token, '{ userStatus(userId: "other") { status } }')],
    ['opening a socket', (token) => GraphqlSocket.open(server, token)],
  ];
  test.for(activities)('makes the same session ONLINE with the reason RECONNECT: %s', async ([, act]) => {
    const user = newUserId();
    const device = await createPushOnlineDevice(server, user, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    await act(device.token);
    expect(await watcher.next()).toMatchObject({ status: 'ONLINE', previousStatus: 'PUSH_ONLINE', version: 3 });
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      IPHONE_LOST,
      'IPHONE RECONNECT ONLINE: PUSH_ONLINE > ONLINE v3',
    ]);
    expect((await fetchUser(server, user)).sessions.map(({ id }) => id)).toEqual([device.sessionId]);
  });
});

describe.concurrent('closing the last socket of an ONLINE session', () => {
  const closings = [
    { how: 'a close frame', close: (socket: GraphqlSocket) => void socket.ws.close(1000) },
    { how: 'FIN', close: (socket: GraphqlSocket) => socket.sendFin() },
    { how: 'RST', close: (socket: GraphqlSocket) => socket.sendReset() },
  ];
  const platforms = [
    { platform: 'IPHONE', becomes: 'PUSH_ONLINE' },
    { platform: 'LINUX', becomes: 'OFFLINE' },
  ] as const;
  const cases = closings.flatMap((closing) => platforms.map((platform) => ({ ...closing, ...platform })));
  test.for(cases)(
    'by $how on $platform makes it $becomes with the reason DISCONNECT',
    async ({ close, platform, becomes }) => {
      const user = newUserId();
      const device = await logIn(server, user, platform);
      const socket = await GraphqlSocket.open(server, device.token);
      const watcher = await Watcher.open(server, [user]);
      close(socket);
      await watcher.next();
      expect(watcher.changeSummaries).toEqual([`ONLINE > ${becomes} v2 DISCONNECT`]);
      expect(await fetchEventSummaries(server, user)).toEqual([
        `${platform} LOGIN ONLINE: OFFLINE > ONLINE v1`,
        `${platform} DISCONNECT ${becomes}: ONLINE > ${becomes} v2`,
      ]);
      expect((await fetchUser(server, user)).sessions).toHaveLength(becomes === 'OFFLINE' ? 0 : 1);
    },
  );
});

describe.concurrent('inactivity', () => {
  test.for([
    { platform: 'ANDROID', becomes: 'PUSH_ONLINE', code: 4412 },
    { platform: 'WINDOWS', becomes: 'OFFLINE', code: 4410 },
  ] as const)(
    'of an ONLINE session on $platform makes it $becomes with the reason HEARTBEAT_TIMEOUT',
    async ({ platform, becomes, code }) => {
      await updatePolicy(server, {
        platforms: [{ platform, heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 }],
      });
      const user = newUserId();
      const device = await logIn(server, user, platform);
      const socket = await GraphqlSocket.open(server, device.token);
      const watcher = await Watcher.open(server, [user]);
      await watcher.next();
      expect(watcher.changeSummaries).toEqual([`ONLINE > ${becomes} v2 HEARTBEAT_TIMEOUT`]);
      const closed = await socket.closed;
      expect(closed.code).toBe(code);
      if (code === 4410) expect(closed.reason).toBe('HEARTBEAT_TIMEOUT');
      // Closing its socket causes no additional DISCONNECT.
      expect(await fetchEventSummaries(server, user)).toEqual([
        `${platform} LOGIN ONLINE: OFFLINE > ONLINE v1`,
        `${platform} HEARTBEAT_TIMEOUT ${becomes}: ONLINE > ${becomes} v2`,
      ]);
    },
  );

  test('of a PUSH_ONLINE session causes no heartbeat timeout', async () => {
    const user = newUserId();
    await updatePolicy(server, {
      platforms: [{ platform: 'MAC', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 }],
    });
    await createPushOnlineDevice(server, user, 'MAC');
    const watcher = await Watcher.open(server, [user]);
    await expect(watcher.next(2_500)).rejects.toThrow('No matching message');
    expect(await fetchEventSummaries(server, user)).toHaveLength(2);
  });
});

describe.concurrent('the background limit', () => {
  test.for([
    { platform: 'IPAD', becomes: 'PUSH_ONLINE', code: 4412 },
    { platform: 'MINI_PROGRAM', becomes: 'OFFLINE', code: 4410 },
  ] as const)(
    'of an ONLINE session on $platform makes it $becomes with the reason BACKGROUND_TIMEOUT',
    async ({ platform, becomes, code }) => {
      await updatePolicy(server, { platforms: [{ platform, backgroundTimeoutMs: 1_000 }] });
      const user = newUserId();
      const device = await logIn(server, user, platform);
      const socket = await GraphqlSocket.open(server, device.token);
      const watcher = await Watcher.open(server, [user]);
      await sendHeartbeat(server, device, 'BACKGROUND');
      await watcher.next();
      expect(watcher.changeSummaries).toEqual([`ONLINE > ${becomes} v2 BACKGROUND_TIMEOUT`]);
      expect((await socket.closed).code).toBe(code);
      expect(await fetchEventSummaries(server, user)).toEqual([
        `${platform} LOGIN ONLINE: OFFLINE > ONLINE v1`,
        `${platform} BACKGROUND_TIMEOUT ${becomes}: ONLINE > ${becomes} v2`,
      ]);
    },
  );
});

describe.concurrent('the end of a session', () => {
  const ends = [
    { reason: 'LOGOUT', end: logOut },
    { reason: 'REVOKED', end: (_: typeof server, { userId }: { userId: string }) => endSessions(server, { userId }) },
  ];
  test.for(ends)('as $reason makes an ONLINE user OFFLINE', async ({ reason, end }) => {
    const user = newUserId();
    const device = await logIn(server, user, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    await end(server, device);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual([`ONLINE > OFFLINE v2 ${reason}`]);
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      `IPHONE ${reason} OFFLINE: ONLINE > OFFLINE v2`,
    ]);
  });

  test.for(ends)('as $reason makes a PUSH_ONLINE user OFFLINE without a RECONNECT first', async ({ reason, end }) => {
    const user = newUserId();
    const device = await createPushOnlineDevice(server, user, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    await end(server, device);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual([`PUSH_ONLINE > OFFLINE v3 ${reason}`]);
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      IPHONE_LOST,
      `IPHONE ${reason} OFFLINE: PUSH_ONLINE > OFFLINE v3`,
    ]);
  });

  test('as KICKED follows the LOGIN of the other device for an ONLINE session', async () => {
    const user = newUserId();
    await logIn(server, user, 'IPHONE');
    await logIn(server, user, 'WEB');
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      'WEB LOGIN ONLINE: ONLINE > ONLINE v1',
      'IPHONE KICKED OFFLINE: ONLINE > ONLINE v1',
    ]);
  });

  test('as KICKED follows the LOGIN of the other device for a PUSH_ONLINE session', async () => {
    const user = newUserId();
    await createPushOnlineDevice(server, user, 'IPHONE');
    await logIn(server, user, 'WEB');
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      IPHONE_LOST,
      'WEB LOGIN ONLINE: PUSH_ONLINE > ONLINE v3',
      'IPHONE KICKED OFFLINE: ONLINE > ONLINE v3',
    ]);
  });
});

describe.concurrent('other transitions', () => {
  test('a PUSH_ONLINE session ends as PUSH_EXPIRED after pushOnlineExpiry', async () => {
    const user = newUserId();
    await createPushOnlineDevice(shortExpiryServer, user, 'IPHONE');
    const watcher = await Watcher.open(shortExpiryServer, [user]);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['PUSH_ONLINE > OFFLINE v3 PUSH_EXPIRED']);
    expect((await fetchEventSummaries(shortExpiryServer, user)).at(-1)).toBe(
      'IPHONE PUSH_EXPIRED OFFLINE: PUSH_ONLINE > OFFLINE v3',
    );
  });

  test('setCustomStatus of an ONLINE session causes CUSTOM_STATUS and keeps the status', async () => {
    const user = newUserId();
    const device = await logIn(server, user, 'IPHONE');
    await postForData(
      server,
      device.token,
      'mutation { setCustomStatus(input: {text: "away"}) { userStatus { version } } }',
    );
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      'IPHONE CUSTOM_STATUS ONLINE: ONLINE > ONLINE v2',
    ]);
  });

  test('setCustomStatus of a PUSH_ONLINE session causes RECONNECT, then CUSTOM_STATUS', async () => {
    const user = newUserId();
    const device = await createPushOnlineDevice(server, user, 'IPHONE');
    await postForData(
      server,
      device.token,
      'mutation { setCustomStatus(input: {text: "away"}) { userStatus { version } } }',
    );
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      IPHONE_LOST,
      'IPHONE RECONNECT ONLINE: PUSH_ONLINE > ONLINE v3',
      'IPHONE CUSTOM_STATUS ONLINE: ONLINE > ONLINE v4',
    ]);
  });
});
