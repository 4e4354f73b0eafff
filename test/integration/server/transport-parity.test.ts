/** One suite over every way in: whatever is asked, each of them answers the same, compiled or not. */
import { describe, expect, test, vi } from 'vitest';
import { selectJsonMediaType } from '../../../src/server/http/media-types.ts';
import { API_KEY, ServerHarness, type Reply } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

type Body = Reply['body'];

interface Asked {
  readonly query: string;
  readonly variables?: Record<string, unknown>;
  readonly operationName?: string;
}

type Door = (harness: ServerHarness, credential: string, asked: Asked) => Promise<Body>;

const post =
  (path: string, accept: string): Door =>
  async (harness, credential, asked) => {
    const response = await fetch(`${harness.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${credential}` },
      body: JSON.stringify(asked),
    });
    return (await response.json()) as Body;
  };

const DOORS: Record<string, Door> = {
  'a plain POST': post('/graphql', '*/*'),
  'a plain POST of today': post('/graphql', 'application/graphql-response+json, application/json;q=0.9'),
  // A query string makes it none of the plain ones.
  'a POST through yoga': post('/graphql?read=by-yoga', 'application/graphql-response+json'),
  'a POST answered as events': async (harness, credential, asked) => {
    const response = await fetch(`${harness.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${credential}`,
      },
      body: JSON.stringify(asked),
    });
    const [, next] = /event: next\ndata: (.*)\n/.exec(await response.text()) ?? [];
    return JSON.parse(next ?? '') as Body;
  },
  'a socket': async (harness, credential, { query, variables, operationName }) => {
    const wire = await TestSocket.connect(harness.socketUrl, credential);
    wire.send({ type: 'subscribe', id: '1', payload: { query, variables, operationName } });
    const { type, payload } = await wire.nextMessage();
    wire.webSocket.close();
    return (type === 'next' ? payload : { errors: payload }) as Body;
  },
};

const SESSION = 'fragment S on Session { id __typename platform status appState attached loggedInAt }';

/** Asked by a session of alice, whose data is the same whoever asks. */
const OF_A_SESSION: Record<string, Asked> = {
  'a heartbeat': { query: 'mutation { heartbeat { heartbeatIntervalMs heartbeatTimeoutMs session { id } } }' },
  'a heartbeat that tells its state': {
    query: `mutation B($s: AppState!) { heartbeat(input: { appState: $s }) { session { ...S } } } ${SESSION}`,
    variables: { s: 'BACKGROUND' },
  },
  'a change of one’s text, twice': {
    query:
      'mutation { a: setCustomStatus(input: { text: "a" }) { userStatus { customStatus } } b: setCustomStatus(input: {}) { userStatus { customStatus } } }',
  },
  'a text that is too long, beside one that is not': {
    query:
      'mutation ($t: String) { a: setCustomStatus(input: { text: $t }) { userStatus { customStatus } } b: setCustomStatus(input: { text: null }) { userStatus { customStatus } } }',
    variables: { t: 'x'.repeat(257) },
  },
  'what is for backends': { query: '{ stats { sockets }\n  policy { pushOnlineExpiryMs } }' },
  'the sessions of somebody else': {
    query:
      'query ($ids: [ID!]!) {\n  all: userStatuses(userIds: $ids) {\n    userId\n    sessions { id }\n    status }\n}',
    variables: { ids: ['bob', 'alice', 'bob', 'nobody'] },
  },
};

