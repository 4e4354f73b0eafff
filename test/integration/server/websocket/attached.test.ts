/** How sockets attach sessions, detach them, and record their activity. */
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness, LOGIN } from '../support/server-harness.ts';
import { TestSocket, type ServerMessage } from '../support/test-socket.ts';

const parseLogin = (reply: ServerMessage): { id: string; token: string } => {
  const { session, sessionToken } = (
    reply.payload?.['data'] as unknown as { login: { session: { id: string }; sessionToken: string } }
  ).login;
  return { id: session.id, token: sessionToken };
};

const readAttachedFlags = async (harness: ServerHarness, user: string): Promise<boolean[]> => {
  const { body } = await harness.post(
    'query ($id: ID!) { userStatus(userId: $id) { sessions { attached } } }',
    API_KEY,
    {
      id: user,
    },
  );
  return (body.data?.['userStatus'] as unknown as { sessions: { attached: boolean }[] }).sessions.map(
    ({ attached }) => attached,
  );
};

/** Waits until the server has registered this number of open sockets. */
const waitForSocketCount = (harness: ServerHarness, count: number) =>
  expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(count);
const waitForReason = (harness: ServerHarness, user: string, reason: string) =>
  expect.poll(async () => (await harness.reasons(user)).at(-1)).toBe(reason);

