/** Every transport returns the same result for the same operation, compiled or interpreted. */
import { describe, expect, test, vi } from 'vitest';
import { selectJsonMediaType } from '../../../src/server/http/media-types.ts';
import { API_KEY, ServerHarness, type Reply } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

type Body = Reply['body'];

interface OperationInput {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
  readonly operationName?: string;
}

type TransportCall = (harness: ServerHarness, credential: string, request: OperationInput) => Promise<Body>;

const post =
  (path: string, accept: string): TransportCall =>
  async (harness, credential, request) => {
    const response = await fetch(`${harness.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${credential}` },
      body: JSON.stringify(request),
    });
    return (await response.json()) as Body;
  };

const TRANSPORTS: Record<string, TransportCall> = {
  'a JSON POST': post('/graphql', '*/*'),
  'a JSON POST of a current client': post('/graphql', 'application/graphql-response+json, application/json;q=0.9'),
  // A query string excludes the request from the short path of JSON POSTs.
  'a POST through yoga': post('/graphql?read=by-yoga', 'application/graphql-response+json'),
  'a POST answered as events': async (harness, credential, request) => {
    const response = await fetch(`${harness.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${credential}`,
      },
      body: JSON.stringify(request),
    });
    const [, next] = /event: next\ndata: (.*)\n/.exec(await response.text()) ?? [];
    return JSON.parse(next ?? '') as Body;
  },
  'a socket': async (harness, credential, { query, variables, operationName }) => {
    const socket = await TestSocket.connect(harness.socketUrl, credential);
    socket.send({ type: 'subscribe', id: '1', payload: { query, variables, operationName } });
    const { type, payload } = await socket.nextMessage();
    socket.webSocket.close();
    return (type === 'next' ? payload : { errors: payload }) as Body;
  },
};

const SESSION = 'fragment S on Session { id __typename platform status appState attached loggedInAt }';

/** Executed by a session of alice. */
const SESSION_OPERATIONS: Record<string, OperationInput> = {
  'a heartbeat': { query: 'mutation { heartbeat { heartbeatIntervalMs heartbeatTimeoutMs session { id } } }' },
  'a heartbeat with an app state': {
    query: `mutation B($s: AppState!) { heartbeat(input: { appState: $s }) { session { ...S } } } ${SESSION}`,
    variables: { s: 'BACKGROUND' },
  },
  'two changes of the custom status': {
    query:
      'mutation { a: setCustomStatus(input: { text: "a" }) { userStatus { customStatus } } b: setCustomStatus(input: {}) { userStatus { customStatus } } }',
  },
  'a custom status that is too long, beside a valid one': {
    query:
      'mutation ($t: String) { a: setCustomStatus(input: { text: $t }) { userStatus { customStatus } } b: setCustomStatus(input: { text: null }) { userStatus { customStatus } } }',
    variables: { t: 'x'.repeat(257) },
  },
  'fields that only backends may read': { query: '{ stats { sockets }\n  policy { pushOnlineExpiryMs } }' },
  'the sessions of another user': {
    query:
      'query ($ids: [ID!]!) {\n  all: userStatuses(userIds: $ids) {\n    userId\n    sessions { id }\n    status }\n}',
    variables: { ids: ['bob', 'alice', 'bob', 'unknown'] },
  },
};

