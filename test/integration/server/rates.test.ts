/** Rate limits of requests and messages. The clock of the store advances only when a test sets `now`. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { toMillis, type Millis } from '../../../src/core/ids.ts';
import type { LimitSettings } from '../../../src/server/limits/limit-settings.ts';
import { API_KEY, codeOf, ServerHarness, LIMITS, LOGIN, type Reply } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

const NO_RATES: LimitSettings = { ...LIMITS, ratePerSession: 0, ratePerUser: 0, ratePerAddress: 0 };
const BEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';
const QUERY = '{ __typename }';

let now: Millis;
beforeEach(() => {
  now = toMillis(Date.now());
});

const open = async (limits: Partial<LimitSettings>, trustProxy = false): Promise<ServerHarness> => {
  const harness = await ServerHarness.open({ settings: { limits: { ...NO_RATES, ...limits }, trustProxy } });
  vi.spyOn(harness.store, 'now').mockImplementation(() => now);
  return harness;
};

/** Sends requests until one is rejected. @returns the number of accepted requests, and the rejection. */
const sendUntilRejected = async (send: () => Promise<Reply>): Promise<{ accepted: number; rejection: Reply }> => {
  for (let accepted = 0; accepted < 1_000; accepted++) {
    const rejection = await send();
    if (codeOf(rejection) !== undefined) return { accepted, rejection };
  }
  throw new Error('None of 1,000 requests was rejected.');
};

/** Sends `count` queries over a socket at once. @returns the number of accepted ones. */
const sendBurst = async (socket: TestSocket, count: number): Promise<number> => {
  for (let sent = 0; sent < count; sent++) socket.subscribe(QUERY);
  let accepted = 0;
  for (let answers = 0; answers < count; answers++) {
    const { type, payload } = await socket.nextMessage();
    if (type === 'error') expect(payload?.[0]).toMatchObject({ extensions: { code: 'RATE_LIMITED' } });
    else {
      accepted++;
      await socket.nextMessage();
    }
  }
  return accepted;
};

