/** How the server closes sockets, and what clients receive before the close. */
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, codeOf, ServerHarness, LIMITS, LOGIN } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const SESSION_ENDED = 'subscription { sessionEnded { sessionId reason kickedBy } }';
const END_SESSIONS = 'mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }';

describe('a session that ends', () => {
  test('by a kick is reported to its subscription, then all of its sockets close with the reason', async () => {
    const harness = await ServerHarness.open();
    const { id, token } = await harness.login('alice', 'WEB');
    const subscribed = await TestSocket.connect(harness.socketUrl, token);
    const other = await TestSocket.connect(harness.socketUrl, token);
    const subscription = subscribed.subscribe(SESSION_ENDED);
    await subscribed.waitForRoundTrip();
    await harness.login('alice', 'IPHONE');
    expect(await subscribed.closed).toEqual({ code: 4410, reason: 'KICKED' });
    expect(await other.closed).toEqual({ code: 4410, reason: 'KICKED' });
    expect(await subscribed.nextMessage()).toEqual({
      type: 'next',
      id: subscription,
      payload: { data: { sessionEnded: { sessionId: id, reason: 'KICKED', kickedBy: 'IPHONE' } } },
    });
    expect(await subscribed.nextMessage()).toEqual({ type: 'complete', id: subscription });
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'LOGIN', 'KICKED']);
  });

  test('by its own logout receives the response before the close', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    const reply = await socket.execute('mutation { logout { userStatus { status } } }');
    expect(reply.payload?.['data']).toEqual({ logout: { userStatus: { status: 'OFFLINE' } } });
    expect(await socket.closed).toEqual({ code: 4410, reason: 'LOGOUT' });
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'LOGOUT']);
  });

  test.each([
    ['REPLACED', (harness: ServerHarness) => harness.login('alice', 'WEB')],
    ['REVOKED', (harness: ServerHarness) => harness.post(END_SESSIONS, API_KEY, { input: { userId: 'alice' } })],
    ['HEARTBEAT_TIMEOUT', (harness: ServerHarness) => harness.advanceTime(60_000)],
  ])('with %s closes its socket with that reason', async (reason, end) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    await end(harness);
    expect(await socket.closed).toEqual({ code: 4410, reason });
  });

  test('ignores further operations but answers the running ones', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    let finishRead: (() => void) | undefined;
    const readStarted = new Promise<void>((resolve) => {
      vi.spyOn(harness.store, 'readUsers').mockImplementationOnce(async (ids) => {
        resolve();
        await new Promise<void>((resume) => (finishRead = resume));
        return harness.store.readUsers(ids);
      });
    });
    const slow = socket.subscribe('{ userStatus(userId: "bob") { status } }');
    await readStarted;
    await harness.post(END_SESSIONS, API_KEY, { input: { userId: 'alice' } });
    socket.subscribe('{ __typename }');
    await socket.waitForRoundTrip();
    finishRead?.();
    expect(await socket.closed).toEqual({ code: 4410, reason: 'REVOKED' });
    expect(socket.unreadMessages.map(({ id }) => id)).toEqual([slow, slow]);
  });

  test('closes after drainTimeoutMs if a running operation does not finish', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { drainTimeoutMs: 50 } });
    const { token } = await harness.login('alice', 'WEB');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    vi.spyOn(harness.store, 'readUsers').mockReturnValueOnce(new Promise(() => undefined));
    socket.subscribe('{ userStatus(userId: "bob") { status } }');
    await socket.waitForRoundTrip();
    await harness.post(END_SESSIONS, API_KEY, { input: { userId: 'alice' } });
    expect(await socket.closed).toEqual({ code: 4410, reason: 'REVOKED' });
  });

  test('terminates the socket after closeTimeoutMs if the client does not answer the close', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { closeTimeoutMs: 50 } });
    const { token } = await harness.login('alice', 'WEB');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    socket.tcpSocket.pause();
    await harness.post(END_SESSIONS, API_KEY, { input: { userId: 'alice' } });
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
  });
});

describe('a session that times out and can be PUSH_ONLINE', () => {
  test('closes its sockets with 4412, after which clients reconnect', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    await harness.advanceTime(400_000);
    expect(await socket.closed).toEqual({ code: 4412, reason: 'HEARTBEAT_TIMEOUT' });
    await TestSocket.connect(harness.socketUrl, token);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT', 'RECONNECT']);
  });
});

