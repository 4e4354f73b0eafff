/**
 * Random input over both transports. Each is answered or closed with a documented code. No answer is an internal error,
 * no error is logged and no resource is leaked.
 * FUZZ_SECONDS: duration in seconds. FUZZ_SEED: seed of a failed run, to repeat it.
 */
import { connect } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillServing, loggedErrorsOf } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/test-socket.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 6);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Codes of the server, of graphql-transport-ws and of ws. 1005: closed by the client. 1006: terminated by the client. */
const CLOSE_CODES = [
  1000, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 4400, 4401, 4406, 4408, 4409, 4410, 4413, 4414, 4429,
];

const word = fc.constantFrom(
  ...[
    'userStatus',
    'userStatuses',
    'stats',
    'me',
    'events',
    'login',
    'heartbeat',
    'logout',
    'setCustomStatus',
    'policy',
  ],
  ...['statusChanges', 'presenceEvents', 'sessionEnded', 'onlineUsers', 'endSessions', 'updatePolicy', 'latestCursor'],
  ...['webhooks', 'webhook', 'webhookDeliveries', 'createWebhook', 'updateWebhook', 'deleteWebhook', 'testWebhook'],
  ...['redeliver', 'reasons', 'url', 'secret', 'events', 'DEAD', 'https://chat.example/hook'],
  ...[
    'status',
    'sessions',
    'userId',
    'id',
    'input',
    'platform',
    'WEB',
    'nodes',
    'first',
    'after',
    '__typename',
    '__schema',
  ],
  ...[
    '__proto__',
    'constructor',
    'on',
    'query',
    'mutation',
    'subscription',
    'fragment',
    'Query',
    'A',
    'true',
    'null',
    'x',
  ],
);
const token = fc.oneof(
  { weight: 6, arbitrary: word },
  {
    weight: 5,
    arbitrary: fc.constantFrom(
      '{',
      '}',
      '{',
      '}',
      '(',
      ')',
      ':',
      '[',
      ']',
      '...',
      '$',
      '$a',
      '@include(if: true)',
      '!',
      '=',
      '"',
      '"""',
      '#',
      '|',
    ),
  },
  { weight: 1, arbitrary: fc.oneof(fc.integer(), fc.double()).map(String) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }).map((text) => JSON.stringify(text)) },
);
/** Valid texts with up to three random replacements. */
const mutated = (texts: readonly string[]) =>
  fc
    .tuple(fc.constantFrom(...texts), fc.array(fc.tuple(fc.nat(), fc.nat(3), token), { maxLength: 3 }))
    .map(([text, changes]) =>
      changes.reduce((current, [at, length, replacement]) => {
        const from = at % (current.length + 1);
        return current.slice(0, from) + replacement + current.slice(from + length);
      }, text),
    );
const DOCUMENTS = [
  '{ userStatus(userId: "alice") { userId status version sessions { id platform } } }',
  'query ($a: [ID!]!) { userStatuses(userIds: $a) { userId ...F } } fragment F on UserStatus { status }',
  'query Q($a: Boolean! = true) { stats { sockets @include(if: $a) sessions { platform online } } }',
  '{ onlineUsers(first: 5, status: ONLINE) { nodes { userId } pageInfo { endCursor hasNextPage } } }',
  '{ events(first: 5, userId: "alice") { nodes { cursor reason } } }',
  'mutation ($a: LoginInput!) { login(input: $a) { sessionToken session { id } kicked { id } } }',
  'mutation { heartbeat(input: { appState: BACKGROUND }) { heartbeatIntervalMs session { id } } }',
  'mutation { setCustomStatus(input: { text: "x" }) { userStatus { customStatus } } }',
  'mutation { logout { userStatus { status } } }',
  'mutation ($a: EndSessionsInput!) { endSessions(input: $a) { ended { id } userStatus { status } } }',
  'subscription ($a: [ID!]!) { statusChanges(userIds: $a) { userId status version } }',
  'subscription { statusChanges(userIds: ["alice", "bob"]) { userId __typename } }',
  'subscription { presenceEvents { cursor reason } }',
  'mutation { createWebhook(input: { url: "https://chat.example/hook", reasons: [LOGIN] }) { secret webhook { id } } }',
  'mutation ($a: UpdateWebhookInput!) { updateWebhook(input: $a) { secret webhook { state reasons } } }',
  'mutation { testWebhook(input: { id: "webhook-1" }) { delivery { id lastStatus } } }',
  'mutation { redeliver(input: { webhookId: "webhook-1" }) { count } }',
  '{ webhookDeliveries(status: DEAD, webhookId: "webhook-1", first: 5) { nodes { id events { cursor } } } }',
  'subscription { sessionEnded { reason } }',
  '{ __schema { types { name } } }',
];
const document = fc.oneof(
  { weight: 5, arbitrary: mutated(DOCUMENTS) },
  { weight: 2, arbitrary: fc.array(token, { maxLength: 40 }).map((tokens) => tokens.join(' ')) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }) },
);
const json = fc.jsonValue({ maxDepth: 4 });
const name = fc.constantFrom('a', 'input', '__proto__', 'constructor', 'toString', 'x');
const variables = fc.oneof(
  fc.constant(undefined),
  fc.constant({ a: ['alice', 'bob'] }),
  fc.constant({ a: { platform: 'WEB', deviceId: 'd' } }),
  fc.record({
    a: fc.record(
      {
        platform: fc.constantFrom('WEB', 'IPHONE', 'x'),
        deviceId: fc.string({ unit: 'binary' }),
        userId: fc.constantFrom('alice', '', 'bob'),
      },
      { requiredKeys: [] },
    ),
  }),
  fc.dictionary(name, json, { noNullPrototype: true }),
  json,
);
const payload = fc.record({
  query: document,
  variables,
  operationName: fc.option(name),
  extensions: fc.constantFrom(undefined, null, {}, []),
});

