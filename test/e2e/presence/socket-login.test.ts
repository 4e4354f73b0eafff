/** Login over a socket that was authenticated by the user's JWT. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { codeOf, dataOf, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  deviceOf,
  LOGIN,
  logIn,
  newUserId,
  startSharedServer,
  fetchEventSummaries,
  updatePolicy,
  fetchUser,
  Watcher,
  type Device,
  type LoginResult,
  type Platform,
} from '../support/users.ts';
import { repeatFor } from '../support/stopwatch.ts';

vi.setConfig({ maxConcurrency: 50 });

const server = startSharedServer();
const ME = '{ me { id attached } }';

beforeAll(() =>
  updatePolicy(server, { platforms: [{ platform: 'LINUX', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_500 }] }),
);

const openAs = async (user: string): Promise<GraphqlSocket> => GraphqlSocket.open(server, await mintToken(user));

const logInOn = async (socket: GraphqlSocket, platform: Platform, deviceId?: string): Promise<Device> =>
  deviceOf(await socket.executeForData<LoginResult>(LOGIN, { input: { platform, deviceId } }));

describe.concurrent('a socket of a JWT that logs in', () => {
  test('is attached to the session at once', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    const { login } = await socket.executeForData<LoginResult>(LOGIN, { input: { platform: 'IPHONE' } });
    expect(login.session).toMatchObject({ userId: user, attached: true, status: 'ONLINE' });
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ id: login.session.id, attached: true }]);
  });

  test('gets the rights of the session', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    const operations = [
      ME,
      'mutation { heartbeat { heartbeatIntervalMs } }',
      'mutation { setCustomStatus(input: {text: "here"}) { userStatus { customStatus } } }',
    ];
    for (const operation of operations) expect(codeOf(await socket.execute(operation))).toBe('UNAUTHENTICATED');
    const device = await logInOn(socket, 'IPHONE');
    for (const operation of operations) expect(codeOf(await socket.execute(operation))).toBeNull();
    expect(await socket.executeForData(ME)).toEqual({ me: { id: device.sessionId, attached: true } });
  });

  test('receives sessionEnded and is closed with 4410 when its session ends', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await logInOn(socket, 'IPHONE');
    const ended = socket.subscribe('subscription { sessionEnded { reason kickedBy } }');
    await socket.executeForData(ME);
    await logIn(server, user, 'WEB');
    expect(dataOf(await ended.next())).toEqual({ sessionEnded: { reason: 'KICKED', kickedBy: 'WEB' } });
    expect(await socket.closed).toMatchObject({ code: 4410, reason: 'KICKED' });
  });

  test('causes the DISCONNECT of the session when it closes', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await logInOn(socket, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    socket.sendReset();
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 DISCONNECT']);
  });

  test('keeps the session ONLINE by its pings, and the session times out without them', { retry: 2 }, async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await logInOn(socket, 'LINUX');
    const watcher = await Watcher.open(server, [user]);
    await repeatFor(3_500, 300, () => socket.ws.ping());
    expect(watcher.changeSummaries).toEqual([]);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > OFFLINE v2 HEARTBEAT_TIMEOUT']);
    expect(await socket.closed).toMatchObject({ code: 4410, reason: 'HEARTBEAT_TIMEOUT' });
  });

  test('gets the answer of its logout and is then closed with 4410', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await logInOn(socket, 'IPHONE');
    expect(await socket.executeForData('mutation { logout { userStatus { status reason } } }')).toEqual({
      logout: { userStatus: { status: 'OFFLINE', reason: 'LOGOUT' } },
    });
    expect(await socket.closed).toMatchObject({ code: 4410, reason: 'LOGOUT' });
  });
});

describe.concurrent('another login on the same socket', () => {
  test('of another device kicks the first session and keeps the socket open', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    const first = await logInOn(socket, 'IPHONE');
    const second = await logInOn(socket, 'WEB');
    expect(second.kicked.map(({ id }) => id)).toEqual([first.sessionId]);
    expect(await socket.executeForData(ME)).toEqual({ me: { id: second.sessionId, attached: true } });
    expect((await fetchUser(server, user)).sessions.map(({ id }) => id)).toEqual([second.sessionId]);
    expect(socket.open).toBe(true);
  });

  test('of the same device replaces the first session, whose other sockets are closed with 4410 REPLACED', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    const first = await logInOn(socket, 'IPHONE', 'phone');
    const others = await Promise.all([
      GraphqlSocket.open(server, first.token),
      GraphqlSocket.open(server, first.token),
    ]);
    const watcher = await Watcher.open(server, [user]);
    const second = await logInOn(socket, 'IPHONE', 'phone');
    for (const other of others) expect(await other.closed).toMatchObject({ code: 4410, reason: 'REPLACED' });
    expect(await socket.executeForData(ME)).toEqual({ me: { id: second.sessionId, attached: true } });
    expect(watcher.changeSummaries).toEqual([]);
    expect(await fetchEventSummaries(server, user)).toEqual([
      'IPHONE LOGIN ONLINE: OFFLINE > ONLINE v1',
      'IPHONE LOGIN ONLINE: ONLINE > ONLINE v1',
      'IPHONE REPLACED OFFLINE: ONLINE > ONLINE v1',
    ]);
  });

  test('that keeps the first session moves the socket to the new one, and the first stays ONLINE without a socket', async () => {
    const user = newUserId();
    await updatePolicy(server, { platforms: [{ platform: 'WINDOWS', maxInstances: 2 }] });
    const socket = await openAs(user);
    const first = await logInOn(socket, 'WINDOWS', 'one');
    const second = await logInOn(socket, 'WINDOWS', 'two');
    expect(second.kicked).toEqual([]);
    expect((await fetchUser(server, user)).sessions.map(({ id, attached }) => [id, attached])).toEqual([
      [first.sessionId, false],
      [second.sessionId, true],
    ]);
    const watcher = await Watcher.open(server, [user]);
    await socket.close();
    // Only the second session is disconnected; the first one stays ONLINE without a socket.
    await vi.waitFor(async () => {
      const remaining = (await fetchUser(server, user)).sessions.map(({ id, status }) => [id, status]);
      expect(remaining).toEqual([[first.sessionId, 'ONLINE']]);
    });
    expect(watcher.changeSummaries).toEqual([]);
  });

  test('sent 20 times at once leaves one session with the socket attached to it', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await Promise.all(Array.from({ length: 20 }, (_, index) => logInOn(socket, 'IPHONE', `phone ${index}`)));
    const { sessions, version } = await fetchUser(server, user);
    expect(version).toBe(1);
    expect(sessions).toMatchObject([{ attached: true }]);
    expect(await socket.executeForData(ME)).toEqual({ me: { id: sessions[0]?.id, attached: true } });
  });

  test('is FORBIDDEN on a socket that was authenticated by a session token', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    const socket = await GraphqlSocket.open(server, phone.token);
    expect(codeOf(await socket.execute(LOGIN, { input: { platform: 'WEB' } }))).toBe('FORBIDDEN');
    expect(await socket.executeForData(ME)).toEqual({ me: { id: phone.sessionId, attached: true } });
  });
});
