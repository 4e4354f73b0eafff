/** The forms of a request that clients and tools send, over every transport. */
import { describe, expect, test } from 'vitest';
import { API_KEY, ServerHarness, type ReplyError } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

type Params = Readonly<Record<string, unknown>>;

interface Outcome {
  /** Null for a socket, and for an answer as events, which have no status of their own. */
  readonly status: number | null;
  readonly body: unknown;
}

type Send = (harness: ServerHarness, params: Params) => Promise<Outcome>;

const headersFor = (accept: string): Record<string, string> => ({ authorization: `Bearer ${API_KEY}`, accept });

const readOutcome = async (response: Response): Promise<Outcome> => {
  const text = await response.text();
  if (response.headers.get('content-type')?.startsWith('text/event-stream') !== true)
    return { status: response.status, body: JSON.parse(text) };
  const [, next = ''] = /event: next\ndata: (.*)\n/.exec(text) ?? [];
  return { status: null, body: JSON.parse(next) };
};

const post =
  (path: string, accept: string): Send =>
  async ({ url }, params) =>
    readOutcome(
      await fetch(`${url}${path}`, {
        method: 'POST',
        headers: { ...headersFor(accept), 'content-type': 'application/json' },
        body: JSON.stringify(params),
      }),
    );

const get =
  (accept: string): Send =>
  async ({ url }, params) => {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(params))
      if (value !== null) search.set(name, typeof value === 'string' ? value : JSON.stringify(value));
    return readOutcome(await fetch(`${url}/graphql?${search}`, { headers: headersFor(accept) }));
  };

const overSocket: Send = async (harness, params) => {
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  socket.send({ type: 'subscribe', id: '1', payload: params });
  const { type, payload } = await socket.nextMessage();
  const body = type === 'next' ? payload : { errors: payload };
  // The socket is still usable, and one more operation with this id is possible.
  if (type === 'next') expect(await socket.nextMessage()).toEqual({ type: 'complete', id: '1' });
  expect(await socket.execute('{ __typename }')).toMatchObject({ payload: { data: { __typename: 'Query' } } });
  return { status: null, body };
};

const HTTP: Readonly<Record<string, Send>> = {
  'a JSON POST': post('/graphql', 'application/json'),
  'a JSON POST of a current client': post('/graphql', 'application/graphql-response+json'),
  // A query string excludes the request from the short path of JSON POSTs.
  'a POST through yoga': post('/graphql?read=by-yoga', 'application/json'),
  'a POST of a current client through yoga': post('/graphql?read=by-yoga', 'application/graphql-response+json'),
  'a POST answered as events': post('/graphql', 'text/event-stream'),
};
const GET: Readonly<Record<string, Send>> = {
  'a GET': get('application/json'),
  'a GET of a current client': get('application/graphql-response+json'),
  'a GET answered as events': get('text/event-stream'),
};
const ALL: Readonly<Record<string, Send>> = { ...HTTP, ...GET, 'a socket': overSocket };

const QUERY = 'query A($id: ID = "alice") { userStatus(userId: $id) { userId } }';
const TWO_QUERIES = 'query A { __typename } query B { stats { sockets } }';
const alice = { data: { userStatus: { userId: 'alice' } } };
const bob = { data: { userStatus: { userId: 'bob' } } };
const hash = { persistedQuery: { version: 1, sha256Hash: 'ab'.repeat(32) } };

describe('a request is executed over every transport', () => {
  test.each<[string, Params, object]>([
    ['with a query alone', { query: QUERY }, alice],
    ['with an empty operationName', { query: QUERY, operationName: '' }, alice],
    ['with an operationName', { query: QUERY, operationName: 'A' }, alice],
    ['with null for everything else', { query: QUERY, operationName: null, variables: null, extensions: null }, alice],
    ['with empty strings', { query: QUERY, operationName: '', variables: '', extensions: '' }, alice],
    ['with the id of Relay', { id: 'AliceQuery', query: QUERY, variables: { id: 'bob' } }, bob],
    ['with the members of other clients', { query: QUERY, doc_id: '5', queryId: 'x', hash: 'y', key: 7 }, alice],
    ['with extensions', { query: QUERY, extensions: { clientLibrary: { name: 'x' } } }, alice],
    ['with a hash that belongs to another document', { query: QUERY, extensions: hash }, alice],
    ['with a documentId beside the query', { query: QUERY, documentId: 'sha256:x', variables: { id: 'bob' } }, bob],
  ])('%s', async (_what, params, body) => {
    const harness = await ServerHarness.open();
    for (const [transport, send] of Object.entries(ALL)) {
      const outcome = await send(harness, params);
      expect(outcome, transport).toEqual({ status: outcome.status === null ? null : 200, body });
    }
  });
});