describe('a socket opened with a JWT', () => {
  const inSeconds = (harness: ServerHarness, seconds: number) => Math.floor(harness.now / 1_000) + seconds;

  test('is closed with 4413 when the token expires, without a DISCONNECT event', async () => {
    const harness = await ServerHarness.open();
    const exp = inSeconds(harness, 2);
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice', { exp }));
    await socket.execute(LOGIN, { input: { platform: 'IPHONE' } });
    const lasting = await TestSocket.connect(
      harness.socketUrl,
      await harness.jwt('bob', { exp: inSeconds(harness, 3_000_000) }),
    );
    expect(await socket.closed).toEqual({ code: 4413, reason: 'The token has expired' });
    expect(harness.now).toBeGreaterThanOrEqual(exp * 1_000);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(1);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(lasting.webSocket.readyState).toBe(lasting.webSocket.OPEN);
  });

  test('is closed with 4413 while its session continues with its session token', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(
      harness.socketUrl,
      await harness.jwt('alice', { exp: inSeconds(harness, 2) }),
    );
    const reply = await socket.execute(LOGIN, { input: { platform: 'WEB' } });
    const { sessionToken } = reply.payload?.['data']?.['login'] as unknown as { sessionToken: string };
    const own = await TestSocket.connect(harness.socketUrl, sessionToken);
    expect((await socket.closed).code).toBe(4413);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(1);
    const beat = await harness.post('mutation { heartbeat { session { status attached } } }', sessionToken);
    expect(beat.body.data).toEqual({ heartbeat: { session: { status: 'ONLINE', attached: true } } });
    expect((await own.execute('{ me { status } }')).payload?.['data']).toEqual({ me: { status: 'ONLINE' } });
    // Without further activity the session times out instead of being disconnected.
    await harness.advanceTime(60_000);
    expect((await own.closed).code).toBe(4410);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT']);
  });

  test('is closed with 4413 when the tokens of the user are revoked, even if no session ends', async () => {
    const harness = await ServerHarness.open();
    const older = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const undated = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice', { iat: undefined }));
    const newer = await TestSocket.connect(
      harness.socketUrl,
      await harness.jwt('alice', { iat: inSeconds(harness, 1) }),
    );
    const other = await TestSocket.connect(harness.socketUrl, await harness.jwt('bob'));
    await harness.post(END_SESSIONS, API_KEY, { input: { userId: 'alice', revokeTokens: true } });
    for (const socket of [older, undated]) {
      expect(await socket.closed).toEqual({ code: 4413, reason: 'The token has been revoked' });
    }
    for (const socket of [newer, other]) expect((await socket.execute('{ __typename }')).type).toBe('next');
  });

  test('is closed with 4410 when its session is revoked together with the token', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    await socket.execute(LOGIN, { input: { platform: 'WEB' } });
    await harness.post(END_SESSIONS, API_KEY, { input: { userId: 'alice', revokeTokens: true } });
    expect(await socket.closed).toEqual({ code: 4410, reason: 'REVOKED' });
  });

  test('is not acknowledged when the JWT is revoked during the authentication', async () => {
    const harness = await ServerHarness.open();
    const jwt = await harness.jwt('alice');
    const read = vi.spyOn(harness.store, 'readUsers');
    read.mockImplementationOnce(async (ids) => {
      const before = await harness.store.readUsers(ids);
      await harness.application.tracker.endSessions('alice' as never, { platform: null, sessionId: null }, true);
      return before;
    });
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${jwt}` });
    expect((await socket.closed).code).toBe(4413);
    expect(socket.unreadMessages).toEqual([]);
  });
});

test('a login with a JWT that is revoked in the meantime creates no session, over both transports', async () => {
  const harness = await ServerHarness.open();
  const { tracker } = harness.application;
  const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
  const revokeDuringLogin = (): void => {
    const login = vi.spyOn(tracker, 'login');
    login.mockImplementationOnce(async (...args) => {
      login.mockRestore();
      await tracker.endSessions(args[0], { platform: null, sessionId: null }, true);
      return tracker.login(...args);
    });
  };
  revokeDuringLogin();
  const overHttp = await harness.post(LOGIN, await harness.jwt('bob'), { input: { platform: 'WEB' } });
  expect(codeOf(overHttp)).toBe('UNAUTHENTICATED');
  revokeDuringLogin();
  const overSocket = await socket.execute(LOGIN, { input: { platform: 'WEB' } });
  expect(overSocket.payload?.['errors']).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  expect((await socket.closed).code).toBe(4413);
  for (const user of ['alice', 'bob']) expect(await harness.reasons(user)).toEqual([]);
});

describe('a backend', () => {
  test('that reads events too slowly is closed with 4411', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const follow = vi.spyOn(harness.application.eventFeed, 'subscribe');
    socket.subscribe('subscription { presenceEvents { reason } }');
    await socket.waitForRoundTrip();
    follow.mock.calls[0]?.[1]();
    expect((await socket.closed).code).toBe(4411);
  });
});

describe('a slow reader', () => {
  test('delays only its own subscriptions', async () => {
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
