/** Several sockets of one session, old sockets that close late, and sockets that the server closes. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  deviceOf,
  endSessions,
  fetchEvents,
  LOGIN,
  logIn,
  newUserId,
  startSharedServer,
  updatePolicy,
  fetchUser,
  Watcher,
  type LoginResult,
  type Platform,
} from '../support/users.ts';
import { delay } from '../support/stopwatch.ts';

vi.setConfig({ maxConcurrency: 50 });

const server = startSharedServer();

beforeAll(() =>
  updatePolicy(server, {
    platforms: [
      { platform: 'ANDROID', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 },
      { platform: 'LINUX', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 4_000 },
    ],
  }),
);

const reasons = async (user: string) => (await fetchEvents(server, user)).map(({ reason }) => reason);
/** After this time a close has arrived and has had its effect, if it has one. */
const SETTLE_MS = 500;

/** Opens a socket with a JWT that is accepted for `acceptedForS`, and logs a device in on it. */
const loggedInSocket = async (user: string, platform: Platform, acceptedForS: number) => {
  const socket = await GraphqlSocket.open(server, await mintToken(user, { acceptedForS }));
  const device = deviceOf(await socket.executeForData<LoginResult>(LOGIN, { input: { platform } }));
  return { socket, device };
};

describe.concurrent('several sockets of one session', () => {
  test('disconnects a session only when the last of its sockets closes', async () => {
    const user = newUserId();
    const phone = await logIn(server, user, 'IPHONE');
    const sockets = [];
    for (let count = 0; count < 3; count++) sockets.push(await GraphqlSocket.open(server, phone.token));
    const watcher = await Watcher.open(server, [user]);
    sockets[1]?.sendReset();
    await sockets[0]?.close();
    await delay(SETTLE_MS);
    expect(watcher.changeSummaries).toEqual([]);
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ attached: true }]);
    sockets[2]?.sendFin();
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 DISCONNECT']);
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ attached: false }]);
  });

  test.for([
    ['ANDROID', 4412],
    ['MINI_PROGRAM', 4410],
  ] as const)('closes all sockets of a session that times out, on %s with %i', async ([platform, code]) => {
    const user = newUserId();
    await updatePolicy(server, { platforms: [{ platform: 'MINI_PROGRAM', backgroundTimeoutMs: 1_000 }] });
    const device = await logIn(server, user, platform);
    const sockets = await Promise.all([1, 2, 3].map(() => GraphqlSocket.open(server, device.token)));
    await sendHeartbeat(server, device, 'BACKGROUND');
    for (const closed of await Promise.all(sockets.map((socket) => socket.closed))) expect(closed.code).toBe(code);
    expect(await reasons(user)).toEqual(['LOGIN', code === 4412 ? 'HEARTBEAT_TIMEOUT' : 'BACKGROUND_TIMEOUT']);
  });

  test('closes all sockets of a session with 4410 when it ends, and none of other sessions', async () => {
    const user = newUserId();
    const phone = await logIn(server, user, 'IPHONE');
    const other = await logIn(server, newUserId(), 'IPHONE');
    const asUser = await GraphqlSocket.open(server, await mintToken(user));
    const [bystander, ...sockets] = await Promise.all(
      [other, phone, phone].map(({ token }) => GraphqlSocket.open(server, token)),
    );
    await endSessions(server, { userId: user });
    for (const socket of sockets) expect(await socket.closed).toMatchObject({ code: 4410, reason: 'REVOKED' });
    await delay(SETTLE_MS);
    expect(bystander?.open).toBe(true);
    expect(asUser.open).toBe(true);
  });
});

describe.concurrent('late closes of old sockets', () => {
  test('ignores the late close of a socket whose session timed out and reconnected on another', async () => {
    const user = newUserId();
    const phone = await logIn(server, user, 'ANDROID');
    const watcher = await Watcher.open(server, [user]);
    const old = await GraphqlSocket.open(server, phone.token);
    // A frozen client neither reads the close frame nor answers.
    old.tcp.pause();
    await watcher.changes.nextMatching(({ reason }) => reason === 'HEARTBEAT_TIMEOUT');
    const socket = await GraphqlSocket.open(server, phone.token);
    await watcher.changes.nextMatching(({ reason }) => reason === 'RECONNECT');
    old.sendReset();
    for (let round = 0; round < 4; round++) {
      await delay(SETTLE_MS / 2);
      await socket.executeForData('{ me { id } }');
    }
    expect(watcher.changeSummaries).toEqual([
      'ONLINE > PUSH_ONLINE v2 HEARTBEAT_TIMEOUT',
      'PUSH_ONLINE > ONLINE v3 RECONNECT',
    ]);
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ attached: true }]);
  });

  test('ignores the late close of a socket whose session the same device replaced', async () => {
    const user = newUserId();
    const old = await logIn(server, user, 'IPHONE', 'phone');
    const oldSocket = await GraphqlSocket.open(server, old.token);
    oldSocket.tcp.pause();
    const fresh = await logIn(server, user, 'IPHONE', 'phone');
    const socket = await GraphqlSocket.open(server, fresh.token);
    oldSocket.sendReset();
    await delay(SETTLE_MS);
    expect(await reasons(user)).toEqual(['LOGIN', 'LOGIN', 'REPLACED']);
    expect(await socket.executeForData('{ me { id attached status } }')).toEqual({
      me: { id: fresh.sessionId, attached: true, status: 'ONLINE' },
    });
  });

  test('does not execute a message that arrives on a socket after its session ended', async () => {
    const user = newUserId();
    const old = await logIn(server, user, 'IPHONE', 'phone');
    const socket = await GraphqlSocket.open(server, old.token);
    socket.tcp.pause();
    await logIn(server, user, 'IPHONE', 'phone');
    socket.send({ id: 'late', type: 'subscribe', payload: { query: 'mutation { logout { userStatus { status } } }' } });
    await delay(SETTLE_MS);
    expect(await reasons(user)).toEqual(['LOGIN', 'LOGIN', 'REPLACED']);
    expect((await fetchUser(server, user)).status).toBe('ONLINE');
  });
});

