/** How the server closes sockets, and what clients are told before. */
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, codeOf, ServerHarness, LIMITS, LOGIN } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const ENDED = 'subscription { sessionEnded { sessionId reason kickedBy } }';
const END = 'mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }';

describe('a session that ends', () => {
  test('by a kick tells its client why, then closes every socket of it with the reason', async () => {
    const harness = await ServerHarness.open();
    const { id, token } = await harness.login('alice', 'WEB');
    const told = await TestSocket.connect(harness.socketUrl, token);
    const other = await TestSocket.connect(harness.socketUrl, token);
    const subscription = told.subscribe(ENDED);
    await told.waitForRoundTrip();
    await harness.login('alice', 'IPHONE');
    expect(await told.closed).toEqual({ code: 4410, reason: 'KICKED' });
    expect(await other.closed).toEqual({ code: 4410, reason: 'KICKED' });
    expect(await told.nextMessage()).toEqual({
      type: 'next',
      id: subscription,
      payload: { data: { sessionEnded: { sessionId: id, reason: 'KICKED', kickedBy: 'IPHONE' } } },
    });
    expect(await told.nextMessage()).toEqual({ type: 'complete', id: subscription });
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'LOGIN', 'KICKED']);
  });

  test('by its own logout answers it first', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    const reply = await wire.execute('mutation { logout { userStatus { status } } }');
    expect(reply.payload?.['data']).toEqual({ logout: { userStatus: { status: 'OFFLINE' } } });
    expect(await wire.closed).toEqual({ code: 4410, reason: 'LOGOUT' });
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'LOGOUT']);
  });

  test.each([
    ['REPLACED', (harness: ServerHarness) => harness.login('alice', 'WEB')],
    ['REVOKED', (harness: ServerHarness) => harness.post(END, API_KEY, { input: { userId: 'alice' } })],
    ['HEARTBEAT_TIMEOUT', (harness: ServerHarness) => harness.advanceTime(60_000)],
  ])('with %s says so', async (reason, end) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    await end(harness);
    expect(await wire.closed).toEqual({ code: 4410, reason });
  });

  test('lets nothing more be asked, but answers what was', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    let answer: (() => void) | undefined;
    const asked = new Promise<void>((resolve) => {
      vi.spyOn(harness.store, 'readUsers').mockImplementationOnce(async (ids) => {
        resolve();
        await new Promise<void>((go) => (answer = go));
        return harness.store.readUsers(ids);
      });
    });
    const slow = wire.subscribe('{ userStatus(userId: "bob") { status } }');
    await asked;
    await harness.post(END, API_KEY, { input: { userId: 'alice' } });
    wire.subscribe('{ __typename }');
    await wire.waitForRoundTrip();
    answer?.();
    expect(await wire.closed).toEqual({ code: 4410, reason: 'REVOKED' });
    expect(wire.unreadMessages.map(({ id }) => id)).toEqual([slow, slow]);
  });

  test('does not wait for ever for what it still has to say', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { drainTimeoutMs: 50 } });
    const { token } = await harness.login('alice', 'WEB');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    vi.spyOn(harness.store, 'readUsers').mockReturnValueOnce(new Promise(() => undefined));
    wire.subscribe('{ userStatus(userId: "bob") { status } }');
    await wire.waitForRoundTrip();
    await harness.post(END, API_KEY, { input: { userId: 'alice' } });
    expect(await wire.closed).toEqual({ code: 4410, reason: 'REVOKED' });
  });

  test('does not wait for ever for a client that answers no close', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { closeTimeoutMs: 50 } });
    const { token } = await harness.login('alice', 'WEB');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    wire.tcpSocket.pause();
    await harness.post(END, API_KEY, { input: { userId: 'alice' } });
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
  });
});

describe('a session that times out and can be PUSH_ONLINE', () => {
  test('closes its sockets with 4412: connect again', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    await harness.advanceTime(400_000);
    expect(await wire.closed).toEqual({ code: 4412, reason: 'HEARTBEAT_TIMEOUT' });
    await TestSocket.connect(harness.socketUrl, token);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT', 'RECONNECT']);
  });
});

