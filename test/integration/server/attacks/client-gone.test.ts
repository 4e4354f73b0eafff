/** Clients who are gone at the worst moment: whatever was under way for them, nothing of it stays, and they left once. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { API_KEY, ServerHarness, LOGIN } from '../support/server-harness.ts';
import { TestSocket } from '../support/wire.ts';

const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId version customStatus } }';
const ASK = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status version customStatus } }';
const FEED = 'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId reason } }';
/** Long ones, so that an answer about them does not fit into what kernels hold. */
const MANY = Array.from({ length: 500 }, (_, index) => `user ${index} ${'\u{1F600}'.repeat(110)}`);
const LIMITS = { pingMs: 100, closeMs: 200, initMs: 2_000 };

/** A message of which only the beginning comes. */
const HALF_A_MESSAGE = Buffer.from([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 0x7b]);

const CUTS: readonly (readonly [string, (tcp: Socket) => unknown])[] = [
  ['RST', (tcp) => tcp.resetAndDestroy()],
  ['FIN', (tcp) => tcp.end()],
  ['FIN in the middle of a message', (tcp) => tcp.end(HALF_A_MESSAGE)],
];

const held = ({ server, porchlight }: ServerHarness) => ({
  ...server.held,
  links: porchlight.links.count,
  watchedUsers: porchlight.watchers.watchedUsers,
  followers: porchlight.feed.followers,
  endings: porchlight.endings.awaited,
  revocations: porchlight.tracker.revocations.listenedTo,
});
const NOTHING = {
  sockets: 0,
  streams: 0,
  shapes: 0,
  links: 0,
  watchedUsers: 0,
  followers: 0,
  endings: 0,
  revocations: 0,
};

const expectNothingHeld = (harness: ServerHarness) =>
  expect.poll(() => held(harness), { timeout: 10_000, interval: 20 }).toEqual(NOTHING);

const expectNoFault = (harness: ServerHarness): void => {
  expect(harness.logged.filter((line) => (JSON.parse(line) as { level: number }).level >= 50)).toEqual([]);
};

/** As soon as it is called; what it is to answer waits until the test lets it. */
const holdUp = <O extends object>(of: O, method: keyof O & string): { called: Promise<void>; goOn: () => void } => {
  let goOn: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (goOn = resolve));
  const original = (of[method] as (...args: unknown[]) => unknown).bind(of);
  const called = new Promise<void>((resolve) => {
    vi.spyOn(of as Record<string, (...args: unknown[]) => unknown>, method).mockImplementationOnce(async (...args) => {
      resolve();
      await gate;
      return original(...args);
    });
  });
  return { called, goOn };
};

afterEach(() => void vi.restoreAllMocks());

/** What a client was doing when it went. Resolves to what ends a hold-up that is to last beyond that. */
const MOMENTS: Readonly<Record<string, (harness: ServerHarness, wire: TestSocket) => Promise<(() => void) | void>>> = {
  'with nothing under way': async (_house, wire) => {
    await wire.roundTrip();
  },
  'while an answer is made': async (harness, wire) => {
    const { called, goOn } = holdUp(harness.store, 'read');
    wire.subscribe(ASK, { ids: ['alice'] });
    await called;
    return goOn;
  },
  'while a large answer goes out': async (_house, wire) => {
    wire.tcp.pause();
    for (let times = 0; times < 20; times++) wire.subscribe(ASK, { ids: MANY });
    await expect.poll(() => wire.ws.bufferedAmount).toBe(0);
  },
  'while the present of those it watches is found out': async (harness, wire) => {
    const { called, goOn } = holdUp(harness.store, 'read');
    wire.subscribe(WATCH, { ids: ['alice'] });
    await called;
    return goOn;
  },
  'during a fan-out': async (harness, wire) => {
    wire.subscribe(WATCH, { ids: ['bob', ...MANY.slice(1)] });
    await wire.next();
    wire.tcp.pause();
    for (let times = 0; times < 20; times++) wire.subscribe(WATCH, { ids: MANY });
    await expect.poll(() => wire.ws.bufferedAmount).toBe(0);
    await harness.login('bob');
  },
};

