/**
 * Whatever comes in at random over both doors: there is always an answer or a close code that is documented, never one
 * that says it was our fault, nothing is logged as an error, and nothing is left over.
 * FUZZ_SECONDS runs it longer, FUZZ_SEED repeats what failed.
 */
import { connect } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillWell, faultsOf } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/wire.ts';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 6);
const SEED = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Ours, graphql-ws's and those that ws gives by itself, by the RFC. 1005: closed by the client. 1006: cut off by it. */
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
/** Texts as they might be, but for some of their letters. */
const nearly = (texts: readonly string[]) =>
  fc
    .tuple(fc.constantFrom(...texts), fc.array(fc.tuple(fc.nat(), fc.nat(3), token), { maxLength: 3 }))
    .map(([text, changes]) =>
      changes.reduce((so, [at, length, put]) => {
        const from = at % (so.length + 1);
        return so.slice(0, from) + put + so.slice(from + length);
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
  { weight: 5, arbitrary: nearly(DOCUMENTS) },
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

const who = fc.constantFrom('backend', 'user', 'session', 'nobody', 'stranger', 'odd');
type Who = 'backend' | 'user' | 'session' | 'nobody' | 'stranger' | 'odd';

const request = fc.record({
  kind: fc.constant('http' as const),
  who,
  method: fc.constantFrom('POST', 'POST', 'POST', 'GET', 'PUT', 'OPTIONS', 'DELETE'),
  path: fc.oneof(
    fc.constantFrom('/graphql', '/graphql', '/graphql?x=1', '/', '/health/live', '/nothing'),
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
    { weight: 1, arbitrary: nearly(['{"query":"{ __typename }","variables":{}}']).map((text) => Buffer.from(text)) },
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
    arbitrary: nearly(['{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}', '{"type":"ping"}']),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)) },
);
const visit = fc.record({
  kind: fc.constant('socket' as const),
  who,
  messages: fc.array(message, { maxLength: 8 }),
  leaves: fc.constantFrom('close' as const, 'fin' as const, 'reset' as const),
});
const bytes = fc.record({
  kind: fc.constant('bytes' as const),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((some) => Buffer.from(some)),
    nearly([
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n{"query":"{ __typename }"}',
      'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n\u0081\u0005hello',
    ]).map((text) => Buffer.from(text, 'latin1')),
  ),
});
const step = fc.oneof(
  { weight: 3, arbitrary: visit },
  { weight: 3, arbitrary: request },
  { weight: 1, arbitrary: bytes },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

class Visitor {
  readonly #harness: ServerHarness;

  constructor(harness: ServerHarness) {
    this.#harness = harness;
  }

  async does(what: Step): Promise<void> {
    if (what.kind === 'http') await this.#asks(what);
    else if (what.kind === 'socket') await this.#visits(what);
    else await this.#sends(what.bytes);
  }

  async #credential(who: Who): Promise<string | null> {
    const harness = this.#harness;
    if (who === 'backend') return API_KEY;
    if (who === 'user') return harness.jwt('alice');
    if (who === 'session') return (await harness.login('bob', 'IPHONE')).token;
    if (who === 'stranger') return harness.jwt('alice', {}, 'the secret of somebody else, as long as it must be');
    return who === 'odd' ? 'pls_x.y.z' : null;
  }

  async #asks({ who, method, path, type, accept, body }: Step & { kind: 'http' }): Promise<void> {
    const credential = await this.#credential(who);
    const leaving = new AbortController();
    const response = await fetch(`${this.#harness.url}${path}`, {
      method,
      headers: {
        'content-type': type,
        accept,
        ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      },
      redirect: 'manual',
      signal: leaving.signal,
      ...(method === 'GET' ? {} : { body }),
    });
    expect(response.status).toBeLessThan(500);
    // A stream may go on for ever: what comes first is looked at.
    const isStream = response.headers.get('content-type')?.includes('event-stream') ?? false;
    const reader = response.body?.getReader();
    let told = '';
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
      told += Buffer.from(part.value).toString('utf8');
      if (isStream && told.includes('\n\n')) break;
    }
    leaving.abort();
    expect(told).not.toContain('INTERNAL_SERVER_ERROR');
  }

  async #visits({ who, messages, leaves }: Step & { kind: 'socket' }): Promise<void> {
    const credential = await this.#credential(who);
    const wire = new TestSocket(this.#harness.socketUrl);
    await wire.init(credential === null ? undefined : { authorization: `Bearer ${credential}` });
    const open = await Promise.race([wire.next(), wire.closed.then(() => null)]);
    for (const message of messages) wire.ws.send(message);
    // Whatever was asked before this is answered before its answer, or the socket is closed.
    const answered = new Promise<void>((resolve) => wire.ws.once('pong', () => resolve()));
    if (wire.ws.readyState === wire.ws.OPEN) wire.ws.ping();
    if (open !== null) await Promise.race([answered, wire.closed]);
    if (wire.ws.readyState === wire.ws.OPEN) {
      if (leaves === 'close') wire.ws.close();
      else if (leaves === 'fin') wire.tcp.end();
      else wire.reset();
    }
    const { code, reason } = await wire.closed;
    expect(CLOSE_CODES).toContain(code);
    expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123);
    expect(JSON.stringify(wire.unread)).not.toContain('INTERNAL_SERVER_ERROR');
  }

  async #sends(what: Buffer): Promise<void> {
    const { hostname, port } = new URL(this.#harness.url);
    const tcp = connect(Number(port), hostname);
    await new Promise<void>((resolve) => {
      tcp.on('error', () => undefined);
      tcp.once('close', () => resolve());
      tcp.resume();
      tcp.end(what);
    });
  }
}

test(
  `nothing that is sent at random is our fault, nor leaves anything behind (FUZZ_SEED=${SEED})`,
  async () => {
    const harness = await ServerHarness.open({ compileAfter: 3 });
    const visitor = new Visitor(harness);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        const logged = harness.logged.length;
        await Promise.all(steps.map((one) => visitor.does(one)));
        expect(harness.logged.slice(logged).filter((line) => /"level":(50|60)/.test(line))).toEqual([]);
        harness.logged.length = 0;
      }),
      {
        seed: SEED,
        numRuns: 1_000_000,
        interruptAfterTimeLimit: SECONDS * 1_000,
        markInterruptAsFailure: false,
        endOnFailure: false,
      },
    );
    await expect.poll(() => harness.porchlight.links.count).toBe(0);
    await expect.poll(() => harness.porchlight.watchers.watchedUsers).toBe(0);
    expect(faultsOf(harness)).toEqual([]);
    await expectStillWell(harness);
  },
  SECONDS * 1_000 + 120_000,
);
