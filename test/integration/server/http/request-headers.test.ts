/** Headers, methods and bodies of the HTTP requests that clients and tools send. */
import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { API_KEY, ServerHarness, type ReplyError } from '../support/server-harness.ts';

const QUERY = '{ __typename }';
const WATCH = 'subscription { statusChanges(userIds: ["bob"]) { status } }';
const DATA = { data: { __typename: 'Query' } };
const authorization = `Bearer ${API_KEY}`;

interface RawReply {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** Sends exactly these headers. fetch would add some. */
const send = (
  { url }: ServerHarness,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: string | Buffer,
): Promise<RawReply> =>
  new Promise((resolve, reject) => {
    const request = httpRequest(`${url}${path}`, { method, headers: { authorization, ...headers } }, (response) => {
      text(response).then(
        (content) => resolve({ status: response.statusCode, headers: response.headers, text: content }),
        reject,
      );
    });
    request.once('error', reject);
    request.end(body);
  });

const sendJson = (harness: ServerHarness, headers: Readonly<Record<string, string>>, body: string | Buffer) =>
  send(harness, 'POST', '/graphql', { 'content-type': 'application/json', ...headers }, body);

const errorOf = ({ text: body }: RawReply): ReplyError | undefined =>
  (JSON.parse(body) as { readonly errors?: readonly ReplyError[] }).errors?.[0];

const MULTIPART_UPLOAD = [
  '--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n{"query":"{ __typename }"}\r\n',
  '--x\r\nContent-Disposition: form-data; name="map"\r\n\r\n{}\r\n--x--\r\n',
].join('');

describe('a body', () => {
  test.each([
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json; charset="utf-8"',
    'Application/JSON',
    'application/json ; charset=utf-8',
  ])('is accepted with the Content-Type %s', async (type) => {
    const harness = await ServerHarness.open();
    const reply = await sendJson(harness, { 'content-type': type }, JSON.stringify({ query: QUERY }));
    expect([reply.status, JSON.parse(reply.text)]).toEqual([200, DATA]);
  });

  test.each([
    ['application/graphql', QUERY, 'is "application/graphql".'],
    ['application/graphql+json', JSON.stringify({ query: QUERY }), 'is "application/graphql+json".'],
    ['multipart/form-data; boundary=x', MULTIPART_UPLOAD, 'is "multipart/form-data; boundary=x".'],
    ['application/x-www-form-urlencoded', 'query={__typename}', 'is "application/x-www-form-urlencoded".'],
    ['text/plain;charset=UTF-8', JSON.stringify({ query: QUERY }), 'is "text/plain;charset=UTF-8".'],
    ['', JSON.stringify({ query: QUERY }), 'is missing.'],
    [`x/${'y'.repeat(1_000)}`, '{}', `is "x/${'y'.repeat(98)}".`],
  ])('is refused with 415 and the right Content-Type: %s', async (type, body, given) => {
    const harness = await ServerHarness.open();
    const headers = type === '' ? {} : { 'content-type': type };
    for (const accept of ['*/*', 'application/graphql-response+json', 'application/json']) {
      const reply = await send(harness, 'POST', '/graphql', { accept, ...headers }, body);
      expect([reply.status, errorOf(reply)]).toEqual([
        415,
        {
          message: `The header Content-Type must be application/json, but ${given}`,
          extensions: { code: 'BAD_REQUEST' },
        },
      ]);
    }
  });

  test('is refused with 415 when it is compressed', async () => {
    const harness = await ServerHarness.open();
    const body = gzipSync(JSON.stringify({ query: QUERY }));
    for (const encoding of ['gzip', 'br', 'identity, gzip']) {
      const reply = await sendJson(harness, { 'content-encoding': encoding }, body);
      expect([reply.status, errorOf(reply)?.message]).toEqual([
        415,
        `The body must not be compressed, but Content-Encoding is "${encoding}".`,
      ]);
    }
    const plain = await sendJson(harness, { 'content-encoding': 'identity' }, JSON.stringify({ query: QUERY }));
    expect(JSON.parse(plain.text)).toEqual(DATA);
  });

  test('is accepted with a byte order mark, and refused when it is empty, not JSON or not UTF-8', async () => {
    const harness = await ServerHarness.open();
    for (const path of ['/graphql', '/graphql?read=by-yoga']) {
      const post = (body: string | Buffer) => send(harness, 'POST', path, { 'content-type': 'application/json' }, body);
      expect(JSON.parse((await post(`\uFEFF${JSON.stringify({ query: QUERY })}`)).text)).toEqual(DATA);
      for (const [body, message] of [
        ['', 'The body is not valid JSON.'],
        ['{', 'The body is not valid JSON.'],
        [Buffer.from(JSON.stringify({ query: QUERY }), 'utf16le'), 'The body is not valid JSON.'],
        [Buffer.from('{"query":"{ __typename } # é"}', 'latin1'), 'The body is not UTF-8.'],
      ] as const) {
        const reply = await post(body);
        expect([reply.status, errorOf(reply)?.message], path).toEqual([400, message]);
      }
    }
  });
});

describe('an Accept header', () => {
  const JSON_TYPE = 'application/json; charset=utf-8';
  const MODERN_TYPE = 'application/graphql-response+json; charset=utf-8';
  test.each([
    ['none', undefined, JSON_TYPE],
    ['that of curl', '*/*', JSON_TYPE],
    ['that of Apollo Client 3', 'application/json, multipart/mixed', JSON_TYPE],
    ['that of Apollo Client 4', 'application/graphql-response+json,application/json;q=0.9', MODERN_TYPE],
    [
      'one for deferred parts',
      'multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9',
      MODERN_TYPE,
    ],
    [
      'that of Apollo Kotlin',
      'multipart/mixed;deferSpec=20220824, application/graphql-response+json, application/json',
      null,
    ],
    ['that of Apollo iOS', 'multipart/mixed;boundary="graphql";deferSpec=20220824,application/json', JSON_TYPE],
    [
      'that of urql',
      'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed',
      null,
    ],
    ['that of axios', 'application/json, text/plain, */*', JSON_TYPE],
    ['that of a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', JSON_TYPE],
  ])('of a query is answered as JSON by POST and GET: %s', async (_what, accept, type) => {
    const harness = await ServerHarness.open();
    const headers = accept === undefined ? {} : { accept };
    for (const reply of [
      await sendJson(harness, headers, JSON.stringify({ query: QUERY })),
      await send(harness, 'GET', `/graphql?query=${encodeURIComponent(QUERY)}`, headers),
      // These clients send it, or have an option for it.
      await send(harness, 'GET', `/graphql?query=${encodeURIComponent(QUERY)}`, {
        ...headers,
        origin: 'null',
        'apollo-require-preflight': 'true',
        'x-graphql-yoga-csrf': '1',
      }),
    ]) {
      expect([reply.status, JSON.parse(reply.text)]).toEqual([200, DATA]);
      if (type === null) expect([JSON_TYPE, MODERN_TYPE]).toContain(reply.headers['content-type']);
      else expect(reply.headers['content-type']).toBe(type);
    }
  });

  test.each([
    'multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9',
    'multipart/mixed;boundary="graphql";subscriptionSpec="1.0",application/json',
    'multipart/mixed;subscriptionSpec=1.0, application/json',
    'application/json',
  ])('of a subscription that does not allow event streams is refused with 406 and words: %s', async (accept) => {
    const harness = await ServerHarness.open();
    const reply = await sendJson(harness, { accept }, JSON.stringify({ query: WATCH }));
    expect([reply.status, errorOf(reply)]).toEqual([
      406,
      {
        message:
          'Over HTTP, a subscription is answered as text/event-stream: allow it in the header Accept, or use a WebSocket.',
        extensions: { code: 'BAD_REQUEST' },
      },
    ]);
    expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('that allows no result is refused with 406 and words, and the operation is not executed', async () => {
    const harness = await ServerHarness.open();
    await harness.login('bob');
    const body = JSON.stringify({ query: 'mutation { endSessions(input: { userId: "bob" }) { ended { id } } }' });
    for (const accept of ['text/html', 'application/xml, image/*', 'application/json;charset=latin1']) {
      const reply = await sendJson(harness, { accept }, body);
      expect([reply.status, errorOf(reply)]).toEqual([
        406,
        {
          message: `The header Accept must allow application/json or text/event-stream, but is "${accept}".`,
          extensions: { code: 'BAD_REQUEST' },
        },
      ]);
    }
    expect(await harness.status('bob')).toBe('ONLINE');
  });
});

describe('a method or path', () => {
  test('OPTIONS is answered with the methods, and others with 405 and the methods', async () => {
    const harness = await ServerHarness.open();
    const options = await send(harness, 'OPTIONS', '/graphql', {});
    expect([options.status, options.headers.allow]).toEqual([204, 'GET, POST, OPTIONS']);
    for (const method of ['HEAD', 'PUT', 'DELETE', 'PATCH']) {
      const reply = await send(harness, method, '/graphql', {});
      expect([reply.status, reply.headers.allow]).toEqual([405, 'GET, POST']);
      if (method !== 'HEAD') expect(errorOf(reply)?.extensions).toEqual({ code: 'BAD_REQUEST' });
    }
  });

  test('a path with a slash at its end is answered with the right path', async () => {
    const harness = await ServerHarness.open();
    for (const method of ['GET', 'POST']) {
      const reply = await send(harness, method, '/graphql/', { 'content-type': 'application/json' });
      expect([reply.status, errorOf(reply)?.message]).toEqual([404, 'There is nothing here: GraphQL is at /graphql.']);
    }
  });
});

describe('a GET with 500 user ids', () => {
  const search = (ids: readonly string[]) =>
    new URLSearchParams({
      query: 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId } }',
      variables: JSON.stringify({ ids }),
    }).toString();

  test('is answered when the ids are UUIDs', async () => {
    const harness = await ServerHarness.open();
    const ids = Array.from({ length: 500 }, () => randomUUID());
    const reply = await send(harness, 'GET', `/graphql?${search(ids)}`, {});
    expect(JSON.parse(reply.text)).toEqual({ data: { userStatuses: ids.map((userId) => ({ userId })) } });
  });

  test('is refused with 431 and the advice to use POST when the ids are longer', async () => {
    const harness = await ServerHarness.open();
    const ids = Array.from({ length: 500 }, (_, index) => `${index}`.padStart(128, 'x'));
    const reply = await send(harness, 'GET', `/graphql?${search(ids)}`, {});
    expect([reply.status, errorOf(reply)?.extensions]).toEqual([431, { code: 'BAD_REQUEST' }]);
    expect(errorOf(reply)?.message).toMatch(/^The URL and the headers have more than 48 KiB together\..* by POST\./);
  });
});
