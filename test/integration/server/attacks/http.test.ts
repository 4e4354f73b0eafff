/** Malformed and hostile HTTP requests: each is rejected without disclosing internals and without any effect. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillServing, sendRawBytes, parseStatuses } from '../support/assert-still-serving.ts';

const AUTHORIZATION = `Authorization: Bearer ${API_KEY}`;
/** Its effect would be visible in the user's record. */
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

/** Expects no code, file name or location of the server in the answers. */
const expectNoInternals = (answers: string): void => {
  expect(answers).not.toMatch(
    /node:|node_modules|\/src\/|\/dist\/|\.(js|ts):\d|\bat .+\(|Error:|x-powered-by|server:/i,
  );
};

interface Case {
  readonly what: string;
  readonly bytes: readonly (string | Buffer)[];
  /** The status of each answer. */
  readonly statuses: readonly number[];
  /** What the answers must match. */
  readonly pattern?: RegExp;
}

const METHODS: readonly Case[] = [
  ...['TRACE', 'PROPFIND', 'DELETE', 'PUT', 'PATCH', 'HEAD'].map((method) => ({
    what: `${method} /graphql`,
    bytes: [head(`${method} /graphql?query={__typename} HTTP/1.1`, 'Host: x', AUTHORIZATION)],
    statuses: [405],
  })),
  { what: 'an unknown method', bytes: [head('HACK /graphql HTTP/1.1', 'Host: x')], statuses: [400] },
  {
    what: 'CONNECT (no answer)',
    bytes: [head('CONNECT evil.example:443 HTTP/1.1', 'Host: evil.example')],
    statuses: [],
  },
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
    what: 'the method as a query parameter',
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
  '/graphql/graphiql/../../../../etc/passwd',
  '/graphql/graphiql/%2e%2e/%2e%2e/etc/passwd',
].map((path) => ({
  what: `a POST to the path ${path}`,
  bytes: [post(MUTATION).replace('/graphql', path), MUTATION],
  statuses: [404],
  pattern: /NOT_FOUND/,
}));

const FRAMING: readonly Case[] = [
  {
    what: 'Content-Length together with Transfer-Encoding',
    bytes: [post('0\r\n\r\n', 'Transfer-Encoding: chunked'), '0\r\n\r\n', post(MUTATION), MUTATION],
    statuses: [400],
  },
  {
    what: 'a misspelled Transfer-Encoding',
    bytes: [post(MUTATION, 'Transfer-Encoding: xchunked'), MUTATION],
    statuses: [400],
  },
  {
    what: 'two transfer codings, the last of which is not chunked',
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
  { what: 'two Content-Length headers', bytes: [post(MUTATION, 'Content-Length: 5'), MUTATION], statuses: [400] },
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
    what: 'a Content-Length of 30 digits',
    bytes: [post(MUTATION).replace(/Length: \d+/, `Length: ${'9'.repeat(30)}`), MUTATION],
    statuses: [400],
  },
  {
    what: 'a Content-Length above the body limit',
    bytes: [post(MUTATION).replace(/Length: \d+/, 'Length: 524289'), MUTATION],
    statuses: [413],
  },
  {
    what: 'a Content-Length larger than the body',
    bytes: [post(MUTATION).replace(/Length: \d+/, 'Length: 5000'), MUTATION],
    statuses: [400],
  },
  {
    what: 'a Content-Length smaller than the body',
    bytes: [
      post(QUERY, 'Connection: keep-alive').replace('Connection: close\r\n', ''),
      QUERY,
      'GARBAGE \u0000\r\n\r\n',
    ],
    // Node answers the unreadable rest before the server can answer the first request.
    statuses: [400],
  },
  {
    what: 'a header folded onto the next line',
    bytes: [head('GET / HTTP/1.1', 'Host: x', 'A: b', ' c: d')],
    statuses: [400],
  },
  {
    what: 'a header with a space before the colon',
    bytes: [head('GET / HTTP/1.1', 'Host: x', 'Content-Length : 5')],
    statuses: [400],
  },
  {
    what: 'a carriage return inside a header',
    bytes: [head('GET / HTTP/1.1', 'Host: x', 'A: b\rContent-Length: 5')],
    statuses: [400],
  },
  { what: 'a NUL inside a header', bytes: [head('GET / HTTP/1.1', 'Host: x', 'A: b\u0000c')], statuses: [400] },
  { what: 'a request without a Host header', bytes: [head('GET /health/live HTTP/1.1')], statuses: [400] },
  {
    what: '3,000 headers',
    bytes: [head('GET / HTTP/1.1', 'Host: x', ...Array.from({ length: 3_000 }, (_, at) => `X${at}: y`))],
    statuses: [431],
  },
  { what: 'an HTTP/2 connection preface', bytes: ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'], statuses: [400] },
  { what: 'a TLS handshake', bytes: [Buffer.from('160301006d010000690303', 'hex')], statuses: [400] },
];

const UTF8: readonly Case[] = [
  ...(
    [
      ['a truncated UTF-8 sequence', Buffer.from([0xc3])],
      ['a byte that UTF-8 does not use', Buffer.from([0xff])],
      ['an overlong encoding of a slash', Buffer.from([0xc0, 0xaf])],
      ['an encoded surrogate', Buffer.from([0xed, 0xa0, 0x80])],
      ['a code point beyond Unicode', Buffer.from([0xf5, 0x80, 0x80, 0x80])],
      ['Latin-1 text', Buffer.from('Zoë', 'latin1')],
    ] as const
  ).flatMap(([what, bytes]) => {
    const [before = '', after = ''] = MUTATION.split('victim');
    const body = Buffer.concat([Buffer.from(before), bytes, Buffer.from(after)]);
    return ['/graphql', '/graphql?by=yoga'].map((path) => ({
      what: `${what} in the body of a POST to ${path}`,
      bytes: [post(body).replace('/graphql', path), body],
      statuses: [400],
      pattern: /BAD_REQUEST/,
    }));
  }),
  {
    what: 'a body in UTF-16, declared as such',
    bytes: [
      post(Buffer.from(MUTATION, 'utf16le')).replace('json', 'json; charset=utf-16'),
      Buffer.from(MUTATION, 'utf16le'),
    ],
    statuses: [400],
  },
  ...(
    [
      ['the escape %FF', '%FF'],
      ['an escaped truncated UTF-8 sequence', '%C3'],
      ['an escaped surrogate', '%ED%A0%80'],
      ['a percent sign without digits', '%'],
      ['a percent sign followed by other letters', '%zz'],
      ['an unescaped byte', Buffer.from([0xff]).toString('latin1')],
      ['unescaped UTF-8', Buffer.from('ë').toString('latin1')],
    ] as const
  ).map(([what, text]) => ({
    what: `${what} in the URL`,
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

const EXPANDING_BODIES: readonly Case[] = [
  {
    what: 'a gzip body that decompresses to 20 MB',
    bytes: (() => {
      const compressed = gzipSync(`${MUTATION}${' '.repeat(20_000_000)}`);
      return [post(compressed, 'Content-Encoding: gzip'), compressed];
    })(),
    statuses: [415],
  },
  {
    what: 'JSON variables nested 80,000 levels deep',
    bytes: (() => {
      const body = `{"query":"{ __typename }","variables":${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}}`;
      return [post(body), body];
    })(),
    statuses: [200],
  },
  {
    what: '500,000 brackets that are never closed',
    bytes: [post('['.repeat(500_000)), '['.repeat(500_000)],
    statuses: [400],
  },
  {
    what: 'JSON lists nested 200,000 levels deep in place of a batch',
    bytes: [post('['.repeat(200_000) + ']'.repeat(200_000)), '['.repeat(200_000) + ']'.repeat(200_000)],
    statuses: [400],
  },
];

/** An upgrade request, for another protocol or malformed. */
const upgrade = (path: string, ...lines: readonly string[]): string =>
  head(`GET ${path} HTTP/1.1`, 'Host: x', ...lines).replace('Connection: close', 'Connection: Upgrade');
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
const V13 = 'Sec-WebSocket-Version: 13';
const PROTOCOL = 'Sec-WebSocket-Protocol: graphql-transport-ws';

const UPGRADES: readonly Case[] = [
  {
    what: 'an h2c upgrade offer, which is ignored',
    bytes: [
      post(QUERY, 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__').replace(
        'Connection: close',
        'Connection: Upgrade, HTTP2-Settings, close',
      ),
      QUERY,
    ],
    statuses: [200],
    pattern: /"userId":"x"/,
  },
  {
    what: 'an h2c upgrade offer pipelined behind an unanswered request',
    bytes: [
      post(QUERY).replace('Connection: close', 'Connection: keep-alive').concat(QUERY),
      post(QUERY, 'Upgrade: h2c').replace('Connection: close', 'Connection: Upgrade'),
      QUERY,
    ],
    // The WebSocket library rejects the upgrade because the method is POST.
    statuses: [405],
  },
  {
    what: 'an upgrade to two protocols',
    bytes: [upgrade('/graphql', 'Upgrade: h2c, websocket', KEY, V13, PROTOCOL)],
    statuses: [400],
  },
  {
    what: 'an upgrade with two Upgrade headers',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', 'Upgrade: h2c', KEY, V13)],
    statuses: [400],
  },
  {
    what: 'an upgrade on another path',
    bytes: [upgrade('/health/live', 'Upgrade: websocket', KEY, V13, PROTOCOL)],
    statuses: [404],
  },
  {
    what: 'an upgrade with an old WebSocket version',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, 'Sec-WebSocket-Version: 7', PROTOCOL)],
    statuses: [400],
  },
  {
    what: 'an upgrade without a WebSocket version',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, PROTOCOL)],
    statuses: [400],
  },
  {
    what: 'an upgrade without a WebSocket key',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', V13, PROTOCOL)],
    statuses: [400],
  },
  {
    what: 'an upgrade with a short WebSocket key',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', 'Sec-WebSocket-Key: AAAA', V13, PROTOCOL)],
    statuses: [400],
  },
  {
    what: 'an upgrade with a malformed subprotocol list',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, V13, 'Sec-WebSocket-Protocol: a,,b')],
    statuses: [400],
  },
  {
    what: 'an upgrade by POST',
    bytes: [upgrade('/graphql', 'Upgrade: websocket', KEY, V13, PROTOCOL).replace('GET', 'POST')],
    statuses: [405],
  },
];

describe.each([
  ['request methods', METHODS],
  ['request paths', PATHS],
  ['message framing', FRAMING],
  ['invalid text encodings', UTF8],
  ['expanding and deeply nested bodies', EXPANDING_BODIES],
  ['upgrade requests', UPGRADES],
] as const)('HTTP attacks by %s', (_theme, cases) => {
  test.for(cases.map((one) => [one.what, one] as const))(
    'answers %s as documented, without any effect',
    async ([, { bytes, statuses, pattern }]) => {
      const harness = await ServerHarness.open({ graphiql: () => false });
      const answers = await sendRawBytes(harness, ...bytes);
      expect(parseStatuses(answers)).toEqual(statuses);
      if (pattern) expect(answers).toMatch(pattern);
      expectNoInternals(answers);
      expect((await harness.store.readUsers(['victim' as never]))[0]?.tokensRevokedBefore ?? null).toBeNull();
      await expectStillServing(harness);
    },
  );
});
