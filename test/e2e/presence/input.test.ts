/** Invalid input is rejected with a stable code, alike over both transports, and changes nothing. */
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

/** Executes an operation over a socket and, except subscriptions, over HTTP. Expects equal results. */
const executeEverywhere = async (
  token: string,
  query: string,
  variables?: Variables,
): Promise<GraphqlResult<unknown>> => {
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

describe.concurrent('invalid variables', () => {
  test.for<readonly [string, string, Variables?]>([
    ['a missing variable', STATUS],
    ['a variable of another name', STATUS, { user: 'x' }],
    ['null', STATUS, { userId: null }],
    ['an object', STATUS, { userId: { id: 'x' } }],
    ['a list', STATUS, { userId: ['x', 'y'] }],
    ['a boolean', STATUS, { userId: true }],
    ['a fraction', STATUS, { userId: 1.5 }],
    ['a list with null', STATUSES, { userIds: ['x', null] }],
    ['a list of lists', STATUSES, { userIds: [['x']] }],
    ['a string for a number', PAGE, { first: '10' }],
    ['a fraction for an integer', PAGE, { first: 1.5 }],
    ['a number beyond 32 bits', PAGE, { first: 2 ** 31 }],
    ['an unknown enum value', PAGE, { status: 'AWAY' }],
    ['an enum value in lower case', PAGE, { platform: 'web' }],
    ['a number for an enum value', PAGE, { platform: 3 }],
    ['an input without a required field', END, { input: {} }],
    ['an input with an unknown field', END, { input: { userId: 'x', everything: true } }],
    ['a string for an input', END, { input: 'x' }],
    ['a string for a boolean', END, { input: { userId: 'x', revokeTokens: 'yes' } }],
    ['a number for a list of a subscription', WATCH, { userIds: 7.5 }],
    ['a missing variable of a subscription', WATCH],
  ])('are rejected with BAD_USER_INPUT: %s', async ([, query, variables]) => {
    const answer = await executeEverywhere(server.apiKey, query, variables);
    expect([codeOf(answer), answer.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
    expect(answer.errors?.every(({ extensions }) => extensions?.code === 'BAD_USER_INPUT')).toBe(true);
  });

  test.for<readonly [string, unknown]>([
    ['no platform', {}],
    ['an unknown platform', { platform: 'FRIDGE' }],
    ['an unknown field', { platform: 'WEB', userId: 'another user' }],
    ['a device id that is a list', { platform: 'WEB', deviceId: ['x'] }],
    ['a version that is a number', { platform: 'WEB', appVersion: 3 }],
    ['null', null],
  ])('of a login are rejected and the user is unchanged: %s', async ([, input]) => {
    const user = newUserId();
    expect(codeOf(await executeEverywhere(await mintToken(user), LOGIN, { input }))).toBe('BAD_USER_INPUT');
    expect((await fetchUser(server, user)).version).toBe(0);
  });

  test('of a heartbeat are rejected, and the heartbeat does not count as activity', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const { lastSeenAt } = await fetchUser(server, device.userId);
    const beat = 'mutation ($input: HeartbeatInput) { heartbeat(input: $input) { heartbeatIntervalMs } }';
    expect(codeOf(await postOperation(server, device.token, beat, { input: { appState: 'HIDDEN' } }))).toBe(
      'BAD_USER_INPUT',
    );
    expect((await fetchUser(server, device.userId)).lastSeenAt).toBe(lastSeenAt);
  });
});

describe.concurrent('invalid documents', () => {
  test.for<readonly [string, string, string]>([
    ['an unknown field', '{ userStatus(userId: "x") { mood } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown root field', '{ everything }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown argument', '{ userStatus(userId: "x", name: "y") { status } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a missing argument', '{ userStatus { status } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['a missing selection', '{ userStatus(userId: "x") }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an invalid literal', '{ onlineUsers(status: AWAY) { nodes { userId } } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown type', 'query ($x: Mood) { stats { sockets } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an undeclared variable', '{ userStatus(userId: $id) { status } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['an unknown subscription', 'subscription { weather { rain } }', 'GRAPHQL_VALIDATION_FAILED'],
    [
      'two subscription fields in one operation',
      'subscription { statusChanges(userIds: []) { status } sessionEnded { reason } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['text that is not GraphQL', 'SELECT * FROM users', 'GRAPHQL_PARSE_FAILED'],
    ['an incomplete document', '{ stats { sockets ', 'GRAPHQL_PARSE_FAILED'],
  ])('are rejected: %s gets %s', async ([, query, code]) => {
    const answer = await executeEverywhere(server.apiKey, query);
    expect([codeOf(answer), answer.data]).toEqual([code, undefined]);
  });

  test('get no suggestions for misspelled names', async () => {
    const answer = await executeEverywhere(server.apiKey, '{ userStatus(userId: "x") { statu } }');
    expect(JSON.stringify(answer)).not.toMatch(/did you mean/i);
  });

  test.for<readonly [string, string]>([
    ['too many levels', `{ __schema { types { ${'fields { type { '.repeat(12)} name ${'} } '.repeat(12)} } } }`],
    ['too many aliases', `{ ${Array.from({ length: 200 }, (_, index) => `a${index}: latestCursor`).join(' ')} }`],
    ['too many tokens', `{ ${'latestCursor '.repeat(20_000)} }`],
    ['too many directives', `{ latestCursor ${'@include(if: true) '.repeat(500)} }`],
    ['too many characters', `{ latestCursor } #${'x'.repeat(1_000_000)}`],
  ])('with %s get an error code or a closed socket, and the server keeps serving', async ([, query]) => {
    const http = await postOperation(server, server.apiKey, query).catch((error: unknown) => String(error));
    expect(typeof http === 'string' ? http : codeOf(http)).not.toBeNull();
    const socket = await GraphqlSocket.open(server, server.apiKey);
    // The server rejects the operation or closes the socket.
    const outcome = await socket.execute(query).then(codeOf, () => 'closed');
    expect(outcome).not.toBeNull();
    expect(await postForData(server, server.apiKey, '{ __typename }')).toEqual({ __typename: 'Query' });
  });

  test('that are mutations by GET are rejected with 405', async () => {
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

describe.concurrent('invalid messages on a socket', () => {
  test.for<readonly [string, unknown]>([
    ['invalid JSON', '{'],
    ['a number instead of an object', '7'],
    ['an unknown message type', { type: 'hello' }],
    ['a subscription without an id', { type: 'subscribe', payload: { query: '{ __typename }' } }],
    ['a subscription without a payload', { type: 'subscribe', id: '1' }],
  ])('close the socket with 4400 and disconnect its session: %s', async ([, frame]) => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const socket = await GraphqlSocket.open(server, device.token);
    socket.send(frame);
    expect((await socket.closed).code).toBe(4400);
    await vi.waitFor(async () => expect((await fetchUser(server, device.userId)).status).toBe('PUSH_ONLINE'), 5_000);
  });

  test('close the socket with 4429 for a second connection_init', async () => {
    const socket = await GraphqlSocket.open(server, server.apiKey);
    socket.send({ type: 'connection_init' });
    expect((await socket.closed).code).toBe(4429);
  });

  test('close the socket with 4409 for an operation id that is in use', async () => {
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
