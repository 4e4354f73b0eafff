/** Sockets and the sessions they serve: attached, left, lost. */
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness, LOGIN } from '../support/server-harness.ts';
import { TestSocket, type ServerMessage } from '../support/test-socket.ts';

const sessionOf = (reply: ServerMessage): { id: string; token: string } => {
  const { session, sessionToken } = (
    reply.payload?.['data'] as unknown as { login: { session: { id: string }; sessionToken: string } }
  ).login;
  return { id: session.id, token: sessionToken };
};

const attachedOf = async (harness: ServerHarness, user: string): Promise<boolean[]> => {
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

/** Waits until the server knows that so many sockets are open. */
const untilSockets = (harness: ServerHarness, count: number) =>
  expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(count);
const untilReason = (harness: ServerHarness, user: string, reason: string) =>
  expect.poll(async () => (await harness.reasons(user)).at(-1)).toBe(reason);

describe('a session’s socket', () => {
  test.each<[string, (wire: TestSocket) => void]>([
    ['with a close frame', (wire) => wire.webSocket.close(1000)],
    ['with a FIN', (wire) => wire.tcpSocket.end()],
    ['with a RST', (wire) => wire.resetTcp()],
    ['cut off', (wire) => wire.webSocket.terminate()],
  ])('that closes %s is a DISCONNECT: PUSH_ONLINE on a phone', async (_how, close) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    expect(await attachedOf(harness, 'alice')).toEqual([true]);
    close(wire);
    await untilReason(harness, 'alice', 'DISCONNECT');
    expect(await harness.status('alice')).toBe('PUSH_ONLINE');
    expect(await attachedOf(harness, 'alice')).toEqual([false]);
    expect(harness.application.socketRegistry.openSocketCount).toBe(0);
  });

  test.each<[string, (wire: TestSocket) => void]>([
    ['a close frame', (wire) => wire.webSocket.close(1000)],
    ['a FIN', (wire) => wire.tcpSocket.end()],
  ])(
    'counts as closed with %s, however long its end takes: what the client does next comes after',
    async (_how, say) => {
      const harness = await ServerHarness.open();
      const policy = 'mutation ($i: UpdatePolicyInput!) { updatePolicy(input: $i) { policy { pushOnlineExpiryMs } } }';
      await harness.post(policy, API_KEY, { i: { platforms: [{ platform: 'IPHONE', disconnectGraceMs: 5_000 }] } });
      const { token } = await harness.login('alice', 'IPHONE');
      const wire = await TestSocket.connect(harness.socketUrl, token);
      // It never reads the answer to its goodbye, so the connection stays as it is.
      wire.tcpSocket.pause();
      say(wire);
      await expect.poll(() => attachedOf(harness, 'alice')).toEqual([false]);
      await harness.post('{ me { id } }', token);
      await harness.advanceTime(5_000);
      expect(await harness.reasons('alice')).toEqual(['LOGIN']);
      wire.webSocket.terminate();
      await untilSockets(harness, 0);
      await harness.advanceTime(5_000);
      expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    },
  );

  test('that closes with a FIN is sent what was answered before it', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    wire.tcpSocket.cork();
    wire.send({ type: 'ping' });
    wire.tcpSocket.end();
    expect(await wire.nextMessage()).toEqual({ type: 'pong' });
  });

  test('is one of several: the last to close counts', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const first = await TestSocket.connect(harness.socketUrl, token);
    const second = await TestSocket.connect(harness.socketUrl, token);
    first.resetTcp();
    await untilSockets(harness, 1);
    expect(await attachedOf(harness, 'alice')).toEqual([true]);
    expect((await second.execute('{ me { attached } }')).type).toBe('next');
    second.webSocket.close();
    await untilReason(harness, 'alice', 'DISCONNECT');
    expect(await harness.status('alice')).toBe('OFFLINE');
  });

  test('that closes late does not touch the one that took its place', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const old = await TestSocket.connect(harness.socketUrl, token);
    await harness.advanceTime(399_000);
    const young = await TestSocket.connect(harness.socketUrl, token);
    old.resetTcp();
    await untilSockets(harness, 1);
    await harness.advanceTime(399_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(young.webSocket.readyState).toBe(young.webSocket.OPEN);
    expect(await attachedOf(harness, 'alice')).toEqual([true]);
  });

  test('coming back is a RECONNECT', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    (await TestSocket.connect(harness.socketUrl, token)).resetTcp();
    await untilReason(harness, 'alice', 'DISCONNECT');
    await TestSocket.connect(harness.socketUrl, token);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT', 'RECONNECT']);
  });

  test('that closes for an error of its client is a DISCONNECT too', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    wire.webSocket.send('{');
    expect((await wire.closed).code).toBe(4400);
    await untilReason(harness, 'alice', 'DISCONNECT');
  });

  test('that is gone before it is attached is detached nevertheless', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const update = vi.spyOn(harness.store, 'updateUser');
    const attaching = new Promise<void>((resolve) => {
      update.mockImplementationOnce(async (...args) => {
        update.mockRestore();
        resolve();
        wire.resetTcp();
        // The store takes its time, and the close is seen meanwhile.
        await untilSockets(harness, 0);
        return harness.store.updateUser(...args);
      });
    });
    const wire = new TestSocket(harness.socketUrl);
    await wire.sendInit({ authorization: `Bearer ${token}` });
    await attaching;
    await expect.poll(() => attachedOf(harness, 'alice')).toEqual([false]);
  });
});