const caller = fc.constantFrom('backend', 'user', 'session', 'unauthenticated', 'foreign', 'malformed');
type Caller = 'backend' | 'user' | 'session' | 'unauthenticated' | 'foreign' | 'malformed';

const request = fc.record({
  kind: fc.constant('http' as const),
  caller,
  method: fc.constantFrom('POST', 'POST', 'POST', 'GET', 'PUT', 'OPTIONS', 'DELETE'),
  path: fc.oneof(
    fc.constantFrom('/graphql', '/graphql', '/graphql?x=1', '/', '/health/live', '/unknown'),
    document.map((query) => `/graphql?query=${encodeURIComponent(Buffer.from(query).toString())}`),
  ),
  type: fc.constantFrom(
    'application/json',
    'application/json',
    'application/json; charset=utf-8',
    'text/plain',
    'multipart/form-data',
  ),
  accept: fc.constantFrom(
    'application/json',
    '*/*',
    'text/event-stream',
    'application/graphql-response+json',
    'text/html',
    ';,;q=',
  ),
  body: fc.oneof(
    { weight: 5, arbitrary: payload.map((value) => Buffer.from(JSON.stringify(value))) },
    { weight: 1, arbitrary: fc.array(payload, { maxLength: 3 }).map((value) => Buffer.from(JSON.stringify(value))) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 1, arbitrary: mutated(['{"query":"{ __typename }","variables":{}}']).map((text) => Buffer.from(text)) },
  ),
});

