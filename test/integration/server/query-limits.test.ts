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
import { TestSocket } from './support/wire.ts';

const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

const nested = (levels: number): string =>
  `{ __type(name: "Query") ${'{ ofType '.repeat(levels - 2)} { name } ${'}'.repeat(levels - 2)} }`;

const TOO_MUCH: [string, string, string][] = [
  ['levels', nested(MAX_DEPTH + 1), 'GRAPHQL_VALIDATION_FAILED'],
  [
    'levels through fragments',
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
  ['directives nobody knows', `{ __typename ${'@x '.repeat(MAX_DIRECTIVES + 1)} }`, 'GRAPHQL_VALIDATION_FAILED'],
  ['fields', `{ ${'__typename '.repeat(MAX_FIELDS + 1)} }`, 'GRAPHQL_VALIDATION_FAILED'],
  [
    'fields through fragments that double each other',
    `{ ...F0 } ${repeat(12, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F12 on Query { __typename }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'fields in a fragment that nobody spreads',
    `{ __typename } fragment A on Query { ${'__typename '.repeat(MAX_FIELDS)} }`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['tokens', `{ ${'__typename '.repeat(MAX_TOKENS)} }`, 'GRAPHQL_PARSE_FAILED'],
  ['brackets', `{ a(x: ${'['.repeat(100_000)}) }`, 'GRAPHQL_PARSE_FAILED'],
];

const FINE: [string, string][] = [
  ['levels', nested(MAX_DEPTH)],
  ['aliases', `{ ${repeat(MAX_ALIASES, (index) => `a${index}: __typename`)} }`],
  ['directives', `{ __typename ${'@include(if: true) '.repeat(1)} }`],
  ['fields', `{ ${'__typename '.repeat(MAX_FIELDS)} }`],
  ['501 ids in its text', `{ userStatuses(userIds: [${repeat(500, (index) => `"u${index}"`)}]) { version } }`],
  [
    'what GraphiQL asks first',
    getIntrospectionQuery({ oneOf: true, inputValueDeprecation: true, schemaDescription: true }),
  ],
];

describe('a document', () => {
  test.each(TOO_MUCH)('with too many %s is refused at both doors, quickly', async (_what, query, code) => {
    const harness = await ServerHarness.open();
    await harness.post('{ __typename }');
    const began = process.cpuUsage();
    const reply = await harness.post(query);
    // Of the processor’s time, which other tests do not take; both ends of the connection are in it.
    expect(process.cpuUsage(began).user).toBeLessThan(500_000);
    expect(codeOf(reply)).toBe(code);
    expect(reply.body.errors?.[0]?.message).toMatch(/more tha[nt] \d+ \w+|Nested too deeply/);
    expect(reply.body.data).toBeUndefined();
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    wire.subscribe(query);
    const message = await wire.next();
    expect([message.type, message.payload?.[0]?.['extensions']]).toEqual(['error', { code }]);
    // And it goes on.
    expect((await wire.ask('{ __typename }')).type).toBe('next');
  });

  test.each(FINE)('with as many %s as allowed is answered at both doors', async (_what, query) => {
    const harness = await ServerHarness.open();
    expect((await harness.post(query)).body.errors).toBeUndefined();
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    expect((await wire.ask(query)).payload?.['errors']).toBeUndefined();
  });

  test('with 501 users in its text is told that these are too many users', async () => {
    const harness = await ServerHarness.open();
    const query = `{ userStatuses(userIds: [${repeat(501, (index) => `"u${index}"`)}]) { version } }`;
    expect(codeOf(await harness.post(query))).toBe('TOO_MANY_USERS');
  });

  test('that is nearly right is told no names, at both doors', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
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
      wire.subscribe(query);
      expect(JSON.stringify(await wire.next())).not.toContain('Did you mean');
    }
  });

  test('is checked once: the same text again is the same document', async () => {
    const harness = await ServerHarness.open();
    const query = '{ stats { sockets usersOnline } }';
    for (let times = 0; times < 3; times++) expect((await harness.post(query)).body.errors).toBeUndefined();
    const bad = '{ stats { nothing } }';
    for (let times = 0; times < 3; times++) expect(codeOf(await harness.post(bad))).toBe('GRAPHQL_VALIDATION_FAILED');
  });
});

describe('a socket', () => {
  test('has at most so many operations under way, and the next one is told when to come back', async () => {
    const harness = await ServerHarness.open({ limits: { maxOperations: 3 } });
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    const first = wire.subscribe('subscription { presenceEvents { reason } }');
    for (let more = 0; more < 2; more++) wire.subscribe('subscription { presenceEvents { reason } }');
    wire.subscribe('{ stats { sockets } }');
    expect(await wire.next()).toMatchObject({
      type: 'error',
      payload: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 } }],
    });
    wire.send({ type: 'complete', id: first });
    await wire.roundTrip();
    expect((await wire.ask('{ stats { sockets } }')).type).toBe('next');
  });

  test('takes no message above 512 KiB: the session is not gone for it', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.as(harness.socketUrl, token);
    wire.subscribe(`{ __typename } # ${'x'.repeat(512 * 1024)}`);
    expect((await wire.closed).code).toBe(1009);
    const links = async () => (await harness.store.read(['alice' as never]))[0]?.sessions[0]?.links;
    await expect.poll(links).toEqual([]);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('whose client sends and sends but reads nothing is closed for it', async () => {
    const harness = await ServerHarness.open({ limits: { maxUnreadBytes: 64 * 1024, closeMs: 200 } });
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    wire.tcp.pause();
    const ids = Array.from({ length: 500 }, (_, index) => `user ${index}`);
    const gone = new Promise<void>((resolve) => wire.tcp.once('close', () => resolve()));
    const flood = setInterval(() => {
      const query = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status version customStatus } }';
      if (wire.ws.readyState === wire.ws.OPEN) wire.subscribe(query, { ids });
    }, 1);
    await expect.poll(() => harness.porchlight.links.count, { timeout: 20_000 }).toBe(0);
    clearInterval(flood);
    wire.tcp.resume();
    await gone;
  });
});