describe('signs of life', () => {
  /** Does something at the last moment; was it a sign of life? */
  const keepsAlive = async (act: (wire: TestSocket) => Promise<unknown>): Promise<boolean> => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token, { autoPong: false });
    await harness.advanceTime(390_000);
    await act(wire);
    await harness.advanceTime(15_000);
    return (await harness.status('alice')) === 'ONLINE';
  };

  test('are a ping frame, a ping message, an operation, its end, and a heartbeat', async () => {
    expect(await keepsAlive((wire) => wire.waitForRoundTrip())).toBe(true);
    expect(await keepsAlive((wire) => (wire.send({ type: 'ping' }), wire.nextMessage()))).toBe(true);
    expect(await keepsAlive((wire) => wire.execute('{ __typename }'))).toBe(true);
    expect(await keepsAlive((wire) => wire.execute('mutation { heartbeat { heartbeatIntervalMs } }'))).toBe(true);
  });

  test('are none: silence', async () => {
    expect(await keepsAlive(async () => undefined)).toBe(false);
  });

  test.each<[string, (wire: TestSocket) => void]>([
    ['a pong frame', (wire) => wire.webSocket.pong()],
    ['a pong message', (wire) => wire.send({ type: 'pong' })],
    ['a pong message in another order', (wire) => wire.send({ payload: { type: 'ping' }, type: 'pong' })],
  ])('are none: %s', async (_what, act) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token, { autoPong: false });
    await harness.advanceTime(390_000);
    act(wire);
    // The server reads in order: when it knows of the close it has seen the pong.
    wire.webSocket.close();
    await untilReason(harness, 'alice', 'DISCONNECT');
    const [alice] = await harness.store.readUsers(['alice' as never]);
    const [session] = alice?.sessions ?? [];
    expect(session?.lastSeenAt).toBeLessThan((session?.loggedInAt ?? 0) + 390_000);
  });

  test.each([
    '{ __typename }',
    'mutation { heartbeat { heartbeatIntervalMs } }',
    'mutation { beat: heartbeat(input: { appState: BACKGROUND }) { heartbeatIntervalMs } }',
  ])('are told to the store once for each message: %s', async (query) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    const update = vi.spyOn(harness.store, 'updateUser');
    await wire.execute(query);
    expect(update).toHaveBeenCalledTimes(1);
  });

  test.each<[string, string, Record<string, unknown>?]>([
    ['that skips itself', 'mutation { heartbeat @skip(if: true) { heartbeatIntervalMs } }'],
    [
      'whose variables do not fit',
      'mutation ($input: HeartbeatInput) { heartbeat(input: $input) { heartbeatIntervalMs } }',
      { input: 1 },
    ],
    ['that is a query', '{ heartbeat: __typename }'],
  ])('are also a heartbeat %s', async (_what, query, variables) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    await harness.advanceTime(390_000);
    await wire.execute(query, variables);
    await harness.advanceTime(15_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test.each(['{"type":"ping"}', '{ "type": "ping" }'])('and an answer, however they are spelt: %s', async (ping) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    wire.webSocket.send(ping);
    expect(await wire.nextMessage()).toEqual({ type: 'pong' });
    await wire.sendInit({ authorization: `Bearer ${token}` });
    expect((await wire.nextMessage()).type).toBe('connection_ack');
    await harness.advanceTime(390_000);
    wire.webSocket.send(ping);
    expect(await wire.nextMessage()).toEqual({ type: 'pong' });
    await harness.advanceTime(15_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    await harness.post('mutation { logout { userStatus { version } } }', token);
    expect((await wire.closed).code).toBe(4410);
    expect(wire.unreadMessages).toEqual([]);
  });

  test('are not lost when many come at once', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    const life = vi.spyOn(harness.application.tracker, 'recordActivity');
    await harness.advanceTime(390_000);
    for (let count = 0; count < 200; count++) wire.webSocket.ping();
    await wire.waitForRoundTrip();
    await harness.advanceTime(390_000);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(life.mock.calls.length).toBeLessThan(200);
  });
});

