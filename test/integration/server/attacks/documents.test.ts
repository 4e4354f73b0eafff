/** Documents and variables made to cost much, or to be mistaken for something else: the same answer at every door. */
import { describe, expect, test } from 'vitest';
import { MAX_DOCUMENT_LENGTH } from '../../../../src/server/graphql/query-limits.ts';
import { API_KEY, codeOf, ServerHarness } from '../support/server-harness.ts';
import { expectStillWell } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/wire.ts';

/** Of the processor, of which other tests take nothing; what an answer takes without an attack is a hundredth. */
const DEAR_US = 1_500_000;

const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');
const list = (count: number, text: (index: number) => string): string =>
  `[${Array.from({ length: count }, (_, index) => text(index)).join(',')}]`;

const STATUSES = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }';
const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { session { id } } }';
const POLICY =
  'mutation ($input: UpdatePolicyInput!) { updatePolicy(input: $input) { policy { pushOnlineExpiryMs } } }';

/** `undefined`: it is answered. What is asked, and its variables as JSON, so that they can be what no object can. */
const TOO_DEAR: readonly (readonly [string, string, string, string | RegExp])[] = [
  ['500 KB of blanks', `{ __typename }${' '.repeat(500_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['500 KB of line ends', `{ __typename }${'\r\n'.repeat(125_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['500 KB of commas', `{ __typename }${','.repeat(500_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['500 KB of comment', `{ __typename } #${'x'.repeat(500_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['500 KB of comments', `{ __typename }${'#\n'.repeat(165_000)}`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['one name of 500 KB', `{ ${'x'.repeat(500_000)} }`, '{}', 'GRAPHQL_PARSE_FAILED'],
  ['one text of 500 KB', `{ userStatus(userId: "${'x'.repeat(500_000)}") { status } }`, '{}', 'GRAPHQL_PARSE_FAILED'],
  [
    'one number of 100 KB',
    `{ onlineUsers(first: ${'9'.repeat(100_000)}) { nodes { userId } } }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['a description of 100 KB', `"""${'x'.repeat(100_000)}""" query { __typename }`, '{}', 'undefined'],
  [
    '100,000 ids in the document',
    `{ userStatuses(userIds: ${list(60_000, () => '"u"')}) { status } }`,
    '{}',
    'GRAPHQL_PARSE_FAILED',
  ],
  ['100,000 ids', STATUSES, `{"ids":${list(100_000, () => '"u"')}}`, 'TOO_MANY_USERS'],
  ['100,000 ids that are none', STATUSES, `{"ids":${list(100_000, () => '{}')}}`, 'BAD_USER_INPUT'],
  ['100,000 holes', STATUSES, `{"ids":${list(100_000, () => 'null')}}`, 'BAD_USER_INPUT'],
  ['100,000 lists of nothing', STATUSES, `{"ids":${list(150_000, () => '[]')}}`, 'BAD_USER_INPUT'],
  [
    'an id that is nested 100,000 deep',
    STATUSES,
    `{"ids":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    'BAD_USER_INPUT',
  ],
  [
    'an id of objects 80,000 deep',
    STATUSES,
    `{"ids":[${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}]}`,
    'BAD_USER_INPUT',
  ],
  ['an id of 500,000 characters', STATUSES, `{"ids":["${'x'.repeat(500_000)}"]}`, 'BAD_USER_INPUT'],
  ['a number beyond all numbers', STATUSES, '{"ids":[1e999]}', 'BAD_USER_INPUT'],
  ['a number of 100,000 digits', STATUSES, `{"ids":[${'9'.repeat(100_000)}]}`, 'BAD_USER_INPUT'],
  [
    'an input with 40,000 fields',
    LOGIN,
    `{"input":{${Array.from({ length: 40_000 }, (_, at) => `"a${at}":1`).join(',')}}}`,
    'BAD_USER_INPUT',
  ],
  [
    'an input that is nested 50,000 deep',
    LOGIN,
    `{"input":${'{"input":'.repeat(50_000)}1${'}'.repeat(50_000)}}`,
    'BAD_USER_INPUT',
  ],
  [
    '100,000 groups',
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
    '30,000 rows of the table',
    POLICY,
    `{"input":{"platforms":${list(30_000, () => '{"platform":"A"}')}}}`,
    'BAD_USER_INPUT',
  ],
  [
    'a preset and 500 rows for one platform',
    POLICY,
    `{"input":{"platforms":${list(500, () => '{"platform":"WEB","maxInstances":0}')}}}`,
    'BAD_USER_INPUT',
  ],
  [
    'variables that nobody declared',
    '{ stats { sockets nothing } }',
    `{${Array.from({ length: 40_000 }, (_, at) => `"a${at}":1`).join(',')}}`,
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['a fragment that spreads itself', '{ ...A } fragment A on Query { ...A }', '{}', 'GRAPHQL_VALIDATION_FAILED'],
  [
    'fragments in a circle',
    `{ ...F0 } ${repeat(200, (i) => `fragment F${i} on Query { ...F${(i + 1) % 200} }`)}`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'fragments that double each other, 60 times',
    `{ ...F0 } ${repeat(60, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F60 on Query { __typename }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'fragments that double each other and nobody spreads',
    `{ __typename } ${repeat(60, (i) => `fragment F${i} on Query { ...F${i + 1} ...F${i + 1} }`)} fragment F60 on Query { __typename }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'all fragments spread all others',
    `{ ...F0 } ${repeat(40, (i) => `fragment F${i} on Query { ${repeat(40, (k) => (k > i ? `...F${k}` : ''))} __typename }`)}`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'three thousand fragments',
    `{ __typename } ${repeat(3_000, (i) => `fragment F${i} on Query{__typename}`)}`,
    '{}',
    'GRAPHQL_PARSE_FAILED',
  ],
  [
    'fields that all have to be compared',
    `{ ${repeat(390, () => 'a:__typename')} b:userStatus }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  [
    'inline fragments that all have to be compared',
    `{ ${repeat(190, () => '... { ... { stats { sockets } } }')} }`,
    '{}',
    'undefined',
  ],
  ['inline fragments in each other', `${'{...'.repeat(400)}{__typename}${'}'.repeat(400)}`, '{}', 'undefined'],
  ['400 operations', repeat(280, (i) => `query Q${i}{__typename}`), '{}', 'OPERATION_RESOLUTION_FAILURE'],
  ['500 variables', `query (${repeat(390, (i) => `$a${i}:ID`)}) { __typename }`, '{}', 'GRAPHQL_VALIDATION_FAILED'],
  ['a type of 900 brackets', `query ($a: ${'['.repeat(900)}ID${']'.repeat(900)}) { __typename }`, '{}', /GRAPHQL_/],
  [
    'a default of 900 brackets',
    `query ($a: ID = ${'['.repeat(900)}${']'.repeat(900)}) { __typename }`,
    '{}',
    /GRAPHQL_/,
  ],
  [
    'an argument of 300 objects in each other',
    `{ userStatus(userId: ${'{a:'.repeat(300)}1${'}'.repeat(300)}) { status } }`,
    '{}',
    'GRAPHQL_VALIDATION_FAILED',
  ],
  ['what defines a schema', 'type Query { a: Int } { __typename }', '{}', 'GRAPHQL_VALIDATION_FAILED'],
  ['what extends the schema', 'extend type Query { a: Int } { __typename }', '{}', 'GRAPHQL_VALIDATION_FAILED'],
];

/** Answers of a plain POST, of one that yoga reads, and of a socket. */
const everywhere = async (harness: ServerHarness, query: string, variables: string): Promise<string[]> => {
  const authorization = { authorization: `Bearer ${API_KEY}` };
  const body = `{"query":${JSON.stringify(query)},"variables":${variables}}`;
  const codes = [codeOf(await harness.send(body, authorization))];
  const yoga = await fetch(`${harness.url}/graphql?by=yoga`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization },
    body,
  });
  codes.push(codeOf({ ...yoga, body: (await yoga.json()) as never }));
  const wire = await TestSocket.as(harness.socketUrl, API_KEY);
  wire.ws.send(`{"type":"subscribe","id":"1","payload":${body}}`);
  const { type, payload } = await wire.next();
  const errors = (type === 'error' ? payload : payload?.['errors']) as
    readonly { extensions: { code: string } }[] | undefined;
  codes.push(errors?.[0]?.extensions.code);
  wire.ws.close();
  await wire.closed;
  return codes.map(String);
};

describe('what costs much to look at is refused for little', () => {
  test.for(TOO_DEAR)('%s', async ([, query, variables, code]) => {
    const harness = await ServerHarness.open();
    await everywhere(harness, '{ __typename }', '{}');
    const began = process.cpuUsage();
    const codes = await everywhere(harness, query, variables);
    const { user, system } = process.cpuUsage(began);
    expect(new Set(codes).size).toBe(1);
    expect(codes[0]).toMatch(code);
    expect(user + system).toBeLessThan(DEAR_US);
    await expectStillWell(harness);
  });

  test('a document may have so many characters, and not one more', async () => {
    const harness = await ServerHarness.open();
    const query = '{ __typename }';
    const padded = (length: number) => query + ' '.repeat(length - query.length);
    expect(await everywhere(harness, padded(MAX_DOCUMENT_LENGTH), '{}')).toEqual(Array(3).fill('undefined'));
    expect(await everywhere(harness, padded(MAX_DOCUMENT_LENGTH + 1), '{}')).toEqual(
      Array(3).fill('GRAPHQL_PARSE_FAILED'),
    );
  });
});

/** Names that every object has already. */
const ODD = [
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
  ['interpreted', Infinity],
  ['compiled', 0],
] as const)('names that every object has, %s', (_way, compileAfter) => {
  test.each(ODD)('%s', async (name) => {
    const harness = await ServerHarness.open({ compileAfter });
    const id = JSON.stringify(name);
    const dataOf = async (query: string, variables = '{}'): Promise<unknown[]> => {
      const authorization = { authorization: `Bearer ${API_KEY}` };
      // In the answer they are looked at as text: read as an object, a name might be lost.
      const response = await fetch(`${harness.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body: `{"query":${JSON.stringify(query)},"variables":${variables}}`,
      });
      const wire = await TestSocket.as(harness.socketUrl, API_KEY);
      const answer = new Promise<Buffer>((resolve) => wire.ws.once('message', resolve));
      wire.ws.send(
        `{"type":"subscribe","id":${id},"payload":{"query":${JSON.stringify(query)},"variables":${variables}}}`,
      );
      const text = (await answer).toString('utf8');
      wire.ws.close();
      return [await response.text(), text.slice(text.indexOf('"payload":') + 10, -1)];
    };
    const twice = (text: string) => [text, text];

    const version = `{"data":{"userStatus":{"userId":${id},"version":0}}}`;
    // As a user, and as a variable.
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
    // As one that is not given: it has no value, not the one that every object has under this name.
    expect(await dataOf(`query ($${name}: ID) { events(userId: $${name}) { nodes { userId } } }`)).toEqual(
      twice('{"data":{"events":{"nodes":[]}}}'),
    );
    expect(
      await dataOf(`query ($${name}: Boolean = false) { stats { usersOnline sockets @include(if: $${name}) } }`),
    ).toEqual(twice('{"data":{"stats":{"usersOnline":0}}}'));
    // As what an answer, a fragment, an operation is called.
    expect(
      await dataOf(
        `query ${name} { ${name}: userStatus(userId: "x") { ...${name} } } fragment ${name} on UserStatus { ${name}: version }`,
      ),
    ).toEqual(twice(`{"data":{${id}:{${id}:0}}}`));
    // As what does not exist.
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
    // As an operation's name, a parameter, a header.
    const asked = { authorization: `Bearer ${API_KEY}` };
    expect(codeOf(await harness.send(`{"query":"query A { __typename }","operationName":${id}}`, asked))).toBe(
      'OPERATION_RESOLUTION_FAILURE',
    );
    expect((await harness.send(`{"query":"{ __typename }",${id}:{}}`, asked)).status).toBe(400);
    expect((await harness.send('{"query":"{ __typename }"}', { ...asked, [name]: 'x' })).status).toBe(200);
    // As a device, a version, a claim.
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
    await expectStillWell(harness);
  });
});

test('of a key that is said twice, the last one counts, at every door', async () => {
  const harness = await ServerHarness.open();
  await harness.login('last');
  const body =
    '{"query":"{ nothing }","variables":{"id":"first"},"variables":{"id":"first","id":"last"},"query":"query ($id: ID!) { userStatus(userId: $id) { status } }"}';
  const authorization = { authorization: `Bearer ${API_KEY}` };
  expect((await harness.send(body, authorization)).body.data).toEqual({ userStatus: { status: 'ONLINE' } });
  const wire = await TestSocket.as(harness.socketUrl, API_KEY);
  wire.ws.send(`{"type":"ping","id":"0","type":"subscribe","id":"1","payload":${body}}`);
  expect(await wire.next()).toEqual({ type: 'next', id: '1', payload: { data: { userStatus: { status: 'ONLINE' } } } });
});
