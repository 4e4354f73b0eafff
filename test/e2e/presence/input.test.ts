/** What does not fit is refused with a stable code, at both doors alike, and changes nothing. */
import { describe, expect, test, vi } from 'vitest';
import {
  postForData,
  codeOf,
  postOperation,
  GraphqlSocket,
  type GraphqlResult,
} from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { LOGIN, logIn, newUserId, startSharedServer, fetchUser, WATCH } from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = startSharedServer();

type Variables = Readonly<Record<string, unknown>>;

/** Asked over HTTP and over a socket; the two must agree in everything but their way. */
const answersOf = async (token: string, query: string, variables?: Variables): Promise<GraphqlResult<unknown>> => {
  const socket = await GraphqlSocket.open(server, token);
  const overSocket = await socket.execute(query, variables);
  expect(socket.open).toBe(true);
  await socket.close();
  if (/^\s*subscription/.test(query)) return overSocket;
  const http = await postOperation(server, token, query, variables);
  expect(http.errors).toEqual(overSocket.errors);
  expect(http.data ?? null).toEqual(overSocket.data ?? null);
  return http;
};

const STATUS = 'query ($userId: ID!) { userStatus(userId: $userId) { status } }';
const STATUSES = 'query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { status } }';
const END = 'mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }';
const PAGE =
  'query ($first: Int, $status: Status, $platform: Platform) { onlineUsers(first: $first, status: $status, platform: $platform) { nodes { userId } } }';