const BACKEND_OPERATIONS: Record<string, OperationInput> = {
  __typename: { query: '{ __typename }' },
  'a status': {
    query:
      'query Q($id: ID!, $w: Boolean!) { userStatus(userId: $id) { userId status ... @include(if: $w) { version } reason @skip(if: $w) sessions { platform } changedAt } }',
    variables: { id: 'bob', w: true },
  },
  'a status with the directives inverted': {
    query:
      'query Q($id: ID!, $w: Boolean!) { userStatus(userId: $id) { userId status ... @include(if: $w) { version } reason @skip(if: $w) } }',
    variables: { id: 'bob', w: false },
  },
  'ids that are numbers': { query: '{ userStatuses(userIds: [5, "5"]) { userId version lastSeenAt } }' },
  'ids that are numbers among the variables': {
    query: 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId } }',
    variables: { ids: [5, 9007199254740991, '05'] },
  },
  'one id where a list is wanted': {
    query: 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId } }',
    variables: { ids: 'bob' },
  },
  'a non-null variable with a default': {
    query:
      'query ($n: Int! = 1, $no: Boolean! = false) { events(first: $n) { nodes { reason userId @include(if: $no) } } }',
  },
  'a page of the default size': {
    query: 'query ($n: Int = 1) { events(first: $n) { nodes { reason userId } pageInfo { hasNextPage } } }',
  },
  'a page whose size is null': {
    query: 'query ($n: Int = 1) { events(first: $n) { nodes { reason } } }',
    variables: { n: null },
  },
  'a page whose size is not an integer': {
    query: 'query ($n: Int) { events(first: $n) { nodes { reason } } }',
    variables: { n: 1.5 },
  },
  'an invalid id': { query: '{ userStatus(userId: "") { version } }' },
  'too many users in two fields together': {
    query:
      'query ($ids: [ID!]!) { all: userStatuses(userIds: $ids) { userId } again: userStatuses(userIds: $ids) { userId } }',
    variables: { ids: Array.from({ length: 251 }, (_, index) => `user-${index}`) },
  },
  'too many users': {
    query: 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId } }',
    variables: { ids: Array.from({ length: 501 }, (_, index) => `user-${index}`) },
  },
  'an invalid cursor': { query: '{ events(after: "x.1") { nodes { reason } } }' },
  'missing variables': { query: 'query ($id: ID!) { userStatus(userId: $id) { version } }' },
  'an unknown platform': {
    query: 'query ($p: Platform) { onlineUsers(platform: $p) { nodes { userId } } }',
    variables: { p: 'PHONE' },
  },
  'an invalid policy': {
    query: 'mutation ($i: UpdatePolicyInput!) { updatePolicy(input: $i) { policy { pushOnlineExpiryMs } } }',
    variables: { i: { platforms: [{ platform: 'WEB', heartbeatIntervalMs: 5, heartbeatTimeoutMs: 1 }] } },
  },
  'the webhooks': { query: '{ webhooks { id } webhook(id: "none") { id } webhookDeliveries { nodes { id } } }' },
  'a webhook update that omits a variable': {
    query: 'mutation ($id: ID!, $u: String) { updateWebhook(input: { id: $id, url: $u }) { secret } }',
    variables: { id: 'none' },
  },
  'a webhook update with null': {
    query: 'mutation ($id: ID!, $u: String) { updateWebhook(input: { id: $id, url: $u }) { secret } }',
    variables: { id: 'none', u: null },
  },
  'a policy update that omits a variable': {
    query:
      'mutation ($b: Int) { updatePolicy(input: { platforms: [{ platform: MINI_PROGRAM, backgroundTimeoutMs: $b }] }) { policy { platforms { platform backgroundTimeoutMs } } } }',
  },
  'a redelivery without a selection': {
    query: 'mutation ($i: RedeliverInput!) { redeliver(input: $i) { count } }',
    variables: { i: {} },
  },
  'one of several operations': {
    query: 'query A { stats { sockets } } query B { policy { pushOnlineExpiryMs multiDevice { groups } } }',
    operationName: 'B',
  },
  'an invalid document': { query: '{ stats {' },
  'an unknown field': { query: '{ nothing }' },
  'too many levels': { query: `{ policy ${'{ platforms '.repeat(11)}${'} '.repeat(11)} }` },
};