describe('a JWT’s socket', () => {
  const inSeconds = (harness: ServerHarness, seconds: number) => Math.floor(harness.now / 1_000) + seconds;

  test('is closed with 4413 when the token expires, which is no DISCONNECT', async () => {
    const harness = await ServerHarness.open();
    const exp = inSeconds(harness, 2);
    const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice', { exp }));
    await wire.execute(LOGIN, { input: { platform: 'IPHONE' } });
    const lasting = await TestSocket.connect(
      harness.socketUrl,
      await harness.jwt('bob', { exp: inSeconds(harness, 3_000_000) }),
    );
    expect(await wire.closed).toEqual({ code: 4413, reason: 'The token has expired' });
    expect(harness.now).toBeGreaterThanOrEqual(exp * 1_000);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(1);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(lasting.webSocket.readyState).toBe(lasting.webSocket.OPEN);
  });

  test('is closed with 4413, and its session lives on by its own token', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(
      harness.socketUrl,
      await harness.jwt('alice', { exp: inSeconds(harness, 2) }),
    );
    const reply = await wire.execute(LOGIN, { input: { platform: 'WEB' } });
    const { sessionToken } = reply.payload?.['data']?.['login'] as unknown as { sessionToken: string };
    const own = await TestSocket.connect(harness.socketUrl, sessionToken);
    expect((await wire.closed).code).toBe(4413);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(1);
    const beat = await harness.post('mutation { heartbeat { session { status attached } } }', sessionToken);
    expect(beat.body.data).toEqual({ heartbeat: { session: { status: 'ONLINE', attached: true } } });
    expect((await own.execute('{ me { status } }')).payload?.['data']).toEqual({ me: { status: 'ONLINE' } });
    // It is as silent as any other from here on: no socket's end, but a timeout.
    await harness.advanceTime(60_000);
    expect((await own.closed).code).toBe(4410);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT']);
  });

  test('is closed with 4413 when the user’s tokens are revoked, also when no session ends with them', async () => {
    const harness = await ServerHarness.open();
    const old = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const undated = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice', { iat: undefined }));
    const young = await TestSocket.connect(
      harness.socketUrl,
      await harness.jwt('alice', { iat: inSeconds(harness, 1) }),
    );
    const other = await TestSocket.connect(harness.socketUrl, await harness.jwt('bob'));
    await harness.post(END, API_KEY, { input: { userId: 'alice', revokeTokens: true } });
    for (const wire of [old, undated]) {
      expect(await wire.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
    }
    for (const wire of [young, other]) expect((await wire.execute('{ __typename }')).type).toBe('next');
  });

  test('whose session is revoked with the token is told of the session', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    await wire.execute(LOGIN, { input: { platform: 'WEB' } });
    await harness.post(END, API_KEY, { input: { userId: 'alice', revokeTokens: true } });
    expect(await wire.closed).toEqual({ code: 4410, reason: 'REVOKED' });
  });

  test('that was revoked while it was let in is not let in', async () => {
    const harness = await ServerHarness.open();
    const jwt = await harness.jwt('alice');
    const read = vi.spyOn(harness.store, 'readUsers');
    read.mockImplementationOnce(async (ids) => {
      const before = await harness.store.readUsers(ids);
      await harness.application.tracker.endSessions('alice' as never, { platform: null, sessionId: null }, true);
      return before;
    });
    const wire = new TestSocket(harness.socketUrl);
    await wire.sendInit({ authorization: `Bearer ${jwt}` });
    expect((await wire.closed).code).toBe(4413);
    expect(wire.unreadMessages).toEqual([]);
  });
});

test('a login with a JWT that is revoked on its way begins no session, over both doors', async () => {
  const harness = await ServerHarness.open();
  const { tracker } = harness.application;
  const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
  const overtaken = (): void => {
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      await tracker.endSessions(args[0], { platform: null, sessionId: null }, true);
      return tracker.login(...args);
    });
  };
  overtaken();
  const overHttp = await harness.post(LOGIN, await harness.jwt('bob'), { input: { platform: 'WEB' } });
  expect(codeOf(overHttp)).toBe('UNAUTHENTICATED');
  overtaken();
  const overSocket = await wire.execute(LOGIN, { input: { platform: 'WEB' } });
  expect(overSocket.payload?.['errors']).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  expect((await wire.closed).code).toBe(4413);
  for (const user of ['alice', 'bob']) expect(await harness.reasons(user)).toEqual([]);
});

describe('a backend', () => {
  test('that reads more slowly than events happen is closed with 4411', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const follow = vi.spyOn(harness.application.eventFeed, 'subscribe');
    wire.subscribe('subscription { presenceEvents { reason } }');
    await wire.waitForRoundTrip();
    follow.mock.calls[0]?.[1]();
    expect((await wire.closed).code).toBe(4411);
  });
});

describe('a slow reader', () => {
  test('stalls her own subscriptions and nobody else’s', async () => {
    const harness = await ServerHarness.open({ settings: { limits: { ...LIMITS, maxWatchedPerSocket: 50_000 } } });
    const watch = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId version customStatus } }';
    const ids = Array.from({ length: 500 }, (_, index) => `user ${index} ${'x'.repeat(100)}`);
    const slow = await TestSocket.connect(harness.socketUrl, API_KEY);
    slow.tcpSocket.pause();
    for (let count = 0; count < 100; count++) slow.subscribe(watch, { ids });
    const quick = await TestSocket.connect(harness.socketUrl, API_KEY);
    quick.subscribe(watch, { ids: ['alice'] });
    expect((await quick.nextMessage()).type).toBe('next');
    await harness.login('alice');
    expect((await quick.nextMessage()).payload?.['data']).toMatchObject({
      statusChanges: [{ userId: 'alice', version: 1 }],
    });
    slow.tcpSocket.resume();
    for (let count = 0; count < 100; count++) expect((await slow.nextMessage()).type).toBe('next');
  });
});