describe('requests over HTTP', () => {
  test('of a session are RATE_LIMITED after ten seconds’ worth of requests, with a retry delay', async () => {
    const harness = await open({ ratePerSession: 2 });
    const { token } = await harness.login('alice');
    const other = await harness.login('bob');
    const send = () => harness.post(QUERY, token, undefined, { accept: 'application/graphql-response+json' });
    const { accepted, rejection } = await sendUntilRejected(send);
    expect(accepted).toBe(20);
    expect(rejection.status).toBe(429);
    expect(rejection.headers.get('retry-after')).toBe('1');
    expect(rejection.body).toEqual({
      errors: [
        {
          message: 'Too many messages or requests. Slow down.',
          extensions: { code: 'RATE_LIMITED', retryAfterMs: 500 },
        },
      ],
    });
    now = toMillis(now + 499);
    expect(codeOf(await send())).toBe('RATE_LIMITED');
    now = toMillis(now + 1);
    expect(codeOf(await send())).toBeUndefined();
    expect(codeOf(await send())).toBe('RATE_LIMITED');
    expect(codeOf(await harness.post(QUERY, other.token))).toBeUndefined();
    expect(codeOf(await harness.post(QUERY, API_KEY))).toBeUndefined();
  });

  test('of a user count together for all credentials and transports', async () => {
    const harness = await open({ ratePerUser: 1 });
    const jwt = await harness.jwt('alice');
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    // The login and nine more. The upgrade of the socket is not counted for the user, because it is not authenticated.
    for (let count = 0; count < 3; count++) {
      expect(codeOf(await harness.post(QUERY, jwt))).toBeUndefined();
      expect(codeOf(await harness.post(QUERY, token))).toBeUndefined();
      expect((await socket.execute(QUERY)).type).toBe('next');
    }
    expect(codeOf(await harness.post(QUERY, jwt))).toBe('RATE_LIMITED');
    expect(codeOf(await harness.post(QUERY, token))).toBe('RATE_LIMITED');
    expect((await socket.execute(QUERY)).type).toBe('error');
    expect(codeOf(await harness.post(QUERY, await harness.jwt('bob')))).toBeUndefined();
  });

  test('of an address are counted before authentication, except those of backends', async () => {
    const harness = await open({ ratePerAddress: 2 }, true);
    const from = (address: string, credential: string | null = null) =>
      harness.post(QUERY, credential, undefined, { 'x-forwarded-for': address });
    for (let count = 0; count < 100; count++) expect(codeOf(await from('192.0.2.1', API_KEY))).toBeUndefined();
    for (let count = 0; count < 5; count++) expect(codeOf(await from('192.0.2.1'))).toBeUndefined();
    // This request leaves the JSON POST handler after authentication and is authenticated again.
    const subscription = await harness.post('subscription { presenceEvents { cursor } }', API_KEY, undefined, {
      'x-forwarded-for': '192.0.2.1',
      accept: 'application/json',
    });
    expect(subscription.status).toBe(406);
    const { accepted, rejection } = await sendUntilRejected(() => from('192.0.2.1'));
    expect(accepted).toBe(15);
    expect(codeOf(rejection)).toBe('RATE_LIMITED');
    const authenticated = vi.spyOn(harness.store, 'readUsers');
    expect(codeOf(await from('192.0.2.1', await harness.jwt('alice')))).toBe('RATE_LIMITED');
    expect(authenticated).not.toHaveBeenCalled();
    expect(codeOf(await from('192.0.2.1', API_KEY))).toBeUndefined();
    expect(codeOf(await from('192.0.2.2'))).toBeUndefined();
  });

  test('of IPv6 addresses are counted by their /64 network', async () => {
    const harness = await open({ ratePerAddress: 1 }, true);
    const from = (address: string) => harness.post(QUERY, null, undefined, { 'x-forwarded-for': address });
    let last = 0;
    const { accepted } = await sendUntilRejected(() => from(`2001:db8::${(++last).toString(16)}`));
    expect(accepted).toBe(10);
    expect(codeOf(await from('2001:db8:0:1::1'))).toBeUndefined();
  });

  test('are rejected by address before the body is read, for every kind of request', async () => {
    const harness = await open({ ratePerAddress: 1 });
    await sendUntilRejected(() => harness.post(QUERY, null));
    const texts = await Promise.all(
      [
        fetch(`${harness.url}/graphql?query=${encodeURIComponent(QUERY)}`),
        fetch(`${harness.url}/graphql`, { method: 'POST', body: 'nonsense' }),
        fetch(`${harness.url}/graphql`, { headers: { accept: 'text/event-stream' } }),
      ].map(async (response) => (await response).text()),
    );
    for (const text of texts) expect(text).toContain('"RATE_LIMITED"');
    expect((await fetch(`${harness.url}/health/ready`)).status).toBe(200);
  });

  test('that are rejected do not count as activity', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice', 'IPHONE');
    await sendUntilRejected(() => harness.post(QUERY, token));
    vi.spyOn(harness.application.tracker, 'recordActivity').mockRejectedValue(new Error('activity'));
    vi.spyOn(harness.application.tracker, 'recordHeartbeat').mockRejectedValue(new Error('a heartbeat'));
    expect(codeOf(await harness.post(QUERY, token))).toBe('RATE_LIMITED');
    expect(codeOf(await harness.post(BEAT, token))).toBe('RATE_LIMITED');
    expect(harness.server.rejections.requestRate).toBe(3);
  });
});

