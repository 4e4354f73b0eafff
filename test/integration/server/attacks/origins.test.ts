/**
 * A hostile page in a user's browser: it can send requests, but the browser adds no credential that the server accepts,
 * and CORS denies it the answers.
 */
import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillServing } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/test-socket.ts';

const ALLOWED = 'https://app.example';

/** Origins that are neither allowed nor the server's own. `HOST` stands for the server's host and port. */
const FOREIGN: readonly string[] = [
  'null',
  '',
  'https://evil.example',
  'https://evil-app.example',
  'https://app.example.evil.example',
  'https://app.example.',
  'https://app.example:8443',
  'https://app.example:443',
  'https://app.example/',
  'https://app.example@evil.example',
  'https://sub.app.example',
  'https://example',
  'http://app.example',
  'httpss://app.example',
  'https://app.exampl',
  'https://xn--pp-jia.example',
  'https://app.example https://evil.example',
  'https://evil.example, https://app.example',
  '*',
  'file://',
  'app.example',
  '//app.example',
  'chrome-extension://abcdefghijklmnop',
  'http://HOST.evil.example',
  'http://evil.example:80@HOST.evil.example',
  'http://127.0.0.1',
  'http://127.0.0.1:1',
  'http://localhost:1',
  'data:text/html,x',
  'about:blank',
  '__proto__',
  'constructor',
];

/** Sends a request with `node:http`, because fetch overrides the Cookie and Origin headers. */
const send = async (
  harness: ServerHarness,
  method: string,
  path: string,
  headers: Record<string, string>,
  body = '',
): Promise<{ status: number; headers: Readonly<Record<string, string | string[] | undefined>>; body: string }> => {
  const { port } = new URL(harness.url);
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', path, method, headers }, (response) => {
      text(response).then(
        (body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        reject,
      );
    });
    request.once('error', reject);
    request.end(body);
  });
};

const corsOf = (headers: object): readonly string[] =>
  Object.keys(headers).filter((name) => name.startsWith('access-control-'));

describe('an origin that is not allowed', () => {
  test.each(FOREIGN)('%j cannot open a socket and receives no CORS headers over HTTP', async (origin) => {
    const harness = await ServerHarness.open({ settings: { allowedOrigins: [ALLOWED] } });
    const from = origin.replaceAll('HOST', new URL(harness.url).host);
    const { token } = await harness.login('alice');
    const socket = new TestSocket(harness.socketUrl, {
      headers: { origin: from, cookie: `session=${token}`, authorization: `Bearer ${token}` },
    });
    const status = await new Promise((resolve) => {
      socket.webSocket.once('open', () => resolve(101));
      socket.webSocket.once('unexpected-response', (_request, response) => resolve(response.statusCode));
    });
    expect(status).toBe(403);

    const requested = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    const preflight = await send(harness, 'OPTIONS', '/graphql', { origin: from, ...requested });
    expect(corsOf(preflight.headers)).toEqual([]);
    expect(preflight.headers['vary']).toBe('Origin');
    for (const [method, body] of [
      ['GET', ''],
      ['POST', '{"query":"{ __typename }"}'],
    ] as const) {
      for (const accept of ['application/json', 'text/event-stream']) {
        const headers = { origin: from, accept, 'content-type': 'application/json' };
        const answer = await send(harness, method, '/graphql?query={__typename}', headers, body);
        expect(corsOf(answer.headers), `${method} ${accept}`).toEqual([]);
        expect(answer.headers['vary']).toContain('Origin');
      }
    }
  });

  test('is not required: requests without an Origin header, which browsers always send, are served', async () => {
    const harness = await ServerHarness.open({ settings: { allowedOrigins: [ALLOWED] } });
    await expectStillServing(harness);
    const socket = new TestSocket(harness.socketUrl, { headers: { origin: ALLOWED } });
    await socket.sendInit({ authorization: `Bearer ${API_KEY}` });
    expect((await socket.nextMessage()).type).toBe('connection_ack');
  });
});

test('CORS headers for an allowed origin never allow credentials and never name another origin', async () => {
  for (const allowedOrigins of [[ALLOWED], ['*'], [ALLOWED, 'https://two.example']]) {
    const harness = await ServerHarness.open({ settings: { allowedOrigins } });
    for (const method of ['OPTIONS', 'GET', 'POST', 'DELETE']) {
      const { headers } = await send(harness, method, '/graphql', { origin: ALLOWED });
      expect(headers['access-control-allow-credentials']).toBeUndefined();
      expect(headers['access-control-allow-private-network']).toBeUndefined();
      expect(headers['access-control-allow-origin']).toBe(allowedOrigins.includes('*') ? '*' : ALLOWED);
      expect(headers['set-cookie']).toBeUndefined();
    }
  }
});

