/** Messages and requests faster than allowed. The store's clock stands still where it is not said to move. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { millis, type Millis } from '../../../src/core/ids.ts';
import type { DoorLimits } from '../../../src/server/limits/limit-settings.ts';
import { API_KEY, codeOf, ServerHarness, LIMITS, LOGIN, type Reply } from './support/server-harness.ts';
import { TestSocket } from './support/wire.ts';

const NO_RATES: DoorLimits = { ...LIMITS, ratePerSession: 0, ratePerUser: 0, ratePerAddress: 0 };
const BEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';
const ASK = '{ __typename }';

let now: Millis;
beforeEach(() => {
  now = millis(Date.now());
});

const open = async (limits: Partial<DoorLimits>, trustProxy = false): Promise<ServerHarness> => {
  const harness = await ServerHarness.open({ settings: { limits: { ...NO_RATES, ...limits }, trustProxy } });
  vi.spyOn(harness.store, 'now').mockImplementation(() => now);
  return harness;
};

/** Asks until it is refused. @returns how often it was not, and the refusal. */
const untilRefused = async (ask: () => Promise<Reply>): Promise<{ passed: number; refusal: Reply }> => {
  for (let passed = 0; passed < 1_000; passed++) {
    const refusal = await ask();
    if (codeOf(refusal) !== undefined) return { passed, refusal };
  }
  throw new Error('Nothing is refused.');
};

/** The same over a socket, all at once. */
const burst = async (wire: TestSocket, count: number): Promise<number> => {
  for (let asked = 0; asked < count; asked++) wire.subscribe(ASK);
  let passed = 0;
  for (let answers = 0; answers < count; answers++) {
    const { type, payload } = await wire.next();
    if (type === 'error') expect(payload?.[0]).toMatchObject({ extensions: { code: 'RATE_LIMITED' } });
    else {
      passed++;
      await wire.next();
    }
  }
  return passed;
};