const OF_A_BACKEND: Record<string, Asked> = {
  'its name': { query: '{ __typename }' },
  'a status': {
    query:
      'query Q($id: ID!, $w: Boolean!) { userStatus(userId: $id) { userId status ... @include(if: $w) { version } reason @skip(if: $w) sessions { platform } changedAt } }',
    variables: { id: 'bob', w: true },
  },
  'a status, the other way': {
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
  'a variable that must not be null and has a default': {
    query:
      'query ($n: Int! = 1, $no: Boolean! = false) { events(first: $n) { nodes { reason userId @include(if: $no) } } }',
  },
  'a page, by default': {
    query: 'query ($n: Int = 1) { events(first: $n) { nodes { reason userId } pageInfo { hasNextPage } } }',
  },
  'a page of a size that is a null': {
    query: 'query ($n: Int = 1) { events(first: $n) { nodes { reason } } }',
    variables: { n: null },
  },
  'a page of no whole number': {
    query: 'query ($n: Int) { events(first: $n) { nodes { reason } } }',
    variables: { n: 1.5 },
  },
  'an id that is none': { query: '{ userStatus(userId: "") { version } }' },
  'too many users, by two fields together': {
    query:
      'query ($ids: [ID!]!) { all: userStatuses(userIds: $ids) { userId } again: userStatuses(userIds: $ids) { userId } }',
    variables: { ids: Array.from({ length: 251 }, (_, index) => `user-${index}`) },
  },
  'too many users': {
    query: 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId } }',
    variables: { ids: Array.from({ length: 501 }, (_, index) => `user-${index}`) },
  },
  'a cursor of somewhere else': { query: '{ events(after: "x.1") { nodes { reason } } }' },
  'variables that are missing': { query: 'query ($id: ID!) { userStatus(userId: $id) { version } }' },
  'a word that is no platform': {
    query: 'query ($p: Platform) { onlineUsers(platform: $p) { nodes { userId } } }',
    variables: { p: 'PHONE' },
  },
  'a policy that does not fit': {
    query: 'mutation ($i: UpdatePolicyInput!) { updatePolicy(input: $i) { policy { pushOnlineExpiryMs } } }',
    variables: { i: { platforms: [{ platform: 'WEB', heartbeatIntervalMs: 5, heartbeatTimeoutMs: 1 }] } },
  },
  'the webhooks': { query: '{ webhooks { id } webhook(id: "none") { id } webhookDeliveries { nodes { id } } }' },
  'a change that leaves a variable out': {
    query: 'mutation ($id: ID!, $u: String) { updateWebhook(input: { id: $id, url: $u }) { secret } }',
    variables: { id: 'none' },
  },
  'a change that is a null': {
    query: 'mutation ($id: ID!, $u: String) { updateWebhook(input: { id: $id, url: $u }) { secret } }',
    variables: { id: 'none', u: null },
  },
  'a policy that leaves a variable out': {
    query:
      'mutation ($b: Int) { updatePolicy(input: { platforms: [{ platform: MINI_PROGRAM, backgroundTimeoutMs: $b }] }) { policy { platforms { platform backgroundTimeoutMs } } } }',
  },
  'what is to be redelivered, of nothing': {
    query: 'mutation ($i: RedeliverInput!) { redeliver(input: $i) { count } }',
    variables: { i: {} },
  },
  'one of several operations': {
    query: 'query A { stats { sockets } } query B { policy { pushOnlineExpiryMs multiDevice { groups } } }',
    operationName: 'B',
  },
  'no document': { query: '{ stats {' },
  'a field that there is not': { query: '{ nothing }' },
  'too many levels': { query: `{ policy ${'{ platforms '.repeat(11)}${'} '.repeat(11)} }` },
};

describe.each([
  ['as graphql executes', Infinity],
  ['compiled', 0],
])('%s', (_how, compileAfter) => {
  test.each(Object.entries(OF_A_BACKEND))('every door answers a backend the same to %s', async (_what, asked) => {
    const harness = await ServerHarness.open({ compileAfter });
    await harness.login('bob');
    const answers = await everywhere(harness, API_KEY, asked);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toEqual((await everywhere(await withBob(), API_KEY, asked))[0]);
  });

  test.each(Object.entries(OF_A_SESSION))('every door answers a session the same to %s', async (_what, asked) => {
    const harness = await ServerHarness.open({ compileAfter });
    await harness.login('bob');
    const { token } = await harness.login('alice');
    const answers = await everywhere(harness, token, asked);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  test('a fault of ours is told by every door without what it was', async () => {
    const harness = await ServerHarness.open({ compileAfter });
    vi.spyOn(harness.store, 'getPresenceCounts').mockImplementation(() => {
      throw new Error('no such table: secrets');
    });
    for (const answer of await everywhere(harness, API_KEY, { query: '{\n  s: stats { sockets }\n}' })) {
      expect(answer).toEqual({
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

test('every door refuses the name of no operation with the same code', async () => {
  const harness = await ServerHarness.open();
  const asked = { query: 'query A { __typename } query B { __typename }', operationName: 'C' };
  for (const { errors } of await everywhere(harness, API_KEY, asked)) {
    expect(errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'OPERATION_RESOLUTION_FAILURE' }]);
  }
});

test('a plain POST is answered as the type that yoga would choose', async () => {
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
    const answers = await Promise.all(
      ['/graphql', '/graphql?read=by-yoga'].map((path) =>
        fetch(`${harness.url}${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept },
          body: '{"query":"{ __typename }"}',
        }),
      ),
    );
    const [plain, through] = answers.map(({ status, headers }) => [status, headers.get('content-type')]);
    expect(plain, accept).toEqual(through);
  }
  expect(selectJsonMediaType(undefined)).toBe('application/json');
  expect(selectJsonMediaType('text/event-stream')).toBeNull();
});

const withBob = async (): Promise<ServerHarness> => {
  const harness = await ServerHarness.open({ compileAfter: Infinity });
  await harness.login('bob');
  return harness;
};

/** What each door answers, without what no two answers have in common: moments, and ids made by chance. */
const everywhere = async (harness: ServerHarness, credential: string, asked: Asked): Promise<Body[]> => {
  const answers: Body[] = [];
  for (const door of Object.values(DOORS)) answers.push(plain(await door(harness, credential, asked)));
  return answers;
};

const plain = (body: Body): Body =>
  JSON.parse(
    JSON.stringify(body, (key, value: unknown) =>
      typeof value === 'string' && /(At|attached|version)$/.test(key) ? 'some' : value,
    ).replaceAll(/"attached":(true|false)/g, '"attached":"either"'),
  ) as Body;
