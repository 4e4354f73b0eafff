/** Several sockets of one session, old ones that close late, and those that the server closes itself. */
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
/** Time enough for a close to arrive and to count, if it is going to. */
const SETTLE_MS = 500;

/** A socket opened with a JWT that has so long to live, on which a device has logged in. */
const loggedInSocket = async (user: string, platform: Platform, expiresInS: number) => {
  const socket = await GraphqlSocket.open(server, await mintToken(user, { expiresInS }));
  const device = deviceOf(await socket.executeForData<LoginResult>(LOGIN, { input: { platform } }));
  return { socket, device };
};

describe.concurrent('several sockets of one session', () => {
  test('only the last one to close counts', async () => {
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
  ] as const)('on %s all of them are closed with %i when it times out', async ([platform, code]) => {
    const user = newUserId();
    await updatePolicy(server, { platforms: [{ platform: 'MINI_PROGRAM', backgroundTimeoutMs: 1_000 }] });
    const device = await logIn(server, user, platform);
    const sockets = await Promise.all([1, 2, 3].map(() => GraphqlSocket.open(server, device.token)));
    await sendHeartbeat(server, device, 'BACKGROUND');
    for (const closed of await Promise.all(sockets.map((socket) => socket.closed))) expect(closed.code).toBe(code);
    expect(await reasons(user)).toEqual(['LOGIN', code === 4412 ? 'HEARTBEAT_TIMEOUT' : 'BACKGROUND_TIMEOUT']);
  });

  test('all of them are closed with 4410 when it ends, and those of other sessions are not', async () => {
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

describe.concurrent('a late close of an old link touches nothing', () => {
  test('of a session that timed out on it and is back on another', async () => {
    const user = newUserId();
    const phone = await logIn(server, user, 'ANDROID');
    const watcher = await Watcher.open(server, [user]);
    const old = await GraphqlSocket.open(server, phone.token);
    // Frozen: it neither hears that it is closed, nor answers.
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

  test('of a session that was replaced by the same device', async () => {
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

  test('an old socket that still had something to say after its session ended says it in vain', async () => {
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

describe.concurrent('sockets that the server closes for reasons of its own', () => {
  test('4413: the JWT of a watcher has expired', async () => {
    const watcher = await Watcher.open(server, [newUserId()], await mintToken(newUserId(), { expiresInS: 2 }));
    expect((await watcher.socket.closed).code).toBe(4413);
  });

  test('4413 is no DISCONNECT of the session that logged in there: it stays ONLINE', async () => {
    const user = newUserId();
    const watcher = await Watcher.open(server, [user]);
    const { socket, device } = await loggedInSocket(user, 'IPHONE', 2);
    const own = await GraphqlSocket.open(server, device.token);
    expect((await socket.closed).code).toBe(4413);
    await delay(SETTLE_MS);
    // The session does not depend on the JWT it began with, nor do its other sockets.
    expect(own.open).toBe(true);
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ status: 'ONLINE', attached: true }]);
    expect(watcher.changeSummaries).toEqual(['OFFLINE > ONLINE v1 LOGIN']);
  });

  test('4413 on the only socket: ONLINE, not attached, and the session’s token still serves', async () => {
    const user = newUserId();
    const { socket, device } = await loggedInSocket(user, 'IPHONE', 2);
    expect((await socket.closed).code).toBe(4413);
    await delay(SETTLE_MS);
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ status: 'ONLINE', attached: false }]);
    expect(await reasons(user)).toEqual(['LOGIN']);
    expect(await postForData(server, device.token, '{ me { id } }')).toEqual({ me: { id: device.sessionId } });
  });

  test('after 4413 the heartbeat timeout runs on, and no grace with it', async () => {
    const user = newUserId();
    const watcher = await Watcher.open(server, [user]);
    const { socket } = await loggedInSocket(user, 'LINUX', 2);
    expect((await socket.closed).code).toBe(4413);
    await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
    expect(watcher.changeSummaries).toEqual(['OFFLINE > ONLINE v1 LOGIN', 'ONLINE > OFFLINE v2 HEARTBEAT_TIMEOUT']);
  });

  test('a JWT that is good for a century closes nothing', async () => {
    const socket = await GraphqlSocket.open(server, await mintToken(newUserId(), { expiresInS: 100 * 365 * 86_400 }));
    await delay(SETTLE_MS);
    expect(socket.open).toBe(true);
  });
});

describe.concurrent('who may not open one', () => {
  test.for<readonly [string, (user: string) => Promise<string | null>]>([
    ['nobody', () => Promise.resolve(null)],
    ['a JWT that has been signed by someone else', (user) => mintToken(user, { secret: 'x'.repeat(64) })],
    ['an unknown API key', () => Promise.resolve('an-api-key-that-nobody-has-given-out')],
  ])('%s: 4401, do not come back', async ([, token]) => {
    const socket = new GraphqlSocket(server);
    await socket.init(await token(newUserId()));
    expect((await socket.closed).code).toBe(4401);
    expect(socket.frames.all.filter(({ type }) => type === 'connection_ack')).toEqual([]);
  });

  test('one whose JWT has expired: 4413, come back with a new one', async () => {
    const socket = new GraphqlSocket(server);
    await socket.init(await mintToken(newUserId(), { expiresInS: -3_600 }));
    expect((await socket.closed).code).toBe(4413);
  });

  test('an operation before the acknowledgement: 4401', async () => {
    const socket = new GraphqlSocket(server);
    await new Promise((resolve) => socket.ws.once('open', resolve));
    socket.subscribe('{ stats { sockets } }');
    expect((await socket.closed).code).toBe(4401);
  });

  test('an answer over HTTP says why', async () => {
    const expired = await mintToken(newUserId(), { expiresInS: -3_600 });
    expect(codeOf(await postOperation(server, expired, '{ __typename }'))).toBe('UNAUTHENTICATED');
  });
});