describe.concurrent('variables that do not fit: BAD_USER_INPUT', () => {
  test.for<readonly [string, string, Variables?]>([
    ['none where one is needed', STATUS],
    ['another name', STATUS, { user: 'x' }],
    ['null', STATUS, { userId: null }],
    ['an object', STATUS, { userId: { id: 'x' } }],
    ['a list', STATUS, { userId: ['x', 'y'] }],
    ['a truth value', STATUS, { userId: true }],
    ['a fraction', STATUS, { userId: 1.5 }],
    ['a list with a hole', STATUSES, { userIds: ['x', null] }],
    ['a list of lists', STATUSES, { userIds: [['x']] }],
    ['text for a number', PAGE, { first: '10' }],
    ['a number that is not whole', PAGE, { first: 1.5 }],
    ['a number beyond 32 bits', PAGE, { first: 2 ** 31 }],
    ['a word that is none of them', PAGE, { status: 'AWAY' }],
    ['a word in lower case', PAGE, { platform: 'web' }],
    ['a number for a word', PAGE, { platform: 3 }],
    ['an input without what it needs', END, { input: {} }],
    ['an input with something unknown', END, { input: { userId: 'x', everything: true } }],
    ['text for an input', END, { input: 'x' }],
    ['text for a truth value', END, { input: { userId: 'x', revokeTokens: 'yes' } }],
    ['a subscription’s', WATCH, { userIds: 7.5 }],
    ['a subscription’s, none', WATCH],
  ])('%s', async ([, query, variables]) => {
    const answer = await answersOf(server.apiKey, query, variables);
    expect([codeOf(answer), answer.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
    expect(answer.errors?.every(({ extensions }) => extensions?.code === 'BAD_USER_INPUT')).toBe(true);
  });

  test.for<readonly [string, unknown]>([
    ['no platform', {}],
    ['an unknown platform', { platform: 'FRIDGE' }],
    ['an unknown field', { platform: 'WEB', userId: 'somebody else' }],
    ['a device id that is a list', { platform: 'WEB', deviceId: ['x'] }],
    ['a version that is a number', { platform: 'WEB', appVersion: 3 }],
    ['nothing', null],
  ])('of a login: %s', async ([, input]) => {
    const user = newUserId();
    expect(codeOf(await answersOf(await mintToken(user), LOGIN, { input }))).toBe('BAD_USER_INPUT');
    expect((await fetchUser(server, user)).version).toBe(0);
  });

  test('of a heartbeat, which is no sign of life then', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const { lastSeenAt } = await fetchUser(server, device.userId);
    const beat = 'mutation ($input: HeartbeatInput) { heartbeat(input: $input) { heartbeatIntervalMs } }';
    expect(codeOf(await postOperation(server, device.token, beat, { input: { appState: 'ASLEEP' } }))).toBe(
      'BAD_USER_INPUT',
    );
    expect((await fetchUser(server, device.userId)).lastSeenAt).toBe(lastSeenAt);
  });
});

describe.concurrent('documents', () => {
  test.for<readonly [string, string, string]>([
    ['an unknown field', '{ userStatus(userId: "x") { mood } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown root field', '{ everything }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown argument', '{ userStatus(userId: "x", name: "y") { status } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a missing argument', '{ userStatus { status } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['no selection', '{ userStatus(userId: "x") }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a literal that does not fit', '{ onlineUsers(status: AWAY) { nodes { userId } } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown type', 'query ($x: Mood) { stats { sockets } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a variable that is not declared', '{ userStatus(userId: $id) { status } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a subscription to nothing there is', 'subscription { weather { rain } }', 'GRAPHQL_VALIDATION_FAILED'],
    [
      'two subscriptions at once',
      'subscription { statusChanges(userIds: []) { status } sessionEnded { reason } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['no GraphQL', 'SELECT * FROM users', 'GRAPHQL_PARSE_FAILED'],
    ['half a document', '{ stats { sockets ', 'GRAPHQL_PARSE_FAILED'],
  ])('%s: %s', async ([, query, code]) => {
    const answer = await answersOf(server.apiKey, query);
    expect([codeOf(answer), answer.data]).toEqual([code, undefined]);
  });

  test('suggest nothing about what was not asked', async () => {
    const answer = await answersOf(server.apiKey, '{ userStatus(userId: "x") { statu } }');
    expect(JSON.stringify(answer)).not.toMatch(/did you mean/i);
  });

  test.for<readonly [string, string]>([
    ['too deep', `{ __schema { types { ${'fields { type { '.repeat(12)} name ${'} } '.repeat(12)} } } }`],
    ['too many names', `{ ${Array.from({ length: 200 }, (_, index) => `a${index}: latestCursor`).join(' ')} }`],
    ['too many words', `{ ${'latestCursor '.repeat(20_000)} }`],
    ['too many directives', `{ latestCursor ${'@include(if: true) '.repeat(500)} }`],
    ['too long', `{ latestCursor } #${'x'.repeat(1_000_000)}`],
  ])('%s: an error with a code, and the server lives on', async ([, query]) => {
    const http = await postOperation(server, server.apiKey, query).catch((error: unknown) => String(error));
    expect(typeof http === 'string' ? http : codeOf(http)).not.toBeNull();
    const socket = await GraphqlSocket.open(server, server.apiKey);
    // Either refused, or the socket is closed for it.
    const outcome = await socket.execute(query).then(codeOf, () => 'closed');
    expect(outcome).not.toBeNull();
    expect(await postForData(server, server.apiKey, '{ __typename }')).toEqual({ __typename: 'Query' });
  });

  test('a mutation by GET is not done', async () => {
    const user = newUserId();
    const query = encodeURIComponent('mutation { login(input: {platform: WEB}) { session { id } } }');
    const response = await fetch(`${server.origin}/graphql?query=${query}`, {
      headers: {
        authorization: `Bearer ${await mintToken(user)}`,
        accept: 'application/json',
        'x-graphql-yoga-csrf': '1',
      },
    });
    await response.text();
    expect(response.status).toBe(405);
    expect((await fetchUser(server, user)).version).toBe(0);
  });
});

describe.concurrent('messages on a socket that are none', () => {
  test.for<readonly [string, unknown]>([
    ['no JSON', '{'],
    ['no object', '7'],
    ['an unknown type', { type: 'hello' }],
    ['a subscription without an id', { type: 'subscribe', payload: { query: '{ __typename }' } }],
    ['a subscription without a payload', { type: 'subscribe', id: '1' }],
  ])('%s: the socket is closed, and the session takes it as its own fault', async ([, frame]) => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const socket = await GraphqlSocket.open(server, device.token);
    socket.send(frame);
    expect((await socket.closed).code).toBe(4400);
    await vi.waitFor(async () => expect((await fetchUser(server, device.userId)).status).toBe('PUSH_ONLINE'), 5_000);
  });

  test('a second connection_init: 4429', async () => {
    const socket = await GraphqlSocket.open(server, server.apiKey);
    socket.send({ type: 'connection_init' });
    expect((await socket.closed).code).toBe(4429);
  });

  test('an id that is in use: 4409', async () => {
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const subscribe = {
      id: 'same',
      type: 'subscribe',
      payload: { query: 'subscription { presenceEvents { cursor } }' },
    };
    socket.send(subscribe);
    socket.send(subscribe);
    expect((await socket.closed).code).toBe(4409);
  });
});