describe.each(CUTS)('a client who is gone by %s', (_how, cut) => {
  test.each(Object.keys(MOMENTS))('%s', async (moment) => {
    const harness = await ServerHarness.open({ limits: LIMITS });
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.as(harness.socketUrl, token);
    const goOn = await MOMENTS[moment]?.(harness, wire);
    cut(wire.tcp);
    // It is told at once, whatever is under way; and the rest goes when that is over.
    await expect.poll(() => harness.reasons('alice'), { interval: 20 }).toEqual(['LOGIN', 'DISCONNECT']);
    goOn?.();
    await expectNothingHeld(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT']);
    expectNoFault(harness);
  });

  test('during the replay of the feed', async () => {
    const harness = await ServerHarness.open({ limits: LIMITS });
    for (const user of MANY.slice(0, 60)) await harness.login(user, 'IPHONE');
    const { body } = await harness.post('{ events(first: 1) { pageInfo { endCursor } } }');
    const after = (body.data?.['events'] as unknown as { pageInfo: { endCursor: string } }).pageInfo.endCursor;
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    wire.tcp.pause();
    for (let times = 0; times < 20; times++) wire.subscribe(FEED, { after });
    await expect.poll(() => harness.porchlight.feed.followers).toBe(20);
    cut(wire.tcp);
    await expectNothingHeld(harness);
    expectNoFault(harness);
  });

  test('between the upgrade and its first message, and before it is let in', async () => {
    const harness = await ServerHarness.open({ limits: LIMITS });
    const silent = new TestSocket(harness.socketUrl);
    await silent.opened;
    const { token } = await harness.login('alice', 'IPHONE');
    const known = new TestSocket(harness.socketUrl);
    const { called, goOn } = holdUp(harness.store, 'read');
    await known.init({ authorization: `Bearer ${token}` });
    await called;
    for (const wire of [silent, known]) cut(wire.tcp);
    await expect.poll(() => harness.server.held.sockets).toBeLessThan(2);
    goOn();
    await expectNothingHeld(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expectNoFault(harness);
  });

  test('before the reply of its login: it was there, and left once', async () => {
    const harness = await ServerHarness.open({ limits: LIMITS });
    const wire = await TestSocket.as(harness.socketUrl, await harness.jwt('alice'));
    const { called, goOn } = holdUp(harness.porchlight.tracker, 'login');
    wire.subscribe(LOGIN, { input: { platform: 'IPHONE' } });
    await called;
    cut(wire.tcp);
    await expect.poll(() => harness.porchlight.links.count).toBe(0);
    goOn();
    await expect.poll(() => harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT']);
    await expectNothingHeld(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT']);
    expectNoFault(harness);
  });

  test.each([
    ['an answer', ASK, { ids: MANY }, 'application/json'],
    ['the present of a subscription', WATCH, { ids: MANY }, 'text/event-stream'],
    ['the feed', FEED, {}, 'text/event-stream'],
  ])('over HTTP, in the middle of %s', async (_what, query, variables, accept) => {
    const harness = await ServerHarness.open();
    const { host, port, hostname } = new URL(harness.url);
    const body = JSON.stringify({ query, variables });
    const tcp = connect(Number(port), hostname);
    onTestFinished(() => void tcp.destroy());
    tcp.on('error', () => undefined);
    tcp.write(
      `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\nContent-Type: application/json\r\nAuthorization: Bearer ${API_KEY}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    await new Promise((resolve) => tcp.once('data', resolve));
    expect(harness.server.held.streams).toBe(accept === 'application/json' ? 0 : 1);
    cut(tcp);
    await expectNothingHeld(harness);
    expectNoFault(harness);
    expect((await harness.post('{ __typename }')).status).toBe(200);
  });
});

/** Between a client and the server, until the network is gone: nobody hears of that. */
const wireThroughFragileNetwork = async (
  harness: ServerHarness,
  credential: string,
): Promise<{ wire: TestSocket; fail: () => void }> => {
  const ends: Socket[] = [];
  const proxy = createServer((near) => {
    const far = connect(Number(new URL(harness.url).port), '127.0.0.1');
    ends.push(near, far);
    for (const end of [near, far]) end.on('error', () => undefined);
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const end of ends) end.destroy();
    proxy.close();
  });
  const wire = await TestSocket.as(`ws://127.0.0.1:${(proxy.address() as AddressInfo).port}/graphql`, credential);
  const fail = (): void => {
    for (const end of ends) end.unpipe().pause();
  };
  return { wire, fail };
};

describe('a client whose network is gone', () => {
  test('without a session, is cut off when it answers no ping, with what it watched', async () => {
    const harness = await ServerHarness.open({ limits: LIMITS });
    const { wire, fail } = await wireThroughFragileNetwork(harness, API_KEY);
    for (const [query, variables] of [
      [WATCH, { ids: MANY }],
      [FEED, {}],
    ] as const) {
      wire.subscribe(query, variables);
    }
    await wire.next();
    fail();
    await expectNothingHeld(harness);
    expectNoFault(harness);
  });

  test('with a session, is there until that times out, and is no DISCONNECT as well', async () => {
    const harness = await ServerHarness.open({ limits: LIMITS });
    const { token } = await harness.login('alice', 'IPHONE');
    const { wire, fail } = await wireThroughFragileNetwork(harness, token);
    wire.subscribe(WATCH, { ids: MANY });
    await wire.next();
    fail();
    for (let times = 0; times < 20; times++) await harness.login('bob', 'WEB', `${times}`);
    await harness.pass(399_000);
    expect(held(harness)).toMatchObject({ sockets: 1, links: 1, watchedUsers: 500 });
    await harness.pass(1_000);
    await expectNothingHeld(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT']);
    expectNoFault(harness);
  });
});