describe('messages on a socket', () => {
  test('are RATE_LIMITED after ten seconds’ worth of messages, with a retry delay, and the socket stays open', async () => {
    const harness = await open({ ratePerSession: 2 });
    const { token } = await harness.login('alice');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    expect(await sendBurst(socket, 30)).toBe(20);
    now = toMillis(now + 500);
    expect((await socket.execute(QUERY)).type).toBe('next');
    const id = socket.subscribe(QUERY);
    expect(await socket.nextMessage()).toEqual({
      type: 'error',
      id,
      payload: [
        {
          message: 'Too many messages or requests. Slow down.',
          extensions: { code: 'RATE_LIMITED', retryAfterMs: 500 },
        },
      ],
    });
    expect(harness.server.rejections.messageRate).toBe(11);
  });

  test('close the socket with 4414 when they continue, without a DISCONNECT event', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    // Rejected messages are tolerated up to the size of one burst.
    expect(await sendBurst(socket, 10 + 10)).toBe(10);
    expect(socket.webSocket.readyState).toBe(socket.webSocket.OPEN);
    socket.subscribe(QUERY);
    expect(await socket.closed).toEqual({ code: 4414, reason: 'Too many messages' });
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(harness.server.rejections.socketsRateLimited).toBe(1);
  });

  test.each<[string, (socket: TestSocket) => void]>([
    ['heartbeats', (socket) => socket.subscribe(BEAT)],
    ['pings', (socket) => socket.send({ type: 'ping' })],
    ['pings with a payload', (socket) => socket.send({ type: 'ping', payload: { n: 1 } })],
    ['pongs', (socket) => socket.send({ type: 'pong' })],
    ['ping frames', (socket) => socket.webSocket.ping()],
    ['pong frames', (socket) => socket.webSocket.pong()],
    ['completes', (socket) => socket.send({ type: 'complete', id: 'none' })],
    ['invalid documents', (socket) => socket.subscribe('{')],
  ])('are counted when they are %s', async (_what, message) => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    for (let count = 0; count < 10 + 10 + 1; count++) message(socket);
    expect((await socket.closed).code).toBe(4414);
  });

  test('that are rejected do not count as activity, and rejected pings are not answered', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    expect(await sendBurst(socket, 10)).toBe(10);
    const activity = vi.spyOn(harness.application.tracker, 'recordActivity');
    const pongs: string[] = [];
    socket.webSocket.on('pong', (payload: Buffer) => pongs.push(payload.toString()));
    socket.send({ type: 'ping' });
    socket.webSocket.ping('one');
    socket.subscribe(BEAT);
    expect((await socket.nextMessage()).type).toBe('error');
    expect(activity).not.toHaveBeenCalled();
    now = toMillis(now + 1_000);
    socket.webSocket.ping('two');
    await expect.poll(() => pongs).toEqual(['two']);
    expect(socket.unreadMessages).toEqual([]);
    expect(activity).toHaveBeenCalledTimes(1);
  });

  test('of type complete end a subscription even when they are above the rate', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    const id = socket.subscribe('subscription { statusChanges(userIds: ["bob"]) { status } }');
    await socket.nextMessage();
    expect(await sendBurst(socket, 9)).toBe(9);
    socket.send({ type: 'complete', id });
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('are counted for the session on all its sockets and over HTTP together', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const [one, two] = [
      await TestSocket.connect(harness.socketUrl, token),
      await TestSocket.connect(harness.socketUrl, token),
    ];
    expect((await sendBurst(one, 4)) + (await sendBurst(two, 4))).toBe(8);
    for (let count = 0; count < 2; count++) expect(codeOf(await harness.post(QUERY, token))).toBeUndefined();
    expect(codeOf(await harness.post(QUERY, token))).toBe('RATE_LIMITED');
    expect((await sendBurst(one, 1)) + (await sendBurst(two, 1))).toBe(0);
  });

  test('authenticated by a JWT are counted for the socket until it logs in, and then for the session', async () => {
    const harness = await open({ ratePerSession: 1 });
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    expect(await sendBurst(socket, 8)).toBe(8);
    const login = await socket.execute(LOGIN, { input: { platform: 'WEB' } });
    const { sessionToken } = (login.payload?.['data'] as unknown as { login: { sessionToken: string } }).login;
    expect(await sendBurst(socket, 10)).toBe(10);
    expect(codeOf(await harness.post(QUERY, sessionToken))).toBe('RATE_LIMITED');
  });

  test('of a backend are not limited', async () => {
    const harness = await open({ ratePerSession: 1, ratePerUser: 1, ratePerAddress: 1 });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect(await sendBurst(socket, 100)).toBe(100);
  });

  test('of an address are counted on all its sockets together, including upgrades', async () => {
    const harness = await open({ ratePerAddress: 2 });
    const [one, two] = [
      await TestSocket.connect(harness.socketUrl, await harness.jwt('a')),
      await TestSocket.connect(harness.socketUrl, await harness.jwt('b')),
    ];
    // Two upgrades and two connection_init messages count too.
    expect((await sendBurst(one, 10)) + (await sendBurst(two, 10))).toBe(16);
    const rejected = new TestSocket(harness.socketUrl);
    const [status, retryAfter] = await new Promise<[number | undefined, string | undefined]>((resolve) => {
      rejected.webSocket.once('unexpected-response', (_request, { statusCode, headers }) =>
        resolve([statusCode, headers['retry-after']]),
      );
    });
    expect([status, retryAfter]).toEqual([429, '1']);
  });

  test('close an unauthenticated socket with 4414 when they are above the rate', async () => {
    const harness = await open({ ratePerSession: 1 });
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    for (let count = 0; count < 10 + 10 + 1; count++) socket.send({ type: 'ping' });
    expect((await socket.closed).code).toBe(4414);
  });

  test('of type connection_init close the socket with 4414 when they are above the rate', async () => {
    const harness = await open({ ratePerSession: 1 });
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    for (let count = 0; count < 10; count++) socket.send({ type: 'ping' });
    await socket.sendInit({ authorization: `Bearer ${API_KEY}` });
    expect((await socket.closed).code).toBe(4414);
  });
});
