/** What counts as activity of a session, and what does not. */
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

interface SessionContext {
  readonly device: Device;
  /** A socket of the session, open all the time. */
  readonly socket: GraphqlSocket;
}

describe.concurrent('activity', () => {
  test.for<readonly [string, (context: SessionContext) => unknown]>([
    ['a ping frame', ({ socket }) => socket.ws.ping()],
    ['a ping message', ({ socket }) => socket.send({ type: 'ping' })],
    ['a query over the socket', ({ socket }) => socket.executeForData(ME)],
    ['a forbidden operation', ({ socket }) => socket.execute('{ stats { sockets } }')],
    ['a complete message without an operation', ({ socket }) => socket.complete('nothing')],
    ['a query over HTTP with the session’s token', ({ device }) => postForData(server, device.token, ME)],
    ['a heartbeat over HTTP', ({ device }) => sendHeartbeat(server, device)],
    ['opening another socket', async ({ device }) => void (await GraphqlSocket.open(server, device.token))],
  ])('keeps a session ONLINE: %s', RETRY_AFTER_STALL, async ([, act]) => {
    const user = newUserId();
    const device = await logIn(server, user);
    const socket = await GraphqlSocket.open(server, device.token);
    const watcher = await Watcher.open(server, [user]);
    await repeatFor(2.5 * TIMEOUT_MS, 300, () => act({ device, socket }));
    expect(watcher.changeSummaries).toEqual([]);
    expect((await fetchUser(server, user)).status).toBe('ONLINE');
    expect(socket.open).toBe(true);
  });
});

describe.concurrent('inactivity', () => {
  const doNothing = () => undefined;
  test.for<readonly [string, (context: SessionContext) => unknown]>([
    ['nothing at all', doNothing],
    ['an unsolicited pong frame', ({ socket }) => socket.open && socket.ws.pong()],
    ['an unsolicited pong message', ({ socket }) => socket.open && socket.send({ type: 'pong' })],
    [
      'a query with the user’s own JWT',
      async ({ device }) => postForData(server, await mintToken(device.userId), '{ __typename }'),
    ],
    ['a query of a backend', ({ device }) => fetchUser(server, device.userId)],
  ])('lets a session time out despite %s', async ([, act]) => {
    const user = newUserId();
    const device = await logIn(server, user);
    const attached = await measureSpan(() => GraphqlSocket.open(server, device.token));
    const watcher = await Watcher.open(server, [user]);
    const actions = repeatFor(2 * TIMEOUT_MS, 200, () => act({ device, socket: attached.value }));
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 HEARTBEAT_TIMEOUT']);
    expectOnTime(attached, watcher.changes.receivedAt[0] ?? 0, TIMEOUT_MS, stall);
    expect((await attached.value.closed).code).toBe(4412);
    await actions;
    // None of it makes the session ONLINE again.
    expect((await fetchUser(server, user)).status).toBe('PUSH_ONLINE');
  });

  test('lets a session time out despite heartbeats of another session of the user', async () => {
    const user = newUserId();
    const inactive = await logIn(server, user, 'ANDROID');
    const active = await logIn(server, user, 'LINUX');
    const socket = await GraphqlSocket.open(server, inactive.token);
    await repeatFor(2 * TIMEOUT_MS, 200, () => sendHeartbeat(server, active));
    expect((await socket.closed).code).toBe(4412);
    const { status, sessions } = await fetchUser(server, user);
    expect(status).toBe('ONLINE');
    expect(sessions.map((session) => [session.platform, session.status])).toEqual([
      ['ANDROID', 'PUSH_ONLINE'],
      ['LINUX', 'ONLINE'],
    ]);
  });

  test('lets a session time out despite pings on a socket of the JWT that has not logged in', async () => {
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

  test('lets a session time out despite changes that it receives as a watcher', async () => {
    const user = newUserId();
    const other = newUserId();
    const device = await logIn(server, user);
    const watcher = await Watcher.open(server, [user]);
    // The subscription itself counts as activity. Afterwards the session only receives.
    const span = await measureSpan(() => Watcher.open(server, [other], device.token));
    const changingDevice = await logIn(server, other, 'LINUX');
    await repeatFor(2 * TIMEOUT_MS, 200, () =>
      postForData(
        server,
        changingDevice.token,
        `mutation { setCustomStatus(input: {text: "${performance.now()}"}) { userStatus { version } } }`,
      ),
    );
    expect(watcher.changeSummaries).toEqual(['ONLINE > PUSH_ONLINE v2 HEARTBEAT_TIMEOUT']);
    expectOnTime(span, watcher.changes.receivedAt[0] ?? 0, TIMEOUT_MS, stall);
  });
});

describe.concurrent('a session over HTTP only', () => {
  test('is never attached', async () => {
    const user = newUserId();
    const device = await logIn(server, user);
    expect(await postForData(server, device.token, ME)).toMatchObject({ me: { attached: false, status: 'ONLINE' } });
    expect(await sendHeartbeat(server, device)).toMatchObject({ attached: false });
    expect((await fetchUser(server, user)).sessions).toMatchObject([{ attached: false }]);
  });

  test('times out without requests, and a query makes it ONLINE again', async () => {
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

  test('has its lastSeenAt updated by its own activity, not by queries of a backend', async () => {
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