describe('what a browser sends by itself or a link can contain', () => {
  const ME = '{ me { userId } }';
  /** Parts of a request that must not be read as a credential: the query string and the headers. */
  const placements = (token: string): Readonly<Record<string, readonly [string, Record<string, string>]>> => ({
    'a cookie': ['', { cookie: `session=${token}; token=${token}; authorization=Bearer ${token}` }],
    'the cookie named Authorization': ['', { cookie: `Authorization=Bearer%20${token}` }],
    'the query parameter authorization': [`&authorization=Bearer%20${token}`, {}],
    'the query parameters token, access_token and api_key': [
      `&token=${token}&access_token=${token}&api_key=${token}`,
      {},
    ],
    'the query parameter extensions': [
      `&extensions=${encodeURIComponent(JSON.stringify({ authorization: `Bearer ${token}` }))}`,
      {},
    ],
    'HTTP Basic': ['', { authorization: `Basic ${Buffer.from(`alice:${token}`).toString('base64')}` }],
    'other authorization headers': [
      '',
      { 'x-api-key': token, 'x-authorization': `Bearer ${token}`, 'proxy-authorization': `Bearer ${token}` },
    ],
  });

  test.each(Object.keys(placements('')))('is not accepted as a credential: %s', async (placement) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    for (const credential of [token, API_KEY, await harness.jwt('alice')]) {
      const [search, headers] = placements(credential)[placement] ?? ['', {}];
      const json = { 'content-type': 'application/json', 'graphql-require-preflight': '1', ...headers };
      const answers = [
        await send(harness, 'GET', `/graphql?query=${encodeURIComponent(ME)}${search}`, json),
        await send(harness, 'POST', `/graphql?x=1${search}`, json, JSON.stringify({ query: ME })),
        await send(
          harness,
          'GET',
          `/graphql?query=${encodeURIComponent('subscription { sessionEnded { reason } }')}${search}`,
          {
            ...json,
            accept: 'text/event-stream',
          },
        ),
      ];
      for (const { body } of answers) {
        expect(body).toContain('UNAUTHENTICATED');
        expect(body).not.toContain('alice');
      }
      const socket = new TestSocket(`${harness.socketUrl}?x=1${search}`, { headers });
      await socket.sendInit();
      expect((await socket.closed).code).toBe(4401);
    }
    await expectStillServing(harness);
  });
});

describe('what an HTML form or a link can send, with a valid credential', () => {
  const END = 'mutation { endSessions(input: { userId: "alice" }) { ended { id } } }';
  const FORMS: readonly (readonly [string, string])[] = [
    ['application/x-www-form-urlencoded', new URLSearchParams({ query: END }).toString()],
    [
      'multipart/form-data; boundary=x',
      `--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n${JSON.stringify({ query: END })}\r\n--x\r\ncontent-disposition: form-data; name="map"\r\n\r\n{}\r\n--x--\r\n`,
    ],
    ['text/plain', JSON.stringify({ query: END })],
    ['text/plain; x=application/json', JSON.stringify({ query: END })],
    ['application/graphql', END],
    ['application/graphql+json', JSON.stringify({ query: END })],
    ['APPLICATION/JSON-seq', JSON.stringify({ query: END })],
    ['application/json, text/plain', JSON.stringify({ query: END })],
    ['', JSON.stringify({ query: END })],
  ];
  test.each(FORMS)('rejects a body of the type "%s" with 415', async (type, body) => {
    const harness = await ServerHarness.open();
    await harness.login('alice');
    const headers = { authorization: `Bearer ${API_KEY}`, ...(type === '' ? {} : { 'content-type': type }) };
    for (const accept of ['*/*', 'text/event-stream', 'text/html']) {
      const { status } = await send(harness, 'POST', '/graphql', { ...headers, accept }, body);
      // 406: no operation can be answered with HTML.
      expect(status).toBe(accept === 'text/html' ? 406 : 415);
    }
    expect(await harness.status('alice')).toBe('ONLINE');
    await expectStillServing(harness);
  });

  test.each(['*/*', 'application/json', 'text/event-stream', 'text/html', 'application/graphql-response+json'])(
    'rejects a mutation by GET that accepts %s',
    async (accept) => {
      const harness = await ServerHarness.open();
      await harness.login('alice');
      const headers = { authorization: `Bearer ${API_KEY}`, accept };
      for (const query of [END, `query Q { __typename } ${END.replace('mutation', 'mutation M')}`]) {
        const search = new URLSearchParams({ query, ...(query === END ? {} : { operationName: 'M' }) });
        expect((await send(harness, 'GET', `/graphql?${search}`, headers)).status).toBe(
          accept === 'text/html' ? 406 : 405,
        );
      }
      expect(await harness.status('alice')).toBe('ONLINE');
    },
  );
});
