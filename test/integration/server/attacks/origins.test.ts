/**
 * A page that a user happens to look at, in a browser that knows her: it can send requests, but nothing that it sends
 * by itself says who she is, and what it may not read it cannot even ask.
 */
import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillWell } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/wire.ts';

const ALLOWED = 'https://app.example';

/** None of them is the origin that is allowed, nor the server's own. `HOST` stands for the server's host and port. */
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

/** As bytes, for fetch sends neither Cookie nor Origin as it is told to. */
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
  test.each(FOREIGN)('%j opens no socket, and may not ask or read over HTTP', async (origin) => {
    const harness = await ServerHarness.open({ settings: { allowedOrigins: [ALLOWED] } });
    const from = origin.replaceAll('HOST', new URL(harness.url).host);
    const { token } = await harness.login('alice');
    const wire = new TestSocket(harness.socketUrl, {
      headers: { origin: from, cookie: `session=${token}`, authorization: `Bearer ${token}` },
    });
    const status = await new Promise((resolve) => {
      wire.ws.once('open', () => resolve(101));
      wire.ws.once('unexpected-response', (_request, response) => resolve(response.statusCode));
    });
    expect(status).toBe(403);

    const asked = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    const preflight = await send(harness, 'OPTIONS', '/graphql', { origin: from, ...asked });
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

  test('does not matter to whoever sends none, which no browser does', async () => {
    const harness = await ServerHarness.open({ settings: { allowedOrigins: [ALLOWED] } });
    await expectStillWell(harness);
    const wire = new TestSocket(harness.socketUrl, { headers: { origin: ALLOWED } });
    await wire.init({ authorization: `Bearer ${API_KEY}` });
    expect((await wire.next()).type).toBe('connection_ack');
  });
});

test('what a page of an allowed origin is told never allows it to send cookies, nor names another origin', async () => {
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

describe('what a browser sends by itself, or a link can carry, is no credential', () => {
  const ME = '{ me { userId } }';
  /** Where somebody might expect a token to count. */
  const places = (token: string): Readonly<Record<string, readonly [string, Record<string, string>]>> => ({
    'a cookie': ['', { cookie: `session=${token}; token=${token}; authorization=Bearer ${token}` }],
    'the cookie Authorization': ['', { cookie: `Authorization=Bearer%20${token}` }],
    'the parameter authorization': [`&authorization=Bearer%20${token}`, {}],
    'the parameters token and access_token': [`&token=${token}&access_token=${token}&api_key=${token}`, {}],
    'the parameter extensions': [
      `&extensions=${encodeURIComponent(JSON.stringify({ authorization: `Bearer ${token}` }))}`,
      {},
    ],
    'HTTP Basic': ['', { authorization: `Basic ${Buffer.from(`alice:${token}`).toString('base64')}` }],
    'other headers': [
      '',
      { 'x-api-key': token, 'x-authorization': `Bearer ${token}`, 'proxy-authorization': `Bearer ${token}` },
    ],
  });

  test.each(Object.keys(places('')))('%s', async (place) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    for (const credential of [token, API_KEY, await harness.jwt('alice')]) {
      const [search, headers] = places(credential)[place] ?? ['', {}];
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
      const wire = new TestSocket(`${harness.socketUrl}?x=1${search}`, { headers });
      await wire.init();
      expect((await wire.closed).code).toBe(4401);
    }
    await expectStillWell(harness);
  });
});

describe('what a form can send does nothing, even by somebody who is known', () => {
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
  test.each(FORMS)('%s', async (type, body) => {
    const harness = await ServerHarness.open();
    await harness.login('alice');
    const headers = { authorization: `Bearer ${API_KEY}`, ...(type === '' ? {} : { 'content-type': type }) };
    for (const accept of ['*/*', 'text/event-stream', 'text/html']) {
      const { status } = await send(harness, 'POST', '/graphql', { ...headers, accept }, body);
      // 406: a page is nothing that an operation could be answered with.
      expect(status).toBe(accept === 'text/html' ? 406 : 415);
    }
    expect(await harness.status('alice')).toBe('ONLINE');
    await expectStillWell(harness);
  });

  test.each(['*/*', 'application/json', 'text/event-stream', 'text/html', 'application/graphql-response+json'])(
    'a mutation in an address, for %s',
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
