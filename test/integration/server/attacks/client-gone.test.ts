/** Clients that disconnect during an operation: no resource is leaked, and their session disconnects exactly once. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { API_KEY, ServerHarness, LOGIN } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId version customStatus } }';
const ASK = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status version customStatus } }';
const FEED = 'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId reason } }';
/** User ids so long that an answer about all of them exceeds the kernel's socket buffers. */
const MANY = Array.from({ length: 500 }, (_, index) => `user ${index} ${'\u{1F600}'.repeat(110)}`);
const LIMITS = { pingIntervalMs: 100, closeTimeoutMs: 200, initTimeoutMs: 2_000 };

/** The header and first byte of a text frame of 4,096 bytes. */
const HALF_A_MESSAGE = Buffer.from([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 0x7b]);

const CUTS: readonly (readonly [string, (tcp: Socket) => unknown])[] = [
  ['RST', (tcp) => tcp.resetAndDestroy()],
  ['FIN', (tcp) => tcp.end()],
  ['FIN inside a message', (tcp) => tcp.end(HALF_A_MESSAGE)],
];

const openResources = ({ server, application: porchlight }: ServerHarness) => ({
  ...server.openResources,
  registeredSockets: porchlight.socketRegistry.openSocketCount,
  watchedUsers: porchlight.statusWatchers.watchedUserCount,
  followers: porchlight.eventFeed.subscriberCount,
  endings: porchlight.sessionEndNotifier.awaitedSessionCount,
  revocations: porchlight.tracker.tokenRevocations.listenedUserCount,
});
const NO_RESOURCES: ReturnType<typeof openResources> = {
  sockets: 0,
  httpStreams: 0,
  sharedResults: 0,
  registeredSockets: 0,
  watchedUsers: 0,
  followers: 0,
  endings: 0,
  revocations: 0,
};

const expectNoOpenResources = (harness: ServerHarness) =>
  expect.poll(() => openResources(harness), { timeout: 10_000, interval: 20 }).toEqual(NO_RESOURCES);

const expectNoLoggedErrors = (harness: ServerHarness): void => {
  expect(harness.logLines.filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
};

/** Blocks the next call of a method. `called` resolves when the call arrives; `resume` lets it continue. */
const blockNextCall = <O extends object>(
  target: O,
  method: keyof O & string,
): { called: Promise<void>; resume: () => void } => {
  let resume: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (resume = resolve));
  const original = (target[method] as (...args: unknown[]) => unknown).bind(target);
  const called = new Promise<void>((resolve) => {
    vi.spyOn(target as Record<string, (...args: unknown[]) => unknown>, method).mockImplementationOnce(
      async (...args) => {
        resolve();
        await released;
        return original(...args);
      },
    );
  });
  return { called, resume };
};

afterEach(() => void vi.restoreAllMocks());

/** Starts what the client does at the moment of the disconnect. Resolves to a function that ends a block, if one outlives it. */
const MOMENTS: Readonly<Record<string, (harness: ServerHarness, socket: TestSocket) => Promise<(() => void) | void>>> =
  {
    'with no active operation': async (_harness, socket) => {
      await socket.waitForRoundTrip();
    },
    'while its query executes': async (harness, socket) => {
      const { called, resume } = blockNextCall(harness.store, 'readUsers');
      socket.subscribe(ASK, { ids: ['alice'] });
      await called;
      return resume;
    },
    'while a large answer is sent': async (_harness, socket) => {
      socket.tcpSocket.pause();
      for (let times = 0; times < 20; times++) socket.subscribe(ASK, { ids: MANY });
      await expect.poll(() => socket.webSocket.bufferedAmount).toBe(0);
    },
    'while the initial statuses of its subscription are read': async (harness, socket) => {
      const { called, resume } = blockNextCall(harness.store, 'readUsers');
      socket.subscribe(WATCH, { ids: ['alice'] });
      await called;
      return resume;
    },
    'during a fan-out': async (harness, socket) => {
      socket.subscribe(WATCH, { ids: ['bob', ...MANY.slice(1)] });
      await socket.nextMessage();
      socket.tcpSocket.pause();
      for (let times = 0; times < 20; times++) socket.subscribe(WATCH, { ids: MANY });
      await expect.poll(() => socket.webSocket.bufferedAmount).toBe(0);
      await harness.login('bob');
    },
  };

