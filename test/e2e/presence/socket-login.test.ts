/** Logging in over a socket that was opened with the user's JWT. */
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

describe.concurrent('a login over a JWT’s socket', () => {
  test('attaches that socket at once', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    const { login } = await socket.executeForData<LoginResult>(LOGIN, { input: { platform: 'IPHONE' } });
    expect(login.session).toMatchObject({ userId: user, attached: true, status: 'ONLINE' });
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ id: login.session.id, attached: true }]);
  });

  test('gives the session’s rights, which it did not have before', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    const rights = [
      ME,
      'mutation { heartbeat { heartbeatIntervalMs } }',
      'mutation { setCustomStatus(input: {text: "here"}) { userStatus { customStatus } } }',
    ];
    for (const right of rights) expect(codeOf(await socket.execute(right))).toBe('UNAUTHENTICATED');
    const device = await logInOn(socket, 'IPHONE');
    for (const right of rights) expect(codeOf(await socket.execute(right))).toBeNull();
    expect(await socket.executeForData(ME)).toEqual({ me: { id: device.sessionId, attached: true } });
  });

  test('hears sessionEnded, and is closed when its session ends', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await logInOn(socket, 'IPHONE');
    const ended = socket.subscribe('subscription { sessionEnded { reason kickedBy } }');
    await socket.executeForData(ME);
    await logIn(server, user, 'WEB');
    expect(dataOf(await ended.next())).toEqual({ sessionEnded: { reason: 'KICKED', kickedBy: 'WEB' } });
    expect(await socket.closed).toMatchObject({ code: 4410, reason: 'KICKED' });
  });

  test('its closing is the DISCONNECT of the session', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await logInOn(socket, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    socket.sendReset();
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 DISCONNECT']);
  });

  test('its frames are the session’s signs of life, and its silence the session’s silence', { retry: 2 }, async () => {
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

  test('logs out, is answered, and is closed', async () => {
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
  test('of another device kicks the first session, not the socket', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    const first = await logInOn(socket, 'IPHONE');
    const second = await logInOn(socket, 'WEB');
    expect(second.kicked.map(({ id }) => id)).toEqual([first.sessionId]);
    expect(await socket.executeForData(ME)).toEqual({ me: { id: second.sessionId, attached: true } });
    expect((await fetchUser(server, user)).sessions.map(({ id }) => id)).toEqual([second.sessionId]);
    expect(socket.open).toBe(true);
  });

  test('of the same device replaces the first session: its other sockets get 4410 REPLACED', async () => {
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

  test('beside a session that may stay moves the socket on: the first session is detached, not lost', async () => {
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
    // Only the second one's link was lost; the first goes on as one without a socket.
    await vi.waitFor(async () => {
      const left = (await fetchUser(server, user)).sessions.map(({ id, status }) => [id, status]);
      expect(left).toEqual([[first.sessionId, 'ONLINE']]);
    });
    expect(watcher.changeSummaries).toEqual([]);
  });

  test('twenty of them at once leave one session, and the socket open on it', async () => {
    const user = newUserId();
    const socket = await openAs(user);
    await Promise.all(Array.from({ length: 20 }, (_, index) => logInOn(socket, 'IPHONE', `phone ${index}`)));
    const { sessions, version } = await fetchUser(server, user);
    expect(version).toBe(1);
    expect(sessions).toMatchObject([{ attached: true }]);
    expect(await socket.executeForData(ME)).toEqual({ me: { id: sessions[0]?.id, attached: true } });
  });

  test('is not for a socket that was opened with a session’s token', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    const socket = await GraphqlSocket.open(server, phone.token);
    expect(codeOf(await socket.execute(LOGIN, { input: { platform: 'WEB' } }))).toBe('FORBIDDEN');
    expect(await socket.executeForData(ME)).toEqual({ me: { id: phone.sessionId, attached: true } });
  });
});
