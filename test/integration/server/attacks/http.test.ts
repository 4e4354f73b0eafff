/** Requests that are not what they seem: each is refused in words of our own, and does nothing. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillWell, rawly, statusesOf } from '../support/assert-still-serving.ts';

const AUTHORIZATION = `Authorization: Bearer ${API_KEY}`;
/** Would be seen in the log of events, had it been done. */
const MUTATION = JSON.stringify({
  query: 'mutation { endSessions(input: { userId: "victim", revokeTokens: true }) { ended { id } } }',
});
const QUERY = JSON.stringify({ query: '{ userStatus(userId: "x") { userId } }' });

const head = (...lines: readonly string[]): string => `${[...lines, 'Connection: close', '', ''].join('\r\n')}`;
const post = (body: string | Buffer, ...lines: readonly string[]): string =>
  head(
    'POST /graphql HTTP/1.1',
    'Host: x',
    AUTHORIZATION,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...lines,
  );

/** Of nobody's code, files or places. */
const expectTellsNothing = (answers: string): void => {
  expect(answers).not.toMatch(
    /node:|node_modules|\/src\/|\/dist\/|\.(js|ts):\d|\bat .+\(|Error:|x-powered-by|server:/i,
  );
};

interface Case {
  readonly what: string;
  readonly bytes: readonly (string | Buffer)[];
  /** The status of each answer. */
  readonly statuses: readonly number[];
  readonly says?: RegExp;
}

const METHODS: readonly Case[] = [
  ...['TRACE', 'PROPFIND', 'DELETE', 'PUT', 'PATCH', 'HEAD'].map((method) => ({
    what: `${method} /graphql`,
    bytes: [head(`${method} /graphql?query={__typename} HTTP/1.1`, 'Host: x', AUTHORIZATION)],
    statuses: [405],
  })),
  { what: 'a method nobody knows', bytes: [head('HACK /graphql HTTP/1.1', 'Host: x')], statuses: [400] },
  { what: 'CONNECT', bytes: [head('CONNECT evil.example:443 HTTP/1.1', 'Host: evil.example')], statuses: [] },
  ...['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'].map((name) => ({
    what: `${name} on a GET`,
    bytes: [
      head(
        `GET /graphql?query=${encodeURIComponent('mutation { logout { userStatus { status } } }')} HTTP/1.1`,
        'Host: x',
        AUTHORIZATION,
        `${name}: POST`,
      ),
    ],
    statuses: [405],
  })),
  {
    what: 'the method as a parameter',
    bytes: [head('GET /graphql?_method=POST&query=mutation{__typename} HTTP/1.1', 'Host: x', AUTHORIZATION)],
    statuses: [405],
  },
];

const PATHS: readonly Case[] = [
  '//graphql',
  '/graphql/',
  '/%67raphql',
  '/x/../graphql',
  '/./graphql',
  '/graphql;a=b',
  '/graphql%00',
  '/GRAPHQL',
  '/graphql#x',
  '/graphql%2f..%2fhealth',
  'http://evil.example/graphql',
  '/graphql/graphiql/../../../../etc/passwd',
  '/graphql/graphiql/%2e%2e/%2e%2e/etc/passwd',
].map((path) => ({
  what: `path ${path}`,
  bytes: [post(MUTATION).replace('/graphql', path), MUTATION],
  statuses: [404],
  says: /NOT_FOUND/,
}));

const FRAMING: readonly Case[] = [
  {
    what: 'Content-Length beside Transfer-Encoding',
    bytes: [post('0\r\n\r\n', 'Transfer-Encoding: chunked'), '0\r\n\r\n', post(MUTATION), MUTATION],
    statuses: [400],
  },
  {
    what: 'Transfer-Encoding that is spelled oddly',
    bytes: [post(MUTATION, 'Transfer-Encoding: xchunked'), MUTATION],
    statuses: [400],
  },
  {
    what: 'two Transfer-Encodings, the last of which is not chunked',
    bytes: [
      head(
        'POST /graphql HTTP/1.1',
        'Host: x',
        AUTHORIZATION,
        'Content-Type: application/json',
        'Transfer-Encoding: chunked, identity',
      ),
      `${MUTATION.length.toString(16)}\r\n${MUTATION}\r\n0\r\n\r\n`,
    ],
    statuses: [400],
  },
  { what: 'two Content-Lengths', bytes: [post(MUTATION, 'Content-Length: 5'), MUTATION], statuses: [400] },
  {
    what: 'a negative Content-Length',
    bytes: [post(MUTATION).replace(/Length: \d+/, 'Length: -1'), MUTATION],
    statuses: [400],
  },
  {
    what: 'a Content-Length in hex',
    bytes: [post(MUTATION).replace(/Length: \d+/, 'Length: 0x80'), MUTATION],
    statuses: [400],
  },
  {
    what: 'a Content-Length beyond all numbers',
    bytes: [post(MUTATION).replace(/Length: \d+/, `Length: ${'9'.repeat(30)}`), MUTATION],
    statuses: [400],
  },
  {
    what: 'a Content-Length that promises more than may come',
    bytes: [post(MUTATION).replace(/Length: \d+/, 'Length: 524289'), MUTATION],
    statuses: [413],
  },
  {
    what: 'a Content-Length that promises more than comes',
    bytes: [post(MUTATION).replace(/Length: \d+/, 'Length: 5000'), MUTATION],
    statuses: [400],
  },
  {
    what: 'a Content-Length that says less than comes',
    bytes: [
      post(QUERY, 'Connection: keep-alive').replace('Connection: close\r\n', ''),
      QUERY,
      'GARBAGE \u0000\r\n\r\n',
    ],
    // Node answers what it cannot read before it lets us answer what it could.
    statuses: [400],
  },
  {
    what: 'a header that goes on in the next line',
    bytes: [head('GET / HTTP/1.1', 'Host: x', 'A: b', ' c: d')],
    statuses: [400],
  },
  {
    what: 'a blank before the colon',
    bytes: [head('GET / HTTP/1.1', 'Host: x', 'Content-Length : 5')],
    statuses: [400],
  },
  {
    what: 'a line end inside a header',
    bytes: [head('GET / HTTP/1.1', 'Host: x', 'A: b\rContent-Length: 5')],
    statuses: [400],
  },
  { what: 'NUL inside a header', bytes: [head('GET / HTTP/1.1', 'Host: x', 'A: b\u0000c')], statuses: [400] },
  { what: 'no Host', bytes: [head('GET /health/live HTTP/1.1')], statuses: [400] },
  {
    what: 'two thousand headers',
    bytes: [head('GET / HTTP/1.1', 'Host: x', ...Array.from({ length: 3_000 }, (_, at) => `X${at}: y`))],
    statuses: [431],
  },
  { what: 'HTTP/2 without an introduction', bytes: ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], statuses: [400] },
  { what: 'TLS', bytes: [Buffer.from('160301006d010000690303', 'hex')], statuses: [400] },
];

