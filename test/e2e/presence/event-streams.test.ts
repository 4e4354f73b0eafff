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
interface ChangesResult {
  readonly statusChanges: readonly StatusChange[];
}

test.concurrent('statusChanges over SSE sends the initial statuses, then the changes', async () => {
  const user = newUserId();
  await using stream = await openEventStream<ChangesResult>(server, await mintToken(newUserId()), WATCH, {
    ids: [user],
  });
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

test.concurrent('presenceEvents over SSE replays from a cursor', async () => {
  const user = newUserId();
  const first = await logIn(server, user, 'WEB');
  interface FeedResult {
    readonly presenceEvents: readonly { readonly cursor: string; readonly userId: string; readonly reason: string }[];
  }
  const query = 'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId reason } }';
  await using stream = await openEventStream<FeedResult>(server, server.apiKey, query);
  await logOut(server, first);
  const received: FeedResult['presenceEvents'][number][] = [];
  while (!received.some(({ userId }) => userId === user))
    received.push(...dataOf(await stream.results.next()).presenceEvents);
  const cursor = received.find(({ userId }) => userId === user)?.cursor;
  await logIn(server, user, 'WEB');
  await using resumed = await openEventStream<FeedResult>(server, server.apiKey, query, { after: cursor });
  const rest: FeedResult['presenceEvents'][number][] = [];
  while (!rest.some(({ userId }) => userId === user)) rest.push(...dataOf(await resumed.results.next()).presenceEvents);
  expect(rest.filter(({ userId }) => userId === user).map(({ reason }) => reason)).toEqual(['LOGIN']);
});

test.concurrent('sessionEnded over SSE sends one message and ends the stream', async () => {
  const device = await logIn(server, newUserId(), 'IPHONE');
  await using stream = await openEventStream(server, device.token, 'subscription { sessionEnded { reason kickedBy } }');
  await logIn(server, device.userId, 'WEB');
  expect(dataOf(await stream.results.next())).toEqual({ sessionEnded: { reason: 'KICKED', kickedBy: 'WEB' } });
  await stream.ended;
  expect(stream.events.at(-1)).toBe('complete');
});

test.concurrent('a stream ends with SESSION_ENDED and the reason when its session ends', async () => {
  const device = await logIn(server, newUserId(), 'IPHONE');
  await using stream = await openEventStream<ChangesResult>(server, device.token, WATCH, { ids: [device.userId] });
  await stream.results.next();
  await endSessions(server, { userId: device.userId });
  const last = await stream.results.nextMatching((answer) => codeOf(answer) !== null);
  expect(last.errors?.[0]?.extensions).toMatchObject({ code: 'SESSION_ENDED', reason: 'REVOKED' });
  await stream.ended;
});

test.concurrent('a stream ends with UNAUTHENTICATED when its JWT expires', async () => {
  const jwt = await mintToken(newUserId(), { acceptedForS: 2 });
  await using stream = await openEventStream<ChangesResult>(server, jwt, WATCH, { ids: [newUserId()] });
  await stream.results.next();
  const last = await stream.results.nextMatching((answer) => codeOf(answer) !== null);
  expect(codeOf(last)).toBe('UNAUTHENTICATED');
  await stream.ended;
});

test.concurrent('a stream of a session is never attached, and its end is not a DISCONNECT', async () => {
  const device = await logIn(server, newUserId(), 'IPHONE');
  await using stream = await openEventStream<ChangesResult>(server, device.token, WATCH, { ids: [newUserId()] });
  await stream.results.next();
  expect((await fetchUser(server, device.userId)).sessions).toMatchObject([{ attached: false, status: 'ONLINE' }]);
  await stream[Symbol.asyncDispose]();
  // The end of the stream causes no DISCONNECT.
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
] as const)(
  'an invalid or forbidden subscription over SSE is answered with %s',
  async ([code, caller, query, variables]) => {
    const token = caller === null ? null : caller === 'key' ? server.apiKey : await mintToken(newUserId());
    await using stream = await openEventStream(server, token, query, variables);
    expect(codeOf(await stream.results.next())).toBe(code);
    await stream.ended;
  },
);
