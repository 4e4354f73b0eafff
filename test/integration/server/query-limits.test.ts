import { getIntrospectionQuery } from 'graphql';
import { describe, expect, test } from 'vitest';
import {
  MAX_ALIASES,
  MAX_DEPTH,
  MAX_DIRECTIVES,
  MAX_FIELDS,
  MAX_TOKENS,
} from '../../../src/server/graphql/query-limits.ts';
import { API_KEY, codeOf, ServerHarness } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

const nested = (levels: number): string =>
  `{ __type(name: "Query") ${'{ ofType '.repeat(levels - 2)} { name } ${'}'.repeat(levels - 2)} }`;

/** What exceeds a limit, the document, the error code. */
const ABOVE_LIMIT: [string, string, string][] = [
  ['nested levels', nested(MAX_DEPTH + 1), 'GRAPHQL_VALIDATION_FAILED'],
  [
    'nested levels through fragments',
    `{ ...A } fragment A on Query { __type(name: "Query") { ...B } }
     fragment B on __Type ${'{ ofType '.repeat(9)} { name } ${'}'.repeat(9)}`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['aliases', `{ ${repeat(MAX_ALIASES + 1, (index) => `a${index}: __typename`)} }`, 'GRAPHQL_VALIDATION_FAILED'],
  [
    'aliases through fragments',
    `{ ...A ... { ...A } } fragment A on Query { ${repeat(MAX_ALIASES / 2 + 1, (index) => `a${index}: __typename`)} }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['directives', `{ __typename ${'@include(if: true) '.repeat(MAX_DIRECTIVES + 1)} }`, 'GRAPHQL_VALIDATION_FAILED'],
  ['unknown directives', `{ __typename ${'@x '.repeat(MAX_DIRECTIVES + 1)} }`, 'GRAPHQL_VALIDATION_FAILED'],
  ['fields', `{ ${'__typename '.repeat(MAX_FIELDS + 1)} }`, 'GRAPHQL_VALIDATION_FAILED'],
  [
    'fields through fragments that each spread the next one twice',
    `{ ...F0 } ${repeat(12, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F12 on Query { __typename }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'fields in an unused fragment',
    `{ __typename } fragment A on Query { ${'__typename '.repeat(MAX_FIELDS)} }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['tokens', `{ ${'__typename '.repeat(MAX_TOKENS)} }`, 'GRAPHQL_PARSE_FAILED'],
  ['brackets', `{ a(x: ${'['.repeat(100_000)}) }`, 'GRAPHQL_PARSE_FAILED'],
];

const WITHIN_LIMIT: [string, string][] = [
  ['nested levels', nested(MAX_DEPTH)],
  ['aliases', `{ ${repeat(MAX_ALIASES, (index) => `a${index}: __typename`)} }`],
  ['directives', `{ __typename ${'@include(if: true) '.repeat(1)} }`],
  ['fields', `{ ${'__typename '.repeat(MAX_FIELDS)} }`],
  ['500 ids in the document', `{ userStatuses(userIds: [${repeat(500, (index) => `"u${index}"`)}]) { version } }`],
  [
    'levels as the introspection query of GraphiQL has',
    getIntrospectionQuery({ oneOf: true, inputValueDeprecation: true, schemaDescription: true }),
  ],
];

describe('a document', () => {
  test.each(ABOVE_LIMIT)(
    'with too many %s is rejected over both transports within 0.5 s of CPU time',
    async (_what, query, code) => {
      const harness = await ServerHarness.open();
      await harness.post('{ __typename }');
      const began = process.cpuUsage();
      const reply = await harness.post(query);
      // CPU time, which other tests do not influence. It includes both ends of the connection.
      expect(process.cpuUsage(began).user).toBeLessThan(500_000);
      expect(codeOf(reply)).toBe(code);
      expect(reply.body.errors?.[0]?.message).toMatch(/more tha[nt] \d+ \w+|Nested too deeply/);
      expect(reply.body.data).toBeUndefined();
      const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
      socket.subscribe(query);
      const message = await socket.nextMessage();
      expect([message.type, message.payload?.[0]?.['extensions']]).toEqual(['error', { code }]);
      // The socket stays usable.
      expect((await socket.execute('{ __typename }')).type).toBe('next');
    },
  );

  test.each(WITHIN_LIMIT)('within the limit is answered over both transports: %s', async (_what, query) => {
    const harness = await ServerHarness.open();
    expect((await harness.post(query)).body.errors).toBeUndefined();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect((await socket.execute(query)).payload?.['errors']).toBeUndefined();
  });

  test('with 501 user ids in its text is rejected with TOO_MANY_USERS', async () => {
    const harness = await ServerHarness.open();
    const query = `{ userStatuses(userIds: [${repeat(501, (index) => `"u${index}"`)}]) { version } }`;
    expect(codeOf(await harness.post(query))).toBe('TOO_MANY_USERS');
  });

  test('with misspelled names gets no suggestions, over both transports', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    for (const query of [
      '{ polic { x } }',
      '{ policy { pushOnlineExpiryM } }',
      '{ policy { ... on Polic { x } } }',
      '{ userStatus(userI: "a") { version } }',
      'mutation { login(input: { platfor: WEB }) { sessionToken } }',
      'mutation { login(input: { platform: WE }) { sessionToken } }',
    ]) {
      const { body } = await harness.post(query);
      expect(body.errors?.[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
      expect(JSON.stringify(body)).not.toContain('Did you mean');
      socket.subscribe(query);
      expect(JSON.stringify(await socket.nextMessage())).not.toContain('Did you mean');
    }
  });

  test('that is sent again gets the same answer from the document cache', async () => {
    const harness = await ServerHarness.open();
    const query = '{ stats { sockets usersOnline } }';
    for (let times = 0; times < 3; times++) expect((await harness.post(query)).body.errors).toBeUndefined();
    const bad = '{ stats { nothing } }';
    for (let times = 0; times < 3; times++) expect(codeOf(await harness.post(bad))).toBe('GRAPHQL_VALIDATION_FAILED');
  });
});

describe('a WebSocket', () => {
  test('rejects an operation above maxOperations with RATE_LIMITED and a retry delay', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { maxOperations: 3 } });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const first = socket.subscribe('subscription { presenceEvents { reason } }');
    for (let more = 0; more < 2; more++) socket.subscribe('subscription { presenceEvents { reason } }');
    socket.subscribe('{ stats { sockets } }');
    expect(await socket.nextMessage()).toMatchObject({
      type: 'error',
      payload: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 } }],
    });
    socket.send({ type: 'complete', id: first });
    await socket.waitForRoundTrip();
    expect((await socket.execute('{ stats { sockets } }')).type).toBe('next');
  });

  test('is closed with 1009 by a message above 512 KiB, without a DISCONNECT event', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    socket.subscribe(`{ __typename } # ${'x'.repeat(512 * 1024)}`);
    expect((await socket.closed).code).toBe(1009);
    const attachedSockets = async () => (await harness.store.readUsers(['alice' as never]))[0]?.sessions[0]?.socketIds;
    await expect.poll(attachedSockets).toEqual([]);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('is closed when its client keeps sending queries but reads no answers', async () => {
    const harness = await ServerHarness.open({
      connectionSettings: { maxUnreadBytes: 64 * 1024, closeTimeoutMs: 200 },
    });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.tcpSocket.pause();
    const ids = Array.from({ length: 500 }, (_, index) => `user ${index}`);
    const closed = new Promise<void>((resolve) => socket.tcpSocket.once('close', () => resolve()));
    const flood = setInterval(() => {
      const query = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status version customStatus } }';
      if (socket.webSocket.readyState === socket.webSocket.OPEN) socket.subscribe(query, { ids });
    }, 1);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount, { timeout: 20_000 }).toBe(0);
    clearInterval(flood);
    socket.tcpSocket.resume();
    await closed;
  });
});