describe('a user’s socket that logs in', () => {
  test('is attached to the session, moves on to the next, and is not closed by its own login', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    expect((await wire.execute('{ me { id } }')).payload?.['errors']).toMatchObject([
      { extensions: { code: 'UNAUTHENTICATED' } },
    ]);
    const first = sessionOf(await wire.execute(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } }));
    expect(await wire.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: first.id, attached: true } } },
    });
    const again = sessionOf(await wire.execute(LOGIN, { input: { platform: 'IPHONE', deviceId: 'phone' } }));
    const second = sessionOf(await wire.execute(LOGIN, { input: { platform: 'WEB' } }));
    expect(await wire.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: second.id, attached: true } } },
    });
    expect(again.id).not.toBe(first.id);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'LOGIN', 'REPLACED', 'LOGIN', 'KICKED']);
    wire.resetTcp();
    await untilReason(harness, 'alice', 'DISCONNECT');
  });

  test('and is gone before the store has heard of it leaves nobody attached', async () => {
    const harness = await ServerHarness.open();
    const jwt = await harness.jwt('alice');
    const wire = await TestSocket.connect(harness.socketUrl, jwt);
    const login = vi.spyOn(harness.application.tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      wire.resetTcp();
      await untilSockets(harness, 0);
      return harness.application.tracker.login(...args);
    });
    wire.subscribe(LOGIN, { input: { platform: 'IPHONE' } });
    await untilReason(harness, 'alice', 'DISCONNECT');
    expect(await attachedOf(harness, 'alice')).toEqual([false]);
  });

  test('and loses the session before it has the reply gets the reply, then the reason', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const { tracker } = harness.application;
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      const answer = await tracker.login(...args);
      await tracker.logout({ userId: args[0], sessionId: answer.session.id });
      return answer;
    });
    expect(sessionOf(await wire.execute(LOGIN, { input: { platform: 'IPHONE' } })).id).toBeTypeOf('string');
    expect(await wire.closed).toEqual({ code: 4410, reason: 'LOGOUT' });
  });

  test('at the moment it loses the session before stays open', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const first = sessionOf(await wire.execute(LOGIN, { input: { platform: 'IPHONE' } }));
    const { tracker } = harness.application;
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      await tracker.logout({ userId: args[0], sessionId: first.id as never });
      return tracker.login(...args);
    });
    const second = sessionOf(await wire.execute(LOGIN, { input: { platform: 'IPHONE' } }));
    expect(await wire.execute('{ me { id attached } }')).toMatchObject({
      payload: { data: { me: { id: second.id, attached: true } } },
    });
  });
});
