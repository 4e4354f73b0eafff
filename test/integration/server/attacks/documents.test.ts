/** Documents and variables that are expensive or ambiguous: every transport gives the same answer. */
import { describe, expect, test } from 'vitest';
import { MAX_DOCUMENT_LENGTH } from '../../../../src/server/graphql/query-limits.ts';
import { API_KEY, codeOf, ServerHarness } from '../support/server-harness.ts';
import { expectStillServing } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/test-socket.ts';

/** Maximum CPU time in microseconds, which other tests do not influence. An ordinary answer takes a hundredth of it. */
const MAX_CPU_US = 1_500_000;

const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');
const list = (count: number, text: (index: number) => string): string =>
  `[${Array.from({ length: count }, (_, index) => text(index)).join(',')}]`;

const STATUSES = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }';
const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { session { id } } }';
const POLICY =
  'mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }';

/**
 * Name, document, variables, expected code (`undefined`: no error). The variables are JSON text, because some values
 * cannot be written as objects.
 */
const EXPENSIVE: readonly (readonly [string, string, string, string | RegExp])[] = [
  ['500 KB of blanks', `{ __typename }${' '.repeat(500_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['500 KB of line ends', `{ __typename }${'\r\n'.repeat(125_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['500 KB of commas', `{ __typename }${','.repeat(500_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['one comment of 500 KB', `{ __typename } #${'x'.repeat(500_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['165,000 comments', `{ __typename }${'#\n'.repeat(165_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['one name of 500 KB', `{ ${'x'.repeat(500_000)} }`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['one string of 500 KB', `{ userStatus(userId: "${'x'.repeat(500_000)}") { status } }`, '{}', 'GRAPHQL_PARSE_FAILED'],
  [
    'one number of 100,000 digits in the document',
    `{ onlineUsers(first: ${'9'.repeat(100_000)}) { nodes { userId } } }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['a description of 100 KB', `"""${'x'.repeat(100_000)}""" query { __typename }`, '{}', 'undefined'],
  [
    '60,000 ids in the document',
    `{ userStatuses(userIds: ${list(60_000, () => '"u"')}) { status } }`,
    '{}',
    'GRAPHQL_PARSE_FAILED',
  ],
  ['100,000 ids', STATUSES, `{"ids":${list(100_000, () => '"u"')}}`, 'TOO_MANY_USERS'],
  ['100,000 ids that are objects', STATUSES, `{"ids":${list(100_000, () => '{}')}}`, 'BAD_USER_INPUT'],
  ['100,000 ids that are null', STATUSES, `{"ids":${list(100_000, () => 'null')}}`, 'BAD_USER_INPUT'],
  ['150,000 empty lists as ids', STATUSES, `{"ids":${list(150_000, () => '[]')}}`, 'BAD_USER_INPUT'],
  [
    'an id in lists nested 100,000 levels deep',
    STATUSES,
    `{"ids":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    'BAD_USER_INPUT',
  ],
  [
    'an id of objects nested 80,000 levels deep',
    STATUSES,
    `{"ids":[${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}]}`,
    'BAD_USER_INPUT',
  ],
  ['an id of 500,000 characters', STATUSES, `{"ids":["${'x'.repeat(500_000)}"]}`, 'BAD_USER_INPUT'],
  ['a number above the range of numbers', STATUSES, '{"ids":[1e999]}', 'BAD_USER_INPUT'],
  ['a number of 100,000 digits', STATUSES, `{"ids":[${'9'.repeat(100_000)}]}`, 'BAD_USER_INPUT'],
  [
    'an input with 40,000 fields',
    LOGIN,
    `{"input":{${Array.from({ length: 40_000 }, (_, at) => `"a${at}":1`).join(',')}}}`,
    'BAD_USER_INPUT',
  ],
  [
    'an input nested 50,000 levels deep',
    LOGIN,
    `{"input":${'{"input":'.repeat(50_000)}1${'}'.repeat(50_000)}}`,
    'BAD_USER_INPUT',
  ],
  [
    '100,000 groups of platforms',
    POLICY,
    `{"input":{"multiDevice":{"mode":"CUSTOM","groups":${list(100_000, () => '[]')}}}}`,
    /BAD_USER_INPUT/,
  ],
  [
    'a group of 60,000 platforms',
    POLICY,
    `{"input":{"multiDevice":{"mode":"CUSTOM","groups":[${list(60_000, () => '"WEB"')}]}}}`,
    'BAD_USER_INPUT',
  ],
  [
    '30,000 rows of platform settings',
    POLICY,
    `{"input":{"platforms":${list(30_000, () => '{"platform":"A"}')}}}`,
    'BAD_USER_INPUT',
  ],
  [
    '500 rows of settings for one platform',
    POLICY,
    `{"input":{"platforms":${list(500, () => '{"platform":"WEB","maxInstances":0}')}}}`,
    'BAD_USER_INPUT',
  ],
  [
    '40,000 undeclared variables',
    '{ stats { sockets nothing } }',
    `{${Array.from({ length: 40_000 }, (_, at) => `"a${at}":1`).join(',')}}`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['a fragment that spreads itself', '{ ...A } fragment A on Query { ...A }', '{}', 'GRAPHQL_VALIDATION_FAILED'],
  [
    '200 fragments that spread each other in a circle',
    `{ ...F0 } ${repeat(200, (i) => `fragment F${i} on Query { ...F${(i + 1) % 200} }`)}`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    '60 fragments, each of which spreads the next one twice',
    `{ ...F0 } ${repeat(60, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F60 on Query { __typename }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    '60 unused fragments, each of which spreads the next one twice',
    `{ __typename } ${repeat(60, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F60 on Query { __typename }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    '40 fragments, each of which spreads all later ones',
    `{ ...F0 } ${repeat(40, (i) => `fragment F${i} on Query { ${repeat(40, (k) => (k > i ? `...F${k}` : ''))} __typename }`)}`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    '3,000 fragments',
    `{ __typename } ${repeat(3_000, (i) => `fragment F${i} on Query{__typename}`)}`,
    '{}',
    'GRAPHQL_PARSE_FAILED',
  ],
  [
    '390 conflicting fields that must be compared in pairs',
    `{ ${repeat(390, () => 'a:__typename')} b:userStatus }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    '190 inline fragments that must be compared in pairs',
    `{ ${repeat(190, () => '... { ... { stats { sockets } } }')} }`,
    '{}',
    'undefined',
  ],
  ['400 nested inline fragments', `${'{...'.repeat(400)}{__typename}${'}'.repeat(400)}`, '{}', 'undefined'],
  ['280 operations', repeat(280, (i) => `query Q${i}{__typename}`), '{}', 'OPERATION_RESOLUTION_FAILURE'],
  [
    '390 unused variables',
    `query (${repeat(390, (i) => `$a${i}:ID`)}) { __typename }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'a variable type of 900 nested lists',
    `query ($a: ${'['.repeat(900)}ID${']'.repeat(900)}) { __typename }`,
    '{}',
    /GRAPHQL_/,
  ],
  [
    'a default value of 900 nested lists',
    `query ($a: ID = ${'['.repeat(900)}${']'.repeat(900)}) { __typename }`,
    '{}',
    /GRAPHQL_/,
  ],
  [
    'an argument of 300 nested objects',
    `{ userStatus(userId: ${'{a:'.repeat(300)}1${'}'.repeat(300)}) { status } }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['a type definition', 'type Query { a: Int } { __typename }', '{}', 'GRAPHQL_VALIDATION_FAILED'],
  ['a type extension', 'extend type Query { a: Int } { __typename }', '{}', 'GRAPHQL_VALIDATION_FAILED'],
];

/** The error codes of a plain JSON POST, of a POST that yoga parses, and of a socket. */
const codesByTransport = async (harness: ServerHarness, query: string, variables: string): Promise<string[]> => {
  const authorization = { authorization: `Bearer ${API_KEY}` };
  const body = `{"query":${JSON.stringify(query)},"variables":${variables}}`;
  const codes = [codeOf(await harness.send(body, authorization))];
  const yoga = await fetch(`${harness.url}/graphql?by=yoga`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization },
    body,
  });
  codes.push(codeOf({ ...yoga, body: (await yoga.json()) as never }));
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  socket.webSocket.send(`{"type":"subscribe","id":"1","payload":${body}}`);
  const { type, payload } = await socket.nextMessage();
  const errors = (type === 'error' ? payload : payload?.['errors']) as
    readonly { extensions: { code: string } }[] | undefined;
  codes.push(errors?.[0]?.extensions.code);
  socket.webSocket.close();
  await socket.closed;
  return codes.map(String);
};

describe('an expensive document or variable', () => {
  test.for(EXPENSIVE)(
    'is answered within the CPU limit and alike over every transport: %s',
    async ([, query, variables, code]) => {
      const harness = await ServerHarness.open();
      await codesByTransport(harness, '{ __typename }', '{}');
      const began = process.cpuUsage();
      const codes = await codesByTransport(harness, query, variables);
      const { user, system } = process.cpuUsage(began);
      expect(new Set(codes).size).toBe(1);
      expect(codes[0]).toMatch(code);
      expect(user + system).toBeLessThan(MAX_CPU_US);
      await expectStillServing(harness);
    },
  );

  test('accepts a document of MAX_DOCUMENT_LENGTH characters and rejects a longer one', async () => {
    const harness = await ServerHarness.open();
    const query = '{ __typename }';
    const padded = (length: number) => query + ' '.repeat(length - query.length);
    expect(await codesByTransport(harness, padded(MAX_DOCUMENT_LENGTH), '{}')).toEqual(Array(3).fill('undefined'));
    expect(await codesByTransport(harness, padded(MAX_DOCUMENT_LENGTH + 1), '{}')).toEqual(
      Array(3).fill('GRAPHQL_PARSE_FAILED'),
    );
  });
});

/** Names of properties that every object inherits. */
const INHERITED_NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  '__lookupSetter__',
  'isPrototypeOf',
];

describe.each([
  ['an interpreted', Infinity],
  ['a compiled', 0],
] as const)('%s operation', (_executor, compileAfter) => {
  test.each(INHERITED_NAMES)('handles the inherited property name %s as ordinary text everywhere', async (name) => {
    const harness = await ServerHarness.open({ compileAfter });
    const id = JSON.stringify(name);
    const dataOf = async (query: string, variables = '{}'): Promise<unknown[]> => {
      const authorization = { authorization: `Bearer ${API_KEY}` };
      // Answers are compared as text, because a parsed object might lose one of these names.
      const response = await fetch(`${harness.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body: `{"query":${JSON.stringify(query)},"variables":${variables}}`,
      });
      const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
      const answer = new Promise<Buffer>((resolve) => socket.webSocket.once('message', resolve));
      socket.webSocket.send(
        `{"type":"subscribe","id":${id},"payload":{"query":${JSON.stringify(query)},"variables":${variables}}}`,
      );
      const text = (await answer).toString('utf8');
      socket.webSocket.close();
      return [await response.text(), text.slice(text.indexOf('"payload":') + 10, -1)];
    };
    const twice = (text: string) => [text, text];

    const version = `{"data":{"userStatus":{"userId":${id},"version":0}}}`;
    // As a user id and as a variable name.
    expect(await dataOf('query ($id: ID!) { userStatus(userId: $id) { userId version } }', `{"id":${id}}`)).toEqual(
      twice(version),
    );
    expect(
      await dataOf(`query ($${name}: ID!) { userStatus(userId: $${name}) { userId version } }`, `{${id}:${id}}`),
    ).toEqual(twice(version));
    expect(
      await dataOf(`query ($${name}: [ID!]!) { userStatuses(userIds: $${name}) { userId } }`, `{${id}:[${id}]}`),
    ).toEqual(twice(`{"data":{"userStatuses":[{"userId":${id}}]}}`));
    expect(
      await dataOf(
        `mutation ($${name}: EndSessionsInput!) { endSessions(input: $${name}) { ended { id } } }`,
        `{${id}:{"userId":${id}}}`,
      ),
    ).toEqual(twice('{"data":{"endSessions":{"ended":[]}}}'));
    expect(
      await dataOf(
        `mutation ($${name}: ID!) { endSessions(input: { userId: $${name} }) { ended { id } } }`,
        `{${id}:${id}}`,
      ),
    ).toEqual(twice('{"data":{"endSessions":{"ended":[]}}}'));
    // As a variable without a value: the inherited property is not read in its place.
    expect(await dataOf(`query ($${name}: ID) { events(userId: $${name}) { nodes { userId } } }`)).toEqual(
      twice('{"data":{"events":{"nodes":[]}}}'),
    );
    expect(
      await dataOf(`query ($${name}: Boolean = false) { stats { usersOnline sockets @include(if: $${name}) } }`),
    ).toEqual(twice('{"data":{"stats":{"usersOnline":0}}}'));
    // As the name of an alias, a fragment and an operation.
    expect(
      await dataOf(
        `query ${name} { ${name}: userStatus(userId: "x") { ...${name} } } fragment ${name} on UserStatus { ${name}: version }`,
      ),
    ).toEqual(twice(`{"data":{${id}:{${id}:0}}}`));
    // As the name of a field, directive, type, argument or enum value that does not exist.
    for (const [query, variables, code] of [
      [`{ ${name} }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
      [`{ stats { ${name} } }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
      [`{ stats @${name} { sockets } }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
      [`{ ... on ${name} { sockets } }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
      [`query ($x: ${name}) { stats { sockets } }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
      [`{ userStatus(${name}: 1, userId: "a") { status } }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
      [`{ onlineUsers(platform: ${name}) { nodes { userId } } }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
      ['query ($p: Platform) { onlineUsers(platform: $p) { nodes { userId } } }', `{"p":${id}}`, 'BAD_USER_INPUT'],
      [
        'mutation ($i: EndSessionsInput!) { endSessions(input: $i) { ended { id } } }',
        `{"i":{"userId":"a",${id}:{"x":1}}}`,
        'BAD_USER_INPUT',
      ],
      [
        'mutation ($i: EndSessionsInput!) { endSessions(input: $i) { ended { id } } }',
        `{"i":{${id}:{"userId":"a"}}}`,
        'BAD_USER_INPUT',
      ],
      ['query ($a: String) { onlineUsers(after: $a) { nodes { userId } } }', `{"a":${id}}`, 'BAD_USER_INPUT'],
      ['query ($c: Cursor) { events(after: $c) { nodes { userId } } }', `{"c":${id}}`, 'BAD_USER_INPUT'],
    ] as const) {
      for (const answer of await dataOf(query, variables)) expect(answer, query).toContain(`"code":"${code}"`);
    }
    // As an operation name, a request parameter and a header.
    const authorization = { authorization: `Bearer ${API_KEY}` };
    expect(codeOf(await harness.send(`{"query":"query A { __typename }","operationName":${id}}`, authorization))).toBe(
      'OPERATION_RESOLUTION_FAILURE',
    );
    expect((await harness.send(`{"query":"{ __typename }",${id}:{}}`, authorization)).body).toEqual({
      data: { __typename: 'Query' },
    });
    expect((await harness.send('{"query":"{ __typename }"}', { ...authorization, [name]: 'x' })).status).toBe(200);
    // As a device id, an app version and a claim.
    const jwt = await harness.jwt(
      name,
      Object.fromEntries([
        [name, { userId: 'bob' }],
        ['watch', [name]],
      ]),
    );
    const login = await harness.post(LOGIN, jwt, { input: { platform: 'IPHONE', deviceId: name, appVersion: name } });
    expect(login.body.errors).toBeUndefined();
    expect(await harness.status(name)).toBe('ONLINE');
    expect(({} as Record<string, unknown>)['userId']).toBeUndefined();
    await expectStillServing(harness);
  });
});

test('the last of several equal JSON keys counts, over every transport', async () => {
  const harness = await ServerHarness.open();
  await harness.login('last');
  const body =
    '{"query":"{ nothing }","variables":{"id":"first"},"variables":{"id":"first","id":"last"},"query":"query ($id: ID!) { userStatus(userId: $id) { status } }"}';
  const authorization = { authorization: `Bearer ${API_KEY}` };
  expect((await harness.send(body, authorization)).body.data).toEqual({ userStatus: { status: 'ONLINE' } });
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  socket.webSocket.send(`{"type":"ping","id":"0","type":"subscribe","id":"1","payload":${body}}`);
  expect(await socket.nextMessage()).toEqual({
    type: 'next',
    id: '1',
    payload: { data: { userStatus: { status: 'ONLINE' } } },
  });
});