describe.concurrent('closes by the server', () => {
  test('closes the socket of a watcher with 4413 when its JWT expires', async () => {
    const watcher = await Watcher.open(server, [newUserId()], await mintToken(newUserId(), { acceptedForS: 2 }));
    expect((await watcher.socket.closed).code).toBe(4413);
  });

  test('causes no DISCONNECT of the session that logged in on a socket that it closes with 4413', async () => {
    const user = newUserId();
    const watcher = await Watcher.open(server, [user]);
    const { socket, device } = await loggedInSocket(user, 'IPHONE', 2);
    const own = await GraphqlSocket.open(server, device.token);
    expect((await socket.closed).code).toBe(4413);
    await delay(SETTLE_MS);
    // The session and its other sockets do not depend on the JWT that started it.
    expect(own.open).toBe(true);
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ status: 'ONLINE', attached: true }]);
    expect(watcher.changeSummaries).toEqual(['OFFLINE > ONLINE v1 LOGIN']);
  });

  test('leaves the session ONLINE, not attached, and its token valid when it closes the only socket with 4413', async () => {
    const user = newUserId();
    const { socket, device } = await loggedInSocket(user, 'IPHONE', 2);
    expect((await socket.closed).code).toBe(4413);
    await delay(SETTLE_MS);
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ status: 'ONLINE', attached: false }]);
    expect(await reasons(user)).toEqual(['LOGIN']);
    expect(await postForData(server, device.token, '{ me { id } }')).toEqual({ me: { id: device.sessionId } });
  });

  test('lets the heartbeat timeout run on after 4413, without a grace period', async () => {
    const user = newUserId();
    const watcher = await Watcher.open(server, [user]);
    const { socket } = await loggedInSocket(user, 'LINUX', 2);
    expect((await socket.closed).code).toBe(4413);
    await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
    expect(watcher.changeSummaries).toEqual(['OFFLINE > ONLINE v1 LOGIN', 'ONLINE > OFFLINE v2 HEARTBEAT_TIMEOUT']);
  });

  test('keeps a socket open whose JWT is valid for a century', async () => {
    const socket = await GraphqlSocket.open(server, await mintToken(newUserId(), { expiresInS: 100 * 365 * 86_400 }));
    await delay(SETTLE_MS);
    expect(socket.open).toBe(true);
  });
});

describe.concurrent('sockets without a valid credential', () => {
  test.for<readonly [string, (user: string) => Promise<string | null>]>([
    ['no credential', () => Promise.resolve(null)],
    ['a JWT with a foreign signature', (user) => mintToken(user, { secret: 'x'.repeat(64) })],
    ['an unknown API key', () => Promise.resolve('an-api-key-that-does-not-exist')],
  ])('closes a socket with 4401: %s', async ([, token]) => {
    const socket = new GraphqlSocket(server);
    await socket.init(await token(newUserId()));
    expect((await socket.closed).code).toBe(4401);
    expect(socket.frames.all.filter(({ type }) => type === 'connection_ack')).toEqual([]);
  });

  test('closes a socket with 4413 when its JWT has expired already', async () => {
    const socket = new GraphqlSocket(server);
    await socket.init(await mintToken(newUserId(), { expiresInS: -3_600 }));
    expect((await socket.closed).code).toBe(4413);
  });

  test('closes a socket with 4401 for an operation before the acknowledgement', async () => {
    const socket = new GraphqlSocket(server);
    await new Promise((resolve) => socket.ws.once('open', resolve));
    socket.subscribe('{ stats { sockets } }');
    expect((await socket.closed).code).toBe(4401);
  });

  test('answers an expired JWT over HTTP with UNAUTHENTICATED', async () => {
    const expired = await mintToken(newUserId(), { expiresInS: -3_600 });
    expect(codeOf(await postOperation(server, expired, '{ __typename }'))).toBe('UNAUTHENTICATED');
  });
});
