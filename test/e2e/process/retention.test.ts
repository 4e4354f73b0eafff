/** The retention of events, set to one second: expired cursors, and state that outlives the events. */
import { expect, test } from 'vitest';
import { postForData, codeOf, dataOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { fetchEvents, logIn, logOut, newUserId, startSharedServer, fetchUser } from '../support/users.ts';
import { openEventStream } from '../support/sse.ts';

const server = startSharedServer({ env: { PORCHLIGHT_EVENT_RETENTION: '1s' } });

const PAGE = 'query ($after: Cursor) { events(after: $after) { nodes { userId reason } } }';
const FOLLOW = 'subscription ($after: Cursor) { presenceEvents(after: $after) { userId reason } }';

test('a cursor before removed events gets CURSOR_EXPIRED, the newest cursor stays valid, and user state is kept', async () => {
  const user = newUserId();
  const device = await logIn(server, user, 'IPHONE');
  const first = (await fetchEvents(server, user))[0]?.cursor;
  const other = newUserId();
  const endedSession = await logIn(server, other, 'IPHONE');
  await logOut(server, endedSession);
  const last = (await fetchEvents(server, other)).at(-1)?.cursor;
  await expect.poll(async () => (await fetchEvents(server, other)).length, { timeout: 15_000, interval: 200 }).toBe(0);

  // Events after the first cursor were removed, so resuming there would leave a gap.
  expect(codeOf(await postOperation(server, server.apiKey, PAGE, { after: first }))).toBe('CURSOR_EXPIRED');
  const socket = await GraphqlSocket.open(server, server.apiKey);
  expect(codeOf(await socket.execute(FOLLOW, { after: first }))).toBe('CURSOR_EXPIRED');
  await using stream = await openEventStream(server, server.apiKey, FOLLOW, { after: first });
  expect(codeOf(await stream.results.next())).toBe('CURSOR_EXPIRED');

  // No event after the last cursor was removed, so it stays valid.
  expect(await postForData(server, server.apiKey, PAGE, { after: last })).toEqual({ events: { nodes: [] } });
  const subscription = socket.subscribe<{ presenceEvents: readonly { userId: string }[] }>(FOLLOW, { after: last });
  const next = newUserId();
  await logIn(server, next, 'IPHONE');
  expect(dataOf(await subscription.next()).presenceEvents).toMatchObject([{ userId: next, reason: 'LOGIN' }]);

  // Statuses, versions and ended sessions are kept although their events were removed.
  expect(await fetchUser(server, user)).toMatchObject({ status: 'ONLINE', version: 1, reason: 'LOGIN' });
  expect(await postForData(server, device.token, '{ me { id } }')).toEqual({ me: { id: device.sessionId } });
  expect(await fetchUser(server, other)).toMatchObject({ status: 'OFFLINE', version: 2, reason: 'LOGOUT' });
  expect(codeOf(await postOperation(server, endedSession.token, '{ me { id } }'))).toBe('SESSION_ENDED');
  await logIn(server, other, 'IPHONE');
  expect((await fetchUser(server, other)).version).toBe(3);
});
