/** What is forgotten, and what is not: a log that keeps its events for a second. */
import { expect, test } from 'vitest';
import { postForData, codeOf, dataOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { fetchEvents, logIn, logOut, newUserId, startSharedServer, fetchUser } from '../support/users.ts';
import { openEventStream } from '../support/sse.ts';

const server = startSharedServer({ env: { PORCHLIGHT_EVENT_RETENTION: '1s' } });

const PAGE = 'query ($after: Cursor) { events(after: $after) { nodes { userId reason } } }';
const FOLLOW = 'subscription ($after: Cursor) { presenceEvents(after: $after) { userId reason } }';

test('a cursor older than the retention is a clear error; the newest one goes on', async () => {
  const user = newUserId();
  const device = await logIn(server, user, 'IPHONE');
  const first = (await fetchEvents(server, user))[0]?.cursor;
  const other = newUserId();
  const gone = await logIn(server, other, 'IPHONE');
  await logOut(server, gone);
  const last = (await fetchEvents(server, other)).at(-1)?.cursor;
  await expect.poll(async () => (await fetchEvents(server, other)).length, { timeout: 15_000, interval: 200 }).toBe(0);

  // Events after the first one are gone, so nobody can go on from there without a gap.
  expect(codeOf(await postOperation(server, server.apiKey, PAGE, { after: first }))).toBe('CURSOR_EXPIRED');
  const socket = await GraphqlSocket.open(server, server.apiKey);
  expect(codeOf(await socket.execute(FOLLOW, { after: first }))).toBe('CURSOR_EXPIRED');
  await using stream = await openEventStream(server, server.apiKey, FOLLOW, { after: first });
  expect(codeOf(await stream.results.next())).toBe('CURSOR_EXPIRED');

  // After the last one there were none: it is as good as new.
  expect(await postForData(server, server.apiKey, PAGE, { after: last })).toEqual({ events: { nodes: [] } });
  const followed = socket.subscribe<{ presenceEvents: readonly { userId: string }[] }>(FOLLOW, { after: last });
  const next = newUserId();
  await logIn(server, next, 'IPHONE');
  expect(dataOf(await followed.next()).presenceEvents).toMatchObject([{ userId: next, reason: 'LOGIN' }]);

  // The log forgets; the present, the versions and the ends of sessions do not.
  expect(await fetchUser(server, user)).toMatchObject({ status: 'ONLINE', version: 1, reason: 'LOGIN' });
  expect(await postForData(server, device.token, '{ me { id } }')).toEqual({ me: { id: device.sessionId } });
  expect(await fetchUser(server, other)).toMatchObject({ status: 'OFFLINE', version: 2, reason: 'LOGOUT' });
  expect(codeOf(await postOperation(server, gone.token, '{ me { id } }'))).toBe('SESSION_ENDED');
  await logIn(server, other, 'IPHONE');
  expect((await fetchUser(server, other)).version).toBe(3);
});
