/** What keeps a session ONLINE, and what only looks as if it did. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  logIn,
  newUserId,
  createPushOnlineDevice,
  startSharedServer,
  updatePolicy,
  fetchUser,
  Watcher,
  type Device,
} from '../support/users.ts';
import { expectOnTime, repeatFor, delay, RETRY_AFTER_STALL, measureStalls, measureSpan } from '../support/stopwatch.ts';

vi.setConfig({ maxConcurrency: 50 });

const server = startSharedServer();
const stall = measureStalls(server);
const TIMEOUT_MS = 1_600;
const ME = '{ me { id attached status } }';

beforeAll(() =>
  updatePolicy(server, {
    multiDevice: { mode: 'MULTI' },
    platforms: [{ platform: 'ANDROID', heartbeatIntervalMs: 500, heartbeatTimeoutMs: TIMEOUT_MS }],
  }),
);

interface Scene {
  readonly device: Device;
  /** A socket of the session, open all the time. */
  readonly socket: GraphqlSocket;
}

describe.concurrent('a sign of life', () => {
  test.for<readonly [string, (scene: Scene) => unknown]>([
    ['a ping frame', ({ socket }) => socket.ws.ping()],
    ['a ping message', ({ socket }) => socket.send({ type: 'ping' })],
    ['a query over the socket', ({ socket }) => socket.executeForData(ME)],
    ['an operation that is refused', ({ socket }) => socket.execute('{ stats { sockets } }')],
    ['completing what was never subscribed', ({ socket }) => socket.complete('nothing')],
    ['a query over HTTP with the session’s token', ({ device }) => postForData(server, device.token, ME)],
    ['a heartbeat over HTTP', ({ device }) => sendHeartbeat(server, device)],
    ['another socket', async ({ device }) => void (await GraphqlSocket.open(server, device.token))],
  ])('%s', RETRY_AFTER_STALL, async ([, sign]) => {
    const user = newUserId();
    const device = await logIn(server, user);
    const socket = await GraphqlSocket.open(server, device.token);
    const watcher = await Watcher.open(server, [user]);
    await repeatFor(2.5 * TIMEOUT_MS, 300, () => sign({ device, socket }));
    expect(watcher.changeSummaries).toEqual([]);
    expect((await fetchUser(server, user)).status).toBe('ONLINE');
    expect(socket.open).toBe(true);
  });
});

describe.concurrent('no sign of life', () => {
  const nothing = () => undefined;
  test.for<readonly [string, (scene: Scene) => unknown]>([
    ['silence', nothing],
    ['an unasked pong frame', ({ socket }) => socket.open && socket.ws.pong()],
    ['an unasked pong message', ({ socket }) => socket.open && socket.send({ type: 'pong' })],
    [
      'a query with the user’s own JWT',
      async ({ device }) => postForData(server, await mintToken(device.userId), '{ __typename }'),
    ],
    ['a backend that looks', ({ device }) => fetchUser(server, device.userId)],
  ])('%s', async ([, act]) => {
    const user = newUserId();
    const device = await logIn(server, user);
    const attached = await measureSpan(() => GraphqlSocket.open(server, device.token));
    const watcher = await Watcher.open(server, [user]);
    const acting = repeatFor(2 * TIMEOUT_MS, 200, () => act({ device, socket: attached.value }));
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 HEARTBEAT_TIMEOUT']);
    expectOnTime(attached, watcher.changes.receivedAt[0] ?? 0, TIMEOUT_MS, stall);
    expect((await attached.value.closed).code).toBe(4412);
    await acting;
    // Nor does any of it bring her back.
    expect((await fetchUser(server, user)).status).toBe('PUSH_ONLINE');
  });

  test('another session of the same user, who beats', async () => {
    const user = newUserId();
    const silent = await logIn(server, user, 'ANDROID');
    const lively = await logIn(server, user, 'LINUX');
    const socket = await GraphqlSocket.open(server, silent.token);
    await repeatFor(2 * TIMEOUT_MS, 200, () => sendHeartbeat(server, lively));
    expect((await socket.closed).code).toBe(4412);
    const { status, sessions } = await fetchUser(server, user);
    expect(status).toBe('ONLINE');
    expect(sessions.map((session) => [session.platform, session.status])).toEqual([
      ['ANDROID', 'PUSH_ONLINE'],
      ['LINUX', 'ONLINE'],
    ]);
  });

  test('a socket that is opened with the JWT and has not logged in', async () => {
    const user = newUserId();
    const device = await measureSpan(() => logIn(server, user));
    const socket = await GraphqlSocket.open(server, await mintToken(user));
    const watcher = await Watcher.open(server, [user]);
    await repeatFor(2 * TIMEOUT_MS, 200, () => {
      socket.send({ type: 'ping' });
      socket.ws.ping();
    });
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 HEARTBEAT_TIMEOUT']);
    expectOnTime(device, watcher.changes.receivedAt[0] ?? 0, TIMEOUT_MS, stall);
    expect(socket.open).toBe(true);
  });

  test('what the server sends: changes of others, and the answers to them', async () => {
    const user = newUserId();
    const other = newUserId();
    const device = await logIn(server, user);
    const watcher = await Watcher.open(server, [user]);
    // She watches, which the subscription itself is a sign of; from then on she only listens.
    const span = await measureSpan(() => Watcher.open(server, [other], device.token));
    const noisy = await logIn(server, other, 'LINUX');
    await repeatFor(2 * TIMEOUT_MS, 200, () =>
      postForData(
        server,
        noisy.token,
        `mutation { setCustomStatus(input: {text: "${performance.now()}"}) { userStatus { version } } }`,
      ),
    );
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 HEARTBEAT_TIMEOUT']);
    expectOnTime(span, watcher.changes.receivedAt[0] ?? 0, TIMEOUT_MS, stall);
  });
});

describe.concurrent('HTTP alone', () => {
  test('a session that only uses HTTP is never attached, however often it calls', async () => {
    const user = newUserId();
    const device = await logIn(server, user);
    expect(await postForData(server, device.token, ME)).toMatchObject({ me: { attached: false, status: 'ONLINE' } });
    expect(await sendHeartbeat(server, device)).toMatchObject({ attached: false });
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ attached: false }]);
  });

  test('a session that is silent over HTTP times out like any other, and a query brings it back', async () => {
    const user = newUserId();
    const device = await measureSpan(() => logIn(server, user));
    const watcher = await Watcher.open(server, [user]);
    await watcher.next();
    expectOnTime(device, watcher.changes.receivedAt[0] ?? 0, TIMEOUT_MS, stall);
    await postForData(server, device.value.token, ME);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual([
      'ONLINE > PUSH_ONLINE v2 HEARTBEAT_TIMEOUT',
      'PUSH_ONLINE > ONLINE v3 RECONNECT',
    ]);
  });

  test('lastSeenAt follows the signs of life', async () => {
    const user = newUserId();
    const device = await createPushOnlineDevice(server, user, 'IPHONE');
    const before = (await fetchUser(server, user)).lastSeenAt ?? '';
    await delay(20);
    await fetchUser(server, user);
    expect((await fetchUser(server, user)).lastSeenAt).toBe(before);
    await sendHeartbeat(server, device);
    expect(Date.parse((await fetchUser(server, user)).lastSeenAt ?? '')).toBeGreaterThan(Date.parse(before));
  });
});