describe.each([
  ['interpreted', Infinity],
  ['compiled', 0],
])('%s', (_how, compileAfter) => {
  test.each(Object.entries(BACKEND_OPERATIONS))(
    'every transport returns a backend the same result for %s',
    async (_what, request) => {
      const harness = await ServerHarness.open({ compileAfter });
      await harness.login('bob');
      const results = await executeOverAll(harness, API_KEY, request);
      for (const result of results) expect(result).toEqual(results[0]);
      expect(results[0]).toEqual((await executeOverAll(await openInterpretedHarness(), API_KEY, request))[0]);
    },
  );

  test.each(Object.entries(SESSION_OPERATIONS))(
    'every transport returns a session the same result for %s',
    async (_what, request) => {
      const harness = await ServerHarness.open({ compileAfter });
      await harness.login('bob');
      const { token } = await harness.login('alice');
      const results = await executeOverAll(harness, token, request);
      for (const result of results) expect(result).toEqual(results[0]);
    },
  );

  test('every transport masks an internal error', async () => {
    const harness = await ServerHarness.open({ compileAfter });
    vi.spyOn(harness.store, 'getPresenceCounts').mockImplementation(() => {
      throw new Error('no such table: secrets');
    });
    for (const result of await executeOverAll(harness, API_KEY, { query: '{\n  s: stats { sockets }\n}' })) {
      expect(result).toEqual({
        data: null,
        errors: [
          {
            message: 'Internal server error.',
            path: ['s'],
            locations: [{ line: 2, column: 3 }],
            extensions: { code: 'INTERNAL_SERVER_ERROR' },
          },
        ],
      });
    }
  });
});

test('every transport rejects an unknown operationName with the same code', async () => {
  const harness = await ServerHarness.open();
  const request = { query: 'query A { __typename } query B { __typename }', operationName: 'C' };
  for (const { errors } of await executeOverAll(harness, API_KEY, request)) {
    expect(errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'OPERATION_RESOLUTION_FAILURE' }]);
  }
});

test('a JSON POST is answered with the media type that yoga would choose', async () => {
  const harness = await ServerHarness.open();
  for (const accept of [
    '*/*',
    'application/json',
    'application/graphql-response+json',
    'application/graphql-response+json, application/json;q=0.9',
    'application/json, application/graphql-response+json',
    'application/json;q=0.5, application/graphql-response+json',
    'application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed',
    'Application/JSON; charset=UTF-8',
    'application/json; charset=latin1, application/graphql-response+json',
    'application/json; charset=latin1',
    'text/html, application/*',
    'text/html,*/*;q=0.1',
    'text/html',
    '',
  ]) {
    const results = await Promise.all(
      ['/graphql', '/graphql?read=by-yoga'].map((path) =>
        fetch(`${harness.url}${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept },
          body: '{"query":"{ __typename }"}',
        }),
      ),
    );
    const [direct, throughYoga] = results.map(({ status, headers }) => [status, headers.get('content-type')]);
    expect(direct, accept).toEqual(throughYoga);
  }
  expect(selectJsonMediaType(undefined)).toBe('application/json');
  expect(selectJsonMediaType('text/event-stream')).toBeNull();
});

const openInterpretedHarness = async (): Promise<ServerHarness> => {
  const harness = await ServerHarness.open({ compileAfter: Infinity });
  await harness.login('bob');
  return harness;
};

/** The result of each transport, without values that always differ: times and random ids. */
const executeOverAll = async (harness: ServerHarness, credential: string, request: OperationInput): Promise<Body[]> => {
  const results: Body[] = [];
  for (const executeOver of Object.values(TRANSPORTS))
    results.push(normalise(await executeOver(harness, credential, request)));
  return results;
};

const normalise = (body: Body): Body =>
  JSON.parse(
    JSON.stringify(body, (key, value: unknown) =>
      typeof value === 'string' && /(At|attached|version)$/.test(key) ? 'some' : value,
    ).replaceAll(/"attached":(true|false)/g, '"attached":"either"'),
  ) as Body;