describe('requests over HTTP', () => {
  test('of a session are RATE_LIMITED after ten seconds’ worth, and told when to come again', async () => {
    const harness = await open({ ratePerSession: 2 });
    const { token } = await harness.login('alice');
    const other = await harness.login('bob');
    const asked = () => harness.post(ASK, token, undefined, { accept: 'application/graphql-response+json' });
    const { passed, refusal } = await untilRefused(asked);
    expect(passed).toBe(20);
    expect(refusal.status).toBe(429);
    expect(refusal.headers.get('retry-after')).toBe('1');
    expect(refusal.body).toEqual({
      errors: [
        {
          message: 'Too many messages or requests. Slow down.',
          extensions: { code: 'RATE_LIMITED', retryAfterMs: 500 },
        },
      ],
    });
    now = millis(now + 499);
    expect(codeOf(await asked())).toBe('RATE_LIMITED');
    now = millis(now + 1);
    expect(codeOf(await asked())).toBeUndefined();
    expect(codeOf(await asked())).toBe('RATE_LIMITED');
    expect(codeOf(await harness.post(ASK, other.token))).toBeUndefined();
    expect(codeOf(await harness.post(ASK, API_KEY))).toBeUndefined();
  });

  test('of a user are counted together, whatever she shows and whichever way they come', async () => {
    const harness = await open({ ratePerUser: 1 });
    const jwt = await harness.jwt('alice');
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.as(harness.socketUrl, token);
    // The login, and nine more: that of the socket came before it was known whose it is.
    for (let count = 0; count < 3; count++) {
      expect(codeOf(await harness.post(ASK, jwt))).toBeUndefined();
      expect(codeOf(await harness.post(ASK, token))).toBeUndefined();
      expect((await wire.ask(ASK)).type).toBe('next');
    }
    expect(codeOf(await harness.post(ASK, jwt))).toBe('RATE_LIMITED');
    expect(codeOf(await harness.post(ASK, token))).toBe('RATE_LIMITED');
    expect((await wire.ask(ASK)).type).toBe('error');
    expect(codeOf(await harness.post(ASK, await harness.jwt('bob')))).toBeUndefined();
  });

  test('of an address are counted before it is known whose they are; backends are not', async () => {
    const harness = await open({ ratePerAddress: 2 }, true);
    const from = (address: string, credential: string | null = null) =>
      harness.post(ASK, credential, undefined, { 'x-forwarded-for': address });
    for (let count = 0; count < 100; count++) expect(codeOf(await from('192.0.2.1', API_KEY))).toBeUndefined();
    for (let count = 0; count < 5; count++) expect(codeOf(await from('192.0.2.1'))).toBeUndefined();
    // Found out late not to be for the short way, it is authenticated twice.
    const subscription = await harness.post('subscription { presenceEvents { cursor } }', API_KEY, undefined, {
      'x-forwarded-for': '192.0.2.1',
      accept: 'application/json',
    });
    expect(subscription.status).toBe(406);
    const { passed, refusal } = await untilRefused(() => from('192.0.2.1'));
    expect(passed).toBe(15);
    expect(codeOf(refusal)).toBe('RATE_LIMITED');
    const authenticated = vi.spyOn(harness.store, 'read');
    expect(codeOf(await from('192.0.2.1', await harness.jwt('alice')))).toBe('RATE_LIMITED');
    expect(authenticated).not.toHaveBeenCalled();
    expect(codeOf(await from('192.0.2.1', API_KEY))).toBeUndefined();
    expect(codeOf(await from('192.0.2.2'))).toBeUndefined();
  });

  test('of IPv6 addresses are counted by their network of 64 bits', async () => {
    const harness = await open({ ratePerAddress: 1 }, true);
    const from = (address: string) => harness.post(ASK, null, undefined, { 'x-forwarded-for': address });
    let last = 0;
    const { passed } = await untilRefused(() => from(`2001:db8::${(++last).toString(16)}`));
    expect(passed).toBe(10);
    expect(codeOf(await from('2001:db8:0:1::1'))).toBeUndefined();
  });

  test('are refused without a look at their bodies, whichever way they would go', async () => {
    const harness = await open({ ratePerAddress: 1 });
    await untilRefused(() => harness.post(ASK, null));
    const texts = await Promise.all(
      [
        fetch(`${harness.url}/graphql?query=${encodeURIComponent(ASK)}`),
        fetch(`${harness.url}/graphql`, { method: 'POST', body: 'nonsense' }),
        fetch(`${harness.url}/graphql`, { headers: { accept: 'text/event-stream' } }),
      ].map(async (response) => (await response).text()),
    );
    for (const text of texts) expect(text).toContain('"RATE_LIMITED"');
    expect((await fetch(`${harness.url}/health/ready`)).status).toBe(200);
  });

  test('that are refused are no sign of life', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice', 'IPHONE');
    await untilRefused(() => harness.post(ASK, token));
    vi.spyOn(harness.porchlight.tracker, 'life').mockRejectedValue(new Error('a sign of life'));
    vi.spyOn(harness.porchlight.tracker, 'heartbeat').mockRejectedValue(new Error('a heartbeat'));
    expect(codeOf(await harness.post(ASK, token))).toBe('RATE_LIMITED');
    expect(codeOf(await harness.post(BEAT, token))).toBe('RATE_LIMITED');
    expect(harness.server.refusals.requests).toBe(3);
  });
});