const UTF8: readonly Case[] = [
  ...(
    [
      ['half of a letter', Buffer.from([0xc3])],
      ['a byte that is none', Buffer.from([0xff])],
      ['an overlong slash', Buffer.from([0xc0, 0xaf])],
      ['a surrogate', Buffer.from([0xed, 0xa0, 0x80])],
      ['beyond Unicode', Buffer.from([0xf5, 0x80, 0x80, 0x80])],
      ['Latin-1', Buffer.from('Zoë', 'latin1')],
    ] as const
  ).flatMap(([what, bytes]) => {
    const [before = '', after = ''] = MUTATION.split('victim');
    const body = Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);
    return ['/graphql', '/graphql?by=yoga'].map((path) => ({
      what: `${what} in a body for ${path}`,
      bytes: [post(body).replace('/graphql', path), body],
      statuses: [400],
      says: /BAD_REQUEST/,
    }));
  }),
  {
    what: 'UTF-16, as it says',
    bytes: [
      post(Buffer.from(MUTATION, 'utf16le')).replace('json', 'json; charset=utf-16'),
      Buffer.from(MUTATION, 'utf16le'),
    ],
    statuses: [400],
  },
  ...(
    [
      ['%FF', '%FF'],
      ['half of a letter', '%C3'],
      ['a surrogate', '%ED%A0%80'],
      ['a lonely %', '%'],
      ['no hex', '%zz'],
      ['a raw byte', Buffer.from([0xff]).toString('latin1')],
      ['raw UTF-8', Buffer.from('ë').toString('latin1')],
    ] as const
  ).map(([what, text]) => ({
    what: `${what} in an address`,
    bytes: [
      Buffer.from(
        head(
          `GET /graphql?query=query($i:ID!){userStatus(userId:$i){userId}}&variables={"i":"a${text}"} HTTP/1.1`
            .replaceAll('"', '%22')
            .replaceAll('{', '%7B')
            .replaceAll('}', '%7D'),
          'Host: x',
          AUTHORIZATION,
        ),
        'latin1',
      ),
    ],
    statuses: [400],
  })),
];

