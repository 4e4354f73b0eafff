/** Subscriptions over HTTP, as Server-Sent Events. */
import { expect, test, vi } from 'vitest';
import { codeOf, dataOf } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  endSessions,
  logIn,
  logOut,
  newUserId,
  startSharedServer,
  fetchUser,
  type StatusChange,
} from '../support/users.ts';
import { openEventStream } from '../support/sse.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = startSharedServer();
const WATCH =
  'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status previousStatus reason version } }';
interface Told {
  readonly statusChanges: readonly StatusChange[];
}

test.concurrent('statusChanges: the present first, then the changes', async () => {
  const user = newUserId();
  await using stream = await openEventStream<Told>(server, await mintToken(newUserId()), WATCH, { ids: [user] });
  expect([stream.status, stream.contentType]).toEqual([200, expect.stringContaining('text/event-stream')]);
  expect(dataOf(await stream.results.next()).statusChanges).toMatchObject([
    { status: 'OFFLINE', previousStatus: null },
  ]);
  const device = await logIn(server, user, 'WEB');
  expect(dataOf(await stream.results.next()).statusChanges).toMatchObject([{ status: 'ONLINE', reason: 'LOGIN' }]);
  await logOut(server, device);
  expect(dataOf(await stream.results.next()).statusChanges).toMatchObject([{ status: 'OFFLINE', reason: 'LOGOUT' }]);
  expect(stream.events).toEqual(['next', 'next', 'next']);
});

test.concurrent('presenceEvents replay from a cursor and go on', async () => {
  const user = newUserId();
  const first = await logIn(server, user, 'WEB');
  interface Followed {
    readonly presenceEvents: readonly { readonly cursor: string; readonly userId: string; readonly reason: string }[];
  }
  const query = 'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId reason } }';
  await using stream = await openEventStream<Followed>(server, server.apiKey, query);
  await logOut(server, first);
  const heard: Followed['presenceEvents'][number][] = [];
  while (!heard.some(({ userId }) => userId === user))
    heard.push(...dataOf(await stream.results.next()).presenceEvents);
  const cursor = heard.find(({ userId }) => userId === user)?.cursor;
  await logIn(server, user, 'WEB');
  await using again = await openEventStream<Followed>(server, server.apiKey, query, { after: cursor });
  const rest: Followed['presenceEvents'][number][] = [];
  while (!rest.some(({ userId }) => userId === user)) rest.push(...dataOf(await again.results.next()).presenceEvents);
  expect(rest.filter(({ userId }) => userId === user).map(({ reason }) => reason)).toEqual(['LOGIN']);
});

test.concurrent('sessionEnded is one message, and the end of the stream', async () => {
  const device = await logIn(server, newUserId(), 'IPHONE');
  await using stream = await openEventStream(server, device.token, 'subscription { sessionEnded { reason kickedBy } }');
  await logIn(server, device.userId, 'WEB');
  expect(dataOf(await stream.results.next())).toEqual({ sessionEnded: { reason: 'KICKED', kickedBy: 'WEB' } });
  await stream.ended;
  expect(stream.events.at(-1)).toBe('complete');
});

test.concurrent('a stream of a session that has ended ends with the reason', async () => {
  const device = await logIn(server, newUserId(), 'IPHONE');
  await using stream = await openEventStream<Told>(server, device.token, WATCH, { ids: [device.userId] });
  await stream.results.next();
  await endSessions(server, { userId: device.userId });
  const last = await stream.results.nextMatching((answer) => codeOf(answer) !== null);
  expect(last.errors?.[0]?.extensions).toMatchObject({ code: 'SESSION_ENDED', reason: 'REVOKED' });
  await stream.ended;
});

test.concurrent('a stream of a JWT that expires ends', async () => {
  const jwt = await mintToken(newUserId(), { expiresInS: 2 });
  await using stream = await openEventStream<Told>(server, jwt, WATCH, { ids: [newUserId()] });
  await stream.results.next();
  const last = await stream.results.nextMatching((answer) => codeOf(answer) !== null);
  expect(codeOf(last)).toBe('UNAUTHENTICATED');
  await stream.ended;
});

test.concurrent('is a sign of life when it is asked for, but attaches nothing', async () => {
  const device = await logIn(server, newUserId(), 'IPHONE');
  await using stream = await openEventStream<Told>(server, device.token, WATCH, { ids: [newUserId()] });
  await stream.results.next();
  expect((await fetchUser(server, device.userId)).sessions).toMatchObject([{ attached: false, status: 'ONLINE' }]);
  await stream[Symbol.asyncDispose]();
  // Nor is its end a DISCONNECT.
  await sendHeartbeat(server, device);
  expect(await fetchUser(server, device.userId)).toMatchObject({ status: 'ONLINE', version: 1 });
});

test.concurrent.for([
  ['UNAUTHENTICATED', null, WATCH, { ids: ['x'] }],
  ['BAD_USER_INPUT', 'key', WATCH, { ids: [null] }],
  ['BAD_USER_INPUT', 'key', WATCH, {}],
  ['TOO_MANY_USERS', 'key', WATCH, { ids: Array.from({ length: 501 }, (_, index) => `u${index}`) }],
  ['GRAPHQL_VALIDATION_FAILED', 'key', 'subscription { statusChanges(userIds: []) { mood } }', {}],
  ['FORBIDDEN', 'user', 'subscription { presenceEvents { cursor } }', {}],
  ['UNAUTHENTICATED', 'user', 'subscription { sessionEnded { reason } }', {}],
] as const)('a refusal: %s', async ([code, who, query, variables]) => {
  const token = who === null ? null : who === 'key' ? server.apiKey : await mintToken(newUserId());
  await using stream = await openEventStream(server, token, query, variables);
  expect(codeOf(await stream.results.next())).toBe(code);
  await stream.ended;
});