describe('a socket of a session', () => {
  test.each<[string, (socket: TestSocket) => void]>([
    ['with a close frame', (socket) => socket.webSocket.close(1000)],
    ['with a FIN', (socket) => socket.tcpSocket.end()],
    ['with a RST', (socket) => socket.resetTcp()],
    ['by terminating', (socket) => socket.webSocket.terminate()],
  ])('closed %s causes a DISCONNECT: PUSH_ONLINE on a phone', async (_how, close) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    expect(await readAttachedFlags(harness, 'alice')).toEqual([true]);
    close(socket);
    await waitForReason(harness, 'alice', 'DISCONNECT');
    expect(await harness.status('alice')).toBe('PUSH_ONLINE');
    expect(await readAttachedFlags(harness, 'alice')).toEqual([false]);
    expect(harness.application.socketRegistry.openSocketCount).toBe(0);
  });

  test.each<[string, (socket: TestSocket) => void]>([
    ['a close frame', (socket) => socket.webSocket.close(1000)],
    ['a FIN', (socket) => socket.tcpSocket.end()],
  ])('is detached by %s at once, so that later activity of the client comes after it', async (_how, startClose) => {
    const harness = await ServerHarness.open();
    const policy = 'mutation ($i: UpdatePolicyInput!) { updatePolicy(input: $i) { policy { pushOnlineExpiryMs } } }';
    await harness.post(policy, API_KEY, { i: { platforms: [{ platform: 'IPHONE', disconnectGraceMs: 5_000 }] } });
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    // The client does not read the answer to its close, so the connection stays open.
    socket.tcpSocket.pause();
    startClose(socket);
    await expect.poll(() => readAttachedFlags(harness, 'alice')).toEqual([false]);
    await harness.post('{ me { id } }', token);
    await harness.advanceTime(5_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    socket.webSocket.terminate();
    await waitForSocketCount(harness, 0);
    await harness.advanceTime(5_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('receives the responses to messages before its FIN', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    socket.tcpSocket.cork();
    socket.send({ type: 'ping' });
    socket.tcpSocket.end();
    expect(await socket.nextMessage()).toEqual({ type: 'pong' });
  });

  test('causes a DISCONNECT only as the last socket of its session', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const first = await TestSocket.connect(harness.socketUrl, token);
    const second = await TestSocket.connect(harness.socketUrl, token);
    first.resetTcp();
    await waitForSocketCount(harness, 1);
    expect(await readAttachedFlags(harness, 'alice')).toEqual([true]);
    expect((await second.execute('{ me { attached } }')).type).toBe('next');
    second.webSocket.close();
    await waitForReason(harness, 'alice', 'DISCONNECT');
    expect(await harness.status('alice')).toBe('OFFLINE');
  });

  test('does not affect a newer socket of the session when it closes late', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const older = await TestSocket.connect(harness.socketUrl, token);
    await harness.advanceTime(399_000);
    const newer = await TestSocket.connect(harness.socketUrl, token);
    older.resetTcp();
    await waitForSocketCount(harness, 1);
    await harness.advanceTime(399_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(newer.webSocket.readyState).toBe(newer.webSocket.OPEN);
    expect(await readAttachedFlags(harness, 'alice')).toEqual([true]);
  });

  test('causes a RECONNECT when it is opened again', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    (await TestSocket.connect(harness.socketUrl, token)).resetTcp();
    await waitForReason(harness, 'alice', 'DISCONNECT');
    await TestSocket.connect(harness.socketUrl, token);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT', 'RECONNECT']);
  });

  test('causes a DISCONNECT when it is closed for a protocol error', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    socket.webSocket.send('{');
    expect((await socket.closed).code).toBe(4400);
    await waitForReason(harness, 'alice', 'DISCONNECT');
  });

  test('is detached even if it closes while it is being attached', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const update = vi.spyOn(harness.store, 'updateUser');
    const attaching = new Promise<void>((resolve) => {
      update.mockImplementationOnce(async (...args) => {
        update.mockRestore();
        resolve();
        socket.resetTcp();
        // The server detects the close before the store updates the user.
        await waitForSocketCount(harness, 0);
        return harness.store.updateUser(...args);
      });
    });
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${token}` });
    await attaching;
    await expect.poll(() => readAttachedFlags(harness, 'alice')).toEqual([false]);
  });
});

describe('activity', () => {
  /** Acts shortly before the timeout. Returns whether that kept the session online. */
  const keepsAlive = async (act: (socket: TestSocket) => Promise<unknown>): Promise<boolean> => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token, { autoPong: false });
    await harness.advanceTime(390_000);
    await act(socket);
    await harness.advanceTime(15_000);
    return (await harness.status('alice')) === 'ONLINE';
  };

  test('is a ping frame, a ping message, an operation or a heartbeat', async () => {
    expect(await keepsAlive((socket) => socket.waitForRoundTrip())).toBe(true);
    expect(await keepsAlive((socket) => (socket.send({ type: 'ping' }), socket.nextMessage()))).toBe(true);
    expect(await keepsAlive((socket) => socket.execute('{ __typename }'))).toBe(true);
    expect(await keepsAlive((socket) => socket.execute('mutation { heartbeat { heartbeatIntervalMs } }'))).toBe(true);
  });

  test('is not recorded without a message', async () => {
    expect(await keepsAlive(async () => undefined)).toBe(false);
  });

  test.each<[string, (socket: TestSocket) => void]>([
    ['a pong frame', (socket) => socket.webSocket.pong()],
    ['a pong message', (socket) => socket.send({ type: 'pong' })],
    ['a pong message in another order', (socket) => socket.send({ payload: { type: 'ping' }, type: 'pong' })],
  ])('is not %s', async (_what, act) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token, { autoPong: false });
    await harness.advanceTime(390_000);
    act(socket);
    // The server reads in order, so it has read the pong before the close.
    socket.webSocket.close();
    await waitForReason(harness, 'alice', 'DISCONNECT');
    const [alice] = await harness.store.readUsers(['alice' as never]);
    const [session] = alice?.sessions ?? [];
    expect(session?.lastSeenAt).toBeLessThan((session?.loggedInAt ?? 0) + 390_000);
  });

  test.each([
    '{ __typename }',
    'mutation { heartbeat { heartbeatIntervalMs } }',
    'mutation { beat: heartbeat(input: { appState: BACKGROUND }) { heartbeatIntervalMs } }',
  ])('is written to the store once per message: %s', async (query) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    const update = vi.spyOn(harness.store, 'updateUser');
    await socket.execute(query);
    expect(update).toHaveBeenCalledTimes(1);
  });

  test.each<[string, string, Record<string, unknown>?]>([
    ['that is skipped by a directive', 'mutation { heartbeat @skip(if: true) { heartbeatIntervalMs } }'],
    [
      'with invalid variables',
      'mutation ($input: HeartbeatInput) { heartbeat(input: $input) { heartbeatIntervalMs } }',
      { input: 1 },
    ],
    ['that is an alias in a query', '{ heartbeat: __typename }'],
  ])('is also a heartbeat %s', async (_what, query, variables) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    await harness.advanceTime(390_000);
    await socket.execute(query, variables);
    await harness.advanceTime(15_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test.each(['{"type":"ping"}', '{ "type": "ping" }'])(
    'is recorded and answered for any spelling of a ping: %s',
    async (ping) => {
      const harness = await ServerHarness.open();
      const { token } = await harness.login('alice', 'IPHONE');
      const socket = new TestSocket(harness.socketUrl);
      await socket.opened;
      socket.webSocket.send(ping);
      expect(await socket.nextMessage()).toEqual({ type: 'pong' });
      await socket.sendInit({ authorization: `Bearer ${token}` });
      expect((await socket.nextMessage()).type).toBe('connection_ack');
      await harness.advanceTime(390_000);
      socket.webSocket.send(ping);
      expect(await socket.nextMessage()).toEqual({ type: 'pong' });
      await harness.advanceTime(15_000);
      expect(await harness.reasons('alice')).toEqual(['LOGIN']);
      await harness.post('mutation { logout { userStatus { version } } }', token);
      expect((await socket.closed).code).toBe(4410);
      expect(socket.unreadMessages).toEqual([]);
    },
  );

  test('is not lost when many pings arrive at once', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    const recordActivity = vi.spyOn(harness.application.tracker, 'recordActivity');
    await harness.advanceTime(390_000);
    for (let count = 0; count < 200; count++) socket.webSocket.ping();
    await socket.waitForRoundTrip();
    await harness.advanceTime(390_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(recordActivity.mock.calls.length).toBeLessThan(200);
  });
});

describe('a login over a socket', () => {
  test('attaches the socket to the new session and keeps the socket open, also when repeated', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    expect((await socket.execute('{ me { id } }')).payload?.['errors']).toMatchObject([
      { extensions: { code: 'UNAUTHENTICATED' } },
    ]);
    const first = parseLogin(await socket.execute(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } }));
    expect(await socket.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: first.id, attached: true } } },
    });
    const again = parseLogin(await socket.execute(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } }));
    const second = parseLogin(await socket.execute(LOGIN, { input: { platform: 'WEB' } }));
    expect(await socket.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: second.id, attached: true } } },
    });
    expect(again.id).not.toBe(first.id);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'LOGIN', 'REPLACED', 'LOGIN', 'KICKED']);
    socket.resetTcp();
    await waitForReason(harness, 'alice', 'DISCONNECT');
  });

  test('leaves no session attached if the socket closes before the login is stored', async () => {
    const harness = await ServerHarness.open();
    const jwt = await harness.jwt('alice');
    const socket = await TestSocket.connect(harness.socketUrl, jwt);
    const login = vi.spyOn(harness.application.tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      socket.resetTcp();
      await waitForSocketCount(harness, 0);
      return harness.application.tracker.login(...args);
    });
    socket.subscribe(LOGIN, { input: { platform: 'IPHONE' } });
    await waitForReason(harness, 'alice', 'DISCONNECT');
    expect(await readAttachedFlags(harness, 'alice')).toEqual([false]);
  });

  test('is answered before the socket closes if its session ends in the meantime', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const { tracker } = harness.application;
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      const answer = await tracker.login(...args);
      await tracker.logout({ userId: args[0], sessionId: answer.session.id });
      return answer;
    });
    expect(parseLogin(await socket.execute(LOGIN, { input: { platform: 'IPHONE' } })).id).toBeTypeOf('string');
    expect(await socket.closed).toEqual({ code: 4410, reason: 'LOGOUT' });
  });

  test('keeps the socket open if its previous session ends during the login', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const first = parseLogin(await socket.execute(LOGIN, { input: { platform: 'IPHONE' } }));
    const { tracker } = harness.application;
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      await tracker.logout({ userId: args[0], sessionId: first.id as never });
      return tracker.login(...args);
    });
    const second = parseLogin(await socket.execute(LOGIN, { input: { platform: 'IPHONE' } }));
    expect(await socket.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: second.id, attached: true } } },
    });
  });
});