describe.each(CUTS)('a client that disconnects by %s', (_how, cut) => {
  test.each(Object.keys(MOMENTS))('is recorded once and leaks nothing when it disconnects %s', async (moment) => {
    const harness = await ServerHarness.open({ connectionSettings: LIMITS });
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    const resume = await MOMENTS[moment]?.(harness, socket);
    cut(socket.tcpSocket);
    // The disconnect is recorded at once. Resources of an active operation are released when it ends.
    await expect.poll(() => harness.reasons('alice'), { interval: 20 }).toEqual(['LOGIN', 'DISCONNECT']);
    resume?.();
    await expectNoOpenResources(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT']);
    expectNoLoggedErrors(harness);
  });

  test('leaks nothing when it disconnects during the replay of the event feed', async () => {
    const harness = await ServerHarness.open({ connectionSettings: LIMITS });
    for (const user of MANY.slice(0, 60)) await harness.login(user, 'IPHONE');
    const { body } = await harness.post('{ events(first: 1) { pageInfo { endCursor } } }');
    const after = (body.data?.['events'] as unknown as { pageInfo: { endCursor: string } }).pageInfo.endCursor;
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.tcpSocket.pause();
    for (let times = 0; times < 20; times++) socket.subscribe(FEED, { after });
    await expect.poll(() => harness.application.eventFeed.subscriberCount).toBe(20);
    cut(socket.tcpSocket);
    await expectNoOpenResources(harness);
    expectNoLoggedErrors(harness);
  });

  test('records no disconnect when it disconnects before authentication completes', async () => {
    const harness = await ServerHarness.open({ connectionSettings: LIMITS });
    const unauthenticated = new TestSocket(harness.socketUrl);
    await unauthenticated.opened;
    const { token } = await harness.login('alice', 'IPHONE');
    const authenticating = new TestSocket(harness.socketUrl);
    const { called, resume } = blockNextCall(harness.store, 'readUsers');
    await authenticating.sendInit({ authorization: `Bearer ${token}` });
    await called;
    for (const socket of [unauthenticated, authenticating]) cut(socket.tcpSocket);
    await expect.poll(() => harness.server.openResources.sockets).toBeLessThan(2);
    resume();
    await expectNoOpenResources(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expectNoLoggedErrors(harness);
  });

  test('records the login and one disconnect when it disconnects before the reply of its login', async () => {
    const harness = await ServerHarness.open({ connectionSettings: LIMITS });
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const { called, resume } = blockNextCall(harness.application.tracker, 'login');
    socket.subscribe(LOGIN, { input: { platform: 'IPHONE' } });
    await called;
    cut(socket.tcpSocket);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
    resume();
    await expect.poll(() => harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT']);
    await expectNoOpenResources(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'DISCONNECT']);
    expectNoLoggedErrors(harness);
  });

  test.each([
    ['an answer', ASK, { ids: MANY }, 'application/json'],
    ['the initial statuses of a subscription', WATCH, { ids: MANY }, 'text/event-stream'],
    ['the event feed', FEED, {}, 'text/event-stream'],
  ])('leaks nothing when it disconnects over HTTP while it receives %s', async (_what, query, variables, accept) => {
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
    expect(harness.server.openResources.httpStreams).toBe(accept === 'application/json' ? 0 : 1);
    cut(tcp);
    await expectNoOpenResources(harness);
    expectNoLoggedErrors(harness);
    expect((await harness.post('{ __typename }')).status).toBe(200);
  });
});

/** Connects through a proxy. `fail` stops the proxy without FIN or RST, so that neither end notices. */
const connectThroughProxy = async (
  harness: ServerHarness,
  credential: string,
): Promise<{ socket: TestSocket; fail: () => void }> => {
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
  const socket = await TestSocket.connect(
    `ws://127.0.0.1:${(proxy.address() as AddressInfo).port}/graphql`,
    credential,
  );
  const fail = (): void => {
    for (const end of ends) end.unpipe().pause();
  };
  return { socket, fail };
};

describe('a client whose network fails silently', () => {
  test('without a session is terminated when it answers no ping, and its watches are released', async () => {
    const harness = await ServerHarness.open({ connectionSettings: LIMITS });
    const { socket, fail } = await connectThroughProxy(harness, API_KEY);
    for (const [query, variables] of [
      [WATCH, { ids: MANY }],
      [FEED, {}],
    ] as const) {
      socket.subscribe(query, variables);
    }
    await socket.nextMessage();
    fail();
    await expectNoOpenResources(harness);
    expectNoLoggedErrors(harness);
  });

  test('with a session keeps its socket until the session times out, without a DISCONNECT event', async () => {
    const harness = await ServerHarness.open({ connectionSettings: LIMITS });
    const { token } = await harness.login('alice', 'IPHONE');
    const { socket, fail } = await connectThroughProxy(harness, token);
    socket.subscribe(WATCH, { ids: MANY });
    await socket.nextMessage();
    fail();
    for (let times = 0; times < 20; times++) await harness.login('bob', 'WEB', `${times}`);
    await harness.advanceTime(399_000);
    expect(openResources(harness)).toMatchObject({ sockets: 1, registeredSockets: 1, watchedUsers: 500 });
    await harness.advanceTime(1_000);
    await expectNoOpenResources(harness);
    expect(await harness.reasons('alice')).toEqual(['LOGIN', 'HEARTBEAT_TIMEOUT']);
    expectNoLoggedErrors(harness);
  });
});