const id = fc.constantFrom('1', '2', '', 'ë', '__proto__');
const message = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('subscribe'), id, payload }).map((value) => JSON.stringify(value)),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('complete'), id }).map((value) => JSON.stringify(value)) },
  {
    weight: 2,
    arbitrary: fc
      .record({ type: fc.constantFrom('ping', 'pong'), payload: json })
      .map((value) => JSON.stringify(value)),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ type: fc.constantFrom('connection_init', 'next', 'x'), payload: json })
      .map((value) => JSON.stringify(value)),
  },
  {
    weight: 1,
    arbitrary: mutated(['{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}', '{"type":"ping"}']),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
);
const connection = fc.record({
  kind: fc.constant('socket' as const),
  caller,
  messages: fc.array(message, { maxLength: 8 }),
  closeBy: fc.constantFrom('close' as const, 'fin' as const, 'reset' as const),
});
const rawBytes = fc.record({
  kind: fc.constant('bytes' as const),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some)),
    mutated([
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{"query":"{ __typename }"}',
      'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n\u0081\u0005hello',
    ]).map((text) => Buffer.from(text, 'latin1')),
  ),
});
const step = fc.oneof(
  { weight: 3, arbitrary: connection },
  { weight: 3, arbitrary: request },
  { weight: 1, arbitrary: rawBytes },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** Performs generated steps against one server and checks each answer. */
class FuzzClient {
  readonly #harness: ServerHarness;

  constructor(harness: ServerHarness) {
    this.#harness = harness;
  }

  async perform(step: Step): Promise<void> {
    if (step.kind === 'http') await this.#sendRequest(step);
    else if (step.kind === 'socket') await this.#useSocket(step);
    else await this.#sendBytes(step.bytes);
  }

  async #credential(caller: Caller): Promise<string | null> {
    const harness = this.#harness;
    if (caller === 'backend') return API_KEY;
    if (caller === 'user') return harness.jwt('alice');
    if (caller === 'session') return (await harness.login('bob', 'IPHONE')).token;
    if (caller === 'foreign') return harness.jwt('alice', {}, 'a secret that the server does not know, long enough');
    return caller === 'malformed' ? 'pls_x.y.z' : null;
  }

  async #sendRequest({
    caller,
    method,
    path,
    type,
    accept,
    body: requestBody,
  }: Step & { kind: 'http' }): Promise<void> {
    const credential = await this.#credential(caller);
    const aborter = new AbortController();
    const response = await fetch(`${this.#harness.url}${path}`, {
      method,
      headers: {
        'content-type': type,
        accept,
        ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      },
      redirect: 'manual',
      signal: aborter.signal,
      ...(method === 'GET' ? {} : { body: requestBody }),
    });
    expect(response.status).toBeLessThan(500);
    // A stream may never end: only its first event is checked.
    const isStream = response.headers.get('content-type')?.includes('event-stream') ?? false;
    const reader = response.body?.getReader();
    let body = '';
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      body += Buffer.from(part.value).toString('utf8');
      if (isStream && body.includes('\n\n')) break;
    }
    aborter.abort();
    expect(body).not.toContain('INTERNAL_SERVER_ERROR');
  }

  async #useSocket({ caller, messages, closeBy }: Step & { kind: 'socket' }): Promise<void> {
    const credential = await this.#credential(caller);
    const socket = new TestSocket(this.#harness.socketUrl);
    await socket.sendInit(credential === null ? undefined : { authorization: `Bearer ${credential}` });
    const open = await Promise.race([socket.nextMessage(), socket.closed.then(() => null)]);
    for (const message of messages) socket.webSocket.send(message);
    // The server handles messages in order: its pong follows the answers, unless it closes the socket.
    const pong = new Promise<void>((resolve) => socket.webSocket.once('pong', () => resolve()));
    if (socket.webSocket.readyState === socket.webSocket.OPEN) socket.webSocket.ping();
    if (open !== null) await Promise.race([pong, socket.closed]);
    if (socket.webSocket.readyState === socket.webSocket.OPEN) {
      if (closeBy === 'close') socket.webSocket.close();
      else if (closeBy === 'fin') socket.tcpSocket.end();
      else socket.resetTcp();
    }
    const { code, reason } = await socket.closed;
    expect(CLOSE_CODES).toContain(code);
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
    expect(JSON.stringify(socket.unreadMessages)).not.toContain('INTERNAL_SERVER_ERROR');
  }

  async #sendBytes(data: Buffer): Promise<void> {
    const { hostname, port } = new URL(this.#harness.url);
    const tcp = connect(Number(port), hostname);
    await new Promise<void>((resolve) => {
      tcp.on('error', () => undefined);
      tcp.once('close', () => resolve());
      tcp.resume();
      tcp.end(data);
    });
  }
}

test(
  `random input causes no internal error and leaks no resource (FUZZ_SEED=${SEED})`,
  async () => {
    const harness = await ServerHarness.open({ compileAfter: 3 });
    const client = new FuzzClient(harness);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const logged = harness.logLines.length;
        await Promise.all(steps.map((one) => client.perform(one)));
        expect(harness.logLines.slice(logged).filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
        harness.logLines.length = 0;
      }),
      {
        seed: SEED,
        numRuns: 1_000_000,
        interruptAfterTimeLimit: SECONDS * 1_000,
        markInterruptAsFailure: false,
        endOnFailure: false,
      },
    );
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
    await expect.poll(() => harness.application.statusWatchers.watchedUserCount).toBe(0);
    expect(loggedErrorsOf(harness)).toEqual([]);
    await expectStillServing(harness);
  },
  SECONDS * 1_000 + 120_000,
);