describe('messages on a socket', () => {
  test('are RATE_LIMITED beyond ten seconds’ worth, each told when to come again, and the socket lives on', async () => {
    const harness = await open({ ratePerSession: 2 });
    const { token } = await harness.login('alice');
    const wire = await TestSocket.as(harness.socketUrl, token);
    expect(await burst(wire, 30)).toBe(20);
    now = millis(now + 500);
    expect((await wire.ask(ASK)).type).toBe('next');
    const id = wire.subscribe(ASK);
    expect(await wire.next()).toEqual({
      type: 'error',
      id,
      payload: [
        {
          message: 'Too many messages or requests. Slow down.',
          extensions: { code: 'RATE_LIMITED', retryAfterMs: 500 },
        },
      ],
    });
    expect(harness.server.refusals.messages).toBe(11);
  });

  test('close it with 4414 if they go on all the same, which is no DISCONNECT', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.as(harness.socketUrl, token);
    // As many again as are let through at once.
    expect(await burst(wire, 10 + 10)).toBe(10);
    expect(wire.ws.readyState).toBe(wire.ws.OPEN);
    wire.subscribe(ASK);
    expect(await wire.closed).toEqual({ code: 4414, reason: 'Too many messages' });
    await expect.poll(() => harness.porchlight.links.count).toBe(0);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(harness.server.refusals.socketsTooFast).toBe(1);
  });

  test.each<[string, (wire: TestSocket) => void]>([
    ['heartbeats', (wire) => wire.subscribe(BEAT)],
    ['pings', (wire) => wire.send({ type: 'ping' })],
    ['pings with a payload', (wire) => wire.send({ type: 'ping', payload: { n: 1 } })],
    ['pongs', (wire) => wire.send({ type: 'pong' })],
    ['ping frames', (wire) => wire.ws.ping()],
    ['pong frames', (wire) => wire.ws.pong()],
    ['completes', (wire) => wire.send({ type: 'complete', id: 'none' })],
    ['documents that are none', (wire) => wire.subscribe('{')],
  ])('are counted if they are %s, too', async (_what, message) => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const wire = await TestSocket.as(harness.socketUrl, token);
    for (let count = 0; count < 10 + 10 + 1; count++) message(wire);
    expect((await wire.closed).code).toBe(4414);
  });

  test('that are refused are no signs of life, and pings among them are not answered', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const wire = await TestSocket.as(harness.socketUrl, token);
    expect(await burst(wire, 10)).toBe(10);
    const life = vi.spyOn(harness.porchlight.tracker, 'life');
    const pongs: string[] = [];
    wire.ws.on('pong', (payload: Buffer) => pongs.push(payload.toString()));
    wire.send({ type: 'ping' });
    wire.ws.ping('one');
    wire.subscribe(BEAT);
    expect((await wire.next()).type).toBe('error');
    expect(life).not.toHaveBeenCalled();
    now = millis(now + 1_000);
    wire.ws.ping('two');
    await expect.poll(() => pongs).toEqual(['two']);
    expect(wire.unread).toEqual([]);
    expect(life).toHaveBeenCalledTimes(1);
  });

  test('end a subscription even when they come too fast', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const wire = await TestSocket.as(harness.socketUrl, token);
    const id = wire.subscribe('subscription { statusChanges(userIds: ["bob"]) { status } }');
    await wire.next();
    expect(await burst(wire, 9)).toBe(9);
    wire.send({ type: 'complete', id });
    await expect.poll(() => harness.porchlight.watchers.watchedUsers).toBe(0);
  });

  test('are counted for the session, on whichever of its sockets, and over HTTP', async () => {
    const harness = await open({ ratePerSession: 1 });
    const { token } = await harness.login('alice');
    const [one, two] = [await TestSocket.as(harness.socketUrl, token), await TestSocket.as(harness.socketUrl, token)];
    expect((await burst(one, 4)) + (await burst(two, 4))).toBe(8);
    for (let count = 0; count < 2; count++) expect(codeOf(await harness.post(ASK, token))).toBeUndefined();
    expect(codeOf(await harness.post(ASK, token))).toBe('RATE_LIMITED');
    expect((await burst(one, 1)) + (await burst(two, 1))).toBe(0);
  });

  test('of a user’s JWT are counted by themselves until it logs in, and then for the session', async () => {
    const harness = await open({ ratePerSession: 1 });
    const wire = await TestSocket.as(harness.socketUrl, await harness.jwt('alice'));
    expect(await burst(wire, 8)).toBe(8);
    const login = await wire.ask(LOGIN, { input: { platform: 'WEB' } });
    const { sessionToken } = (login.payload?.['data'] as unknown as { login: { sessionToken: string } }).login;
    expect(await burst(wire, 10)).toBe(10);
    expect(codeOf(await harness.post(ASK, sessionToken))).toBe('RATE_LIMITED');
  });

  test('of a backend are not counted', async () => {
    const harness = await open({ ratePerSession: 1, ratePerUser: 1, ratePerAddress: 1 });
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    expect(await burst(wire, 100)).toBe(100);
  });

  test('of an address are counted on all sockets together, upgrades among them', async () => {
    const harness = await open({ ratePerAddress: 2 });
    const [one, two] = [
      await TestSocket.as(harness.socketUrl, await harness.jwt('a')),
      await TestSocket.as(harness.socketUrl, await harness.jwt('b')),
    ];
    // Two upgrades, two inits.
    expect((await burst(one, 10)) + (await burst(two, 10))).toBe(16);
    const refused = new TestSocket(harness.socketUrl);
    const [status, retryAfter] = await new Promise<[number | undefined, string | undefined]>((resolve) => {
      refused.ws.once('unexpected-response', (_request, { statusCode, headers }) =>
        resolve([statusCode, headers['retry-after']]),
      );
    });
    expect([status, retryAfter]).toEqual([429, '1']);
  });

  test('of somebody who has not said who she is are few', async () => {
    const harness = await open({ ratePerSession: 1 });
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    for (let count = 0; count < 10 + 10 + 1; count++) wire.send({ type: 'ping' });
    expect((await wire.closed).code).toBe(4414);
  });

  test('that would say who she is close the socket when they come too fast', async () => {
    const harness = await open({ ratePerSession: 1 });
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    for (let count = 0; count < 10; count++) wire.send({ type: 'ping' });
    await wire.init({ authorization: `Bearer ${API_KEY}` });
    expect((await wire.closed).code).toBe(4414);
  });
});