describe('a request without a document is answered PersistedQueryNotSupported with status 200 over every transport', () => {
  test.each<[string, Params]>([
    ['with a hash', { operationName: 'A', variables: { id: 'bob' }, extensions: hash }],
    ['with a hash beside an empty query', { query: '', extensions: hash }],
    ['with a hash beside null', { query: null, operationName: null, variables: null, extensions: hash }],
    ['with a documentId', { documentId: 'sha256:7dba4bd717b41f10434822356a93c32b1fb4907b983e854300ad839f84cdcd6e' }],
  ])('%s', async (_what, params) => {
    const harness = await ServerHarness.open();
    for (const [transport, send] of Object.entries(ALL)) {
      const { status, body } = await send(harness, params);
      expect([null, 200], transport).toContain(status);
      expect(body, transport).toEqual({
        errors: [{ message: 'PersistedQueryNotSupported', extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' } }],
      });
    }
    const count = Object.keys(HTTP).length + Object.keys(GET).length;
    const metrics = await harness.metrics();
    const countOver = (transport: string) =>
      metrics.get(`porchlight_errors_total{transport="${transport}",code="PERSISTED_QUERY_NOT_SUPPORTED"}`);
    expect([countOver('http'), countOver('websocket')]).toEqual([count, 1]);
  });

  test('whose caller is unknown, so that the full query is answered UNAUTHENTICATED', async () => {
    const { url } = await ServerHarness.open();
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer wrong' },
      body: JSON.stringify({ extensions: hash }),
    });
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { errors: [{ message: 'PersistedQueryNotSupported' }] },
    ]);
  });
});

describe('an invalid request is answered BAD_REQUEST over every transport, and changes nothing', () => {
  test.each<[Params, string, Readonly<Record<string, Send>>]>([
    [{}, '"query" is missing. It must be a string with a GraphQL document.', ALL],
    [{ query: '' }, '"query" is missing. It must be a string with a GraphQL document.', ALL],
    [{ id: 'AliceQuery', variables: {} }, '"query" is missing. It must be a string with a GraphQL document.', ALL],
    [{ query: ['{ __typename }'] }, '"query" must be a string, but is a list.', { ...HTTP, 'a socket': overSocket }],
    [
      { query: QUERY, operationName: 5 },
      '"operationName" must be a string or null, but is a number.',
      { ...HTTP, 'a socket': overSocket },
    ],
    [{ query: QUERY, variables: [] }, '"variables" must be an object or null, but is a list.', ALL],
    [
      { query: QUERY, variables: '{"id":"bob"}' },
      '"variables" must be an object or null, but is a string.',
      { ...HTTP, 'a socket': overSocket },
    ],
    [{ query: QUERY, variables: '"{}"' }, '"variables" must be an object or null, but is a string.', GET],
    [{ query: QUERY, variables: '{' }, 'The URL parameter "variables" is not valid JSON.', GET],
    [{ query: QUERY, extensions: 'x' }, 'The URL parameter "extensions" is not valid JSON.', GET],
    [{ query: QUERY, extensions: [] }, '"extensions" must be an object or null, but is a list.', ALL],
  ])('%j', async (params, message, transports) => {
    const harness = await ServerHarness.open();
    for (const [transport, send] of Object.entries(transports)) {
      const { status, body } = await send(harness, params);
      expect([null, 400], transport).toContain(status);
      expect(body, transport).toEqual({ errors: [{ message, extensions: { code: 'BAD_REQUEST' } }] });
    }
  });

  test('and an operationName that matches nothing is answered OPERATION_RESOLUTION_FAILURE', async () => {
    const harness = await ServerHarness.open();
    for (const [transport, send] of Object.entries(ALL)) {
      for (const operationName of ['', null, 'C', ' ']) {
        const { body } = await send(harness, { query: TWO_QUERIES, operationName });
        const { errors } = body as { readonly errors: readonly ReplyError[] };
        expect(errors[0]?.extensions, transport).toEqual({ code: 'OPERATION_RESOLUTION_FAILURE' });
      }
    }
  });
});

describe('a list of operations', () => {
  const operation = { query: 'mutation { endSessions(input: { userId: "alice" }) { ended { id } } }' };
  const error = {
    errors: [
      {
        message: 'A request must have one operation, but is a list. Send each operation in a request of its own.',
        extensions: { code: 'BAD_REQUEST' },
      },
    ],
  };
  const send = async (
    { url }: ServerHarness,
    accept: string,
    operations: readonly object[],
    path = '/graphql',
  ): Promise<readonly unknown[]> => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { ...headersFor(accept), 'content-type': 'application/json' },
      body: JSON.stringify(operations),
    });
    return [response.status, response.headers.get('content-type'), (await response.json()) as unknown];
  };

  test('is refused with one error for each operation, which is the only form that batching clients show', async () => {
    const harness = await ServerHarness.open();
    await harness.login('alice');
    const [json, modern] = ['application/json', 'application/graphql-response+json'];
    expect(await send(harness, json, [operation, operation])).toEqual([200, `${json}; charset=utf-8`, [error, error]]);
    expect(await send(harness, modern, [operation])).toEqual([400, `${modern}; charset=utf-8`, [error]]);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('is refused with one error alone when it has more than 100 operations, or has lists in it', async () => {
    const harness = await ServerHarness.open();
    for (const operations of [Array.from({ length: 101 }, () => operation), [[operation]], []]) {
      expect(await send(harness, '*/*', operations)).toEqual([400, 'application/json; charset=utf-8', error]);
    }
    expect(await send(harness, '*/*', [operation], '/graphql?read=by-yoga')).toMatchObject([400, {}, error]);
  });
});
