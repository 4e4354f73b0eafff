/** Every row of the table of what changes a session, over real sockets, from each status it starts from. */
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
const forgetful = startSharedServer({ env: { PORCHLIGHT_PUSH_ONLINE_EXPIRY: '1s' } });

const IPHONE_LOGIN = 'IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1';
const IPHONE_LOST = 'IPHONE DISCONNECT PUSH_ONLINE: ONLINE > PUSH_ONLINE v2';

describe.concurrent('login', () => {
  test('none > ONLINE, LOGIN', async () => {
    const user = newUserId();
    const watcher = await Watcher.open(server, [user]);
    await logIn(server, user, 'IPHONE');
    expect(await watcher.next()).toMatchObject({ status: 'ONLINE', previousStatus: 'OFFLINE', reason: 'LOGIN' });
    expect(await fetchEventSummaries(server, user)).toEqual([IPHONE_LOGIN]);
  });

  test('again with the same device, ONLINE: the old session is REPLACED and the user stays ONLINE', async () => {
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

  test('again with the same device, PUSH_ONLINE: straight to ONLINE, with no OFFLINE in between', async () => {
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

  test('without a deviceId is a new device each time: the earlier one is kicked', async () => {
    const user = newUserId();
    const first = await logIn(server, user, 'IPHONE');
    const second = await logIn(server, user, 'IPHONE');
    expect(first.deviceId).not.toBe(second.deviceId);
    expect(second.kicked.map(({ id, status }) => ({ id, status }))).toEqual([
      { id: first.sessionId, status: 'OFFLINE' },
    ]);
  });
});

describe.concurrent('a sign of life, PUSH_ONLINE > ONLINE, RECONNECT, the same session', () => {
  const signs: readonly (readonly [string, (token: string) => Promise<unknown>])[] = [
    ['a heartbeat', (token) => postForData(server, token, 'mutation { heartbeat { heartbeatIntervalMs } }')],
    ['a query', (token) => postForData(server, token, '{ me { id } }')],
    [
      'a query about somebody else',
      (token) => postForData(server, token, '{ userStatus(userId: "stranger") { status } }'),
    ],
    ['attaching a socket', (token) => GraphqlSocket.open(server, token)],
  ];
  test.for(signs)('%s', async ([, sign]) => {
    const user = newUserId();
    const device = await createPushOnlineDevice(server, user, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    await sign(device.token);
    expect(await watcher.next()).toMatchObject({ status: 'ONLINE', previousStatus: 'PUSH_ONLINE', version: 3 });
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      IPHONE_LOST,
      'IPHONE RECONNECT ONLINE: PUSH_ONLINE > ONLINE v3',
    ]);
    expect((await fetchUser(server, user)).sessions.map(({ id }) => id)).toEqual([device.sessionId]);
  });
});

describe.concurrent('the last socket closes, ONLINE > by platform, DISCONNECT', () => {
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
  test.for(cases)('$how on $platform: $becomes', async ({ close, platform, becomes }) => {
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
  });
});

describe.concurrent('silence', () => {
  test.for([
    { platform: 'ANDROID', becomes: 'PUSH_ONLINE', code: 4412 },
    { platform: 'WINDOWS', becomes: 'OFFLINE', code: 4410 },
  ] as const)('of $platform, ONLINE > $becomes, HEARTBEAT_TIMEOUT', async ({ platform, becomes, code }) => {
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
    // Its socket's closing is no DISCONNECT on top.
    expect(await fetchEventSummaries(server, user)).toEqual([
      `${platform} LOGIN ONLINE: OFFLINE > ONLINE v1`,
      `${platform} HEARTBEAT_TIMEOUT ${becomes}: ONLINE > ${becomes} v2`,
    ]);
  });

  test('of a PUSH_ONLINE session changes nothing, whatever the heartbeat timeout', async () => {
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

describe.concurrent('in background for the limit', () => {
  test.for([
    { platform: 'IPAD', becomes: 'PUSH_ONLINE', code: 4412 },
    { platform: 'MINI_PROGRAM', becomes: 'OFFLINE', code: 4410 },
  ] as const)('of $platform, ONLINE > $becomes, BACKGROUND_TIMEOUT', async ({ platform, becomes, code }) => {
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
  });
});

describe.concurrent('endings', () => {
  const ends = [
    { reason: 'LOGOUT', end: logOut },
    { reason: 'REVOKED', end: (_: typeof server, { userId }: { userId: string }) => endSessions(server, { userId }) },
  ];
  test.for(ends)('$reason from ONLINE', async ({ reason, end }) => {
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

  test.for(ends)('$reason from PUSH_ONLINE, without a RECONNECT first', async ({ reason, end }) => {
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

  test('KICKED from ONLINE', async () => {
    const user = newUserId();
    await logIn(server, user, 'IPHONE');
    await logIn(server, user, 'WEB');
    expect(await fetchEventSummaries(server, user)).toEqual([
      IPHONE_LOGIN,
      'WEB LOGIN ONLINE: ONLINE > ONLINE v1',
      'IPHONE KICKED OFFLINE: ONLINE > ONLINE v1',
    ]);
  });

  test('KICKED from PUSH_ONLINE', async () => {
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

describe.concurrent('the rest of the table', () => {
  test('PUSH_ONLINE for as long as the policy allows, PUSH_EXPIRED', async () => {
    const user = newUserId();
    await createPushOnlineDevice(forgetful, user, 'IPHONE');
    const watcher = await Watcher.open(forgetful, [user]);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['PUSH_ONLINE > OFFLINE v3 PUSH_EXPIRED']);
    expect((await fetchEventSummaries(forgetful, user)).at(-1)).toBe(
      'IPHONE PUSH_EXPIRED OFFLINE: PUSH_ONLINE > OFFLINE v3',
    );
  });

  test('setCustomStatus from ONLINE changes the text, not the status: CUSTOM_STATUS', async () => {
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

  test('setCustomStatus from PUSH_ONLINE is a sign of life too: RECONNECT, then CUSTOM_STATUS', async () => {
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