const BOMBS: readonly Case[] = [
  {
    what: 'a body that unpacks to a hundred times of it',
    bytes: (() => {
      const bomb = gzipSync(`${MUTATION}${' '.repeat(20_000_000)}`);
      return [post(bomb, 'Content-Encoding: gzip'), bomb];
    })(),
    statuses: [415],
  },
  {
    what: 'JSON that is nested a hundred thousand deep',
    bytes: (() => {
      const body = `{"query":"{ __typename }","variables":${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}}`;
      return [post(body), body];
    })(),
    statuses: [200],
  },
  {
    what: 'brackets that are never closed',
    bytes: [post('['.repeat(500_000)), '['.repeat(500_000)],
    statuses: [400],
  },
  {
    what: 'JSON lists nested deep where a batch could be',
    bytes: [post('['.repeat(200_000) + ']'.repeat(200_000)), '['.repeat(200_000) + ']'.repeat(200_000)],
    statuses: [400],
  },
];

/** Ways to ask for another protocol, or for this one wrongly. */
const upgrade = (path: string, ...lines: readonly string[]): string =>
  head(`GET ${path} HTTP/1.1`, 'Host: x', ...lines).replace('Connection: close', 'Connection: Upgrade');
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const V13 = 'Sec-WebSocket-Version: 13';
const PROTOCOL = 'Sec-WebSocket-Protocol: graphql-transport-ws';

const UPGRADES: readonly Case[] = [
  {
    what: 'h2c, with a request that is answered as it is',
    bytes: [
      post(QUERY, 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__').replace(
        'Connection: close',
        'Connection: Upgrade, HTTP2-Settings, close',
      ),
      QUERY,
    ],
    statuses: [200],
    says: /"userId":"x"/,
  },
  {
    what: 'h2c behind a request that is not answered yet',
    bytes: [
      post(QUERY).replace('Connection: close', 'Connection: keep-alive').concat(QUERY),
      post(QUERY, 'Upgrade: h2c').replace('Connection: close', 'Connection: Upgrade'),
      QUERY,
    ],
    // What the library of WebSockets says of a POST.
    statuses: [405],
  },
  {
    what: 'two protocols',
    bytes: [upgrade('/graphql', 'Upgrade: h2c, websocket', KEY, V13, PROTOCOL)],
    statuses: [400],
  },
  {
    what: 'two Upgrade headers',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', 'Upgrade: h2c', KEY, V13)],
    statuses: [400],
  },
  { what: 'another path', bytes: [upgrade('/health/live', 'Upgrade: websocket', KEY, V13, PROTOCOL)], statuses: [404] },
  {
    what: 'an old version',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, 'Sec-WebSocket-Version: 7', PROTOCOL)],
    statuses: [400],
  },
  { what: 'no version', bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, PROTOCOL)], statuses: [400] },
  { what: 'no key', bytes: [upgrade('/graphql', 'Upgrade: websocket', V13, PROTOCOL)], statuses: [400] },
  {
    what: 'a short key',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', 'Sec-WebSocket-Key: AAAA', V13, PROTOCOL)],
    statuses: [400],
  },
  {
    what: 'a protocol that is no name',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, V13, 'Sec-WebSocket-Protocol: a,,b')],
    statuses: [400],
  },
  {
    what: 'a POST',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, V13, PROTOCOL).replace('GET', 'POST')],
    statuses: [405],
  },
];

describe.each([
  ['methods', METHODS],
  ['paths', PATHS],
  ['framing', FRAMING],
  ['text that is none', UTF8],
  ['bombs', BOMBS],
  ['upgrades', UPGRADES],
] as const)('%s', (_theme, cases) => {
  test.for(cases.map((one) => [one.what, one] as const))('%s', async ([, { bytes, statuses, says }]) => {
    const harness = await ServerHarness.open({ graphiql: () => false });
    const answers = await rawly(harness, ...bytes);
    expect(statusesOf(answers)).toEqual(statuses);
    if (says) expect(answers).toMatch(says);
    expectTellsNothing(answers);
    expect((await harness.store.read(['victim' as never]))[0]?.tokensRevokedBefore ?? null).toBeNull();
    await expectStillWell(harness);
  });
});
