/** Which users a viewer may query and watch: by the `watch` claim of the JWT, or else by the setting. */
import { describe, expect, test, vi } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  LOGIN,
  logIn,
  newUserId,
  startSharedServer,
  WATCH,
  Watcher,
  type LoginResult,
  type Server,
} from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const everyone = startSharedServer();
const none = startSharedServer({ env: { PORCHLIGHT_VISIBILITY: 'none' } });

const QUERY_ONE = 'query ($userId: ID!) { userStatus(userId: $userId) { status } }';
const QUERY_MANY = 'query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { status } }';

/** Two credentials of one user: a JWT, and the session that it created. */
const tokensOf = async (server: Server, user: string, watch: unknown): Promise<readonly string[]> => {
  const jwt = await mintToken(user, { claims: { watch } });
  const { login } = await postForData<LoginResult>(server, jwt, LOGIN, { input: { platform: 'IPHONE' } });
  return [jwt, login.sessionToken];
};

/** Whether a caller may see these users. Queries over HTTP, over a socket and a subscription must agree. */
const canSee = async (server: Server, token: string, userIds: readonly string[]): Promise<boolean> => {
  const socket = await GraphqlSocket.open(server, token);
  const answers = await Promise.all([
    postOperation(server, token, QUERY_MANY, { userIds }),
    socket.execute(QUERY_MANY, { userIds }),
    socket.execute(WATCH, { userIds }),
    ...(userIds.length === 1 ? [postOperation(server, token, QUERY_ONE, { userId: userIds[0] })] : []),
  ]);
  await socket.close();
  const codes = new Set(answers.map(codeOf));
  expect([...codes]).toHaveLength(1);
  const [code] = codes;
  expect([null, 'FORBIDDEN']).toContain(code);
  return code === null;
};

describe.concurrent.for([
  ['everyone', everyone, true],
  ['none', none, false],
] as const)('with visibility "%s"', ([, server, othersByDefault]) => {
  test('a viewer without a watch claim sees other users as the setting allows', async () => {
    const [user, other] = [newUserId(), newUserId()];
    await logIn(server, other);
    for (const token of await tokensOf(server, user, undefined)) {
      expect(await canSee(server, token, [other])).toBe(othersByDefault);
      expect(await canSee(server, token, [user])).toBe(true);
      expect(await canSee(server, token, [user, other])).toBe(othersByDefault);
      expect(await canSee(server, token, [])).toBe(true);
    }
  });

  test('a watch claim of "*" allows all users', async () => {
    for (const token of await tokensOf(server, newUserId(), '*')) {
      expect(await canSee(server, token, [newUserId(), '*', newUserId()])).toBe(true);
    }
  });

  test('a watch claim with a list allows exactly these users and the viewer', async () => {
    const [user, friend, other] = [newUserId(), newUserId(), newUserId()];
    for (const token of await tokensOf(server, user, [friend, 'unknown user'])) {
      expect(await canSee(server, token, [friend, 'unknown user', user, friend])).toBe(true);
      expect(await canSee(server, token, [other])).toBe(false);
      expect(await canSee(server, token, [friend, other])).toBe(false);
      expect(await canSee(server, token, [`${friend} `])).toBe(false);
    }
  });

  test('an empty watch claim allows only the viewer, and "*" in a list is a user id', async () => {
    const user = newUserId();
    for (const token of await tokensOf(server, user, [])) {
      expect(await canSee(server, token, [user])).toBe(true);
      expect(await canSee(server, token, [newUserId()])).toBe(false);
    }
    for (const token of await tokensOf(server, user, ['*'])) {
      expect(await canSee(server, token, ['*'])).toBe(true);
      expect(await canSee(server, token, [newUserId()])).toBe(false);
    }
  });

  test('an invalid watch claim is rejected', async () => {
    for (const watch of [7, true, {}, 'bob', [1], [['bob']], '**', null]) {
      const token = await mintToken(newUserId(), { claims: { watch } });
      const code = codeOf(await postOperation(server, token, QUERY_ONE, { userId: 'bob' }));
      // A claim of null may count as no claim.
      if (watch === null && othersByDefault) expect([null, 'UNAUTHENTICATED']).toContain(code);
      else expect([JSON.stringify(watch), code]).not.toEqual([JSON.stringify(watch), null]);
    }
  });

  test('FORBIDDEN is the same answer whether or not the user exists', async () => {
    const [existing, missing] = [newUserId(), newUserId()];
    await logIn(server, existing);
    for (const token of await tokensOf(server, newUserId(), [])) {
      const [one, other] = await Promise.all(
        [existing, missing].map((userId) => postOperation(server, token, QUERY_ONE, { userId })),
      );
      expect(codeOf(one ?? {})).toBe('FORBIDDEN');
      expect(JSON.stringify(one)).toBe(JSON.stringify(other));
      const socket = await GraphqlSocket.open(server, token);
      const [watchOne, watchOther] = await Promise.all(
        [existing, missing].map((userId) => socket.execute(WATCH, { userIds: [userId] })),
      );
      expect(codeOf(watchOne ?? {})).toBe('FORBIDDEN');
      expect(JSON.stringify(watchOne)).toBe(JSON.stringify(watchOther));
    }
  });

  test('a viewer with access receives status changes, by JWT and by session', async () => {
    const friend = newUserId();
    const tokens = await tokensOf(server, newUserId(), [friend]);
    const watchers = await Promise.all(tokens.map((token) => Watcher.open(server, [friend], token)));
    await logIn(server, friend);
    for (const watcher of watchers) expect(await watcher.next()).toMatchObject({ userId: friend, status: 'ONLINE' });
  });

  test('a backend sees all users', async () => {
    expect(await canSee(server, server.apiKey, [newUserId(), newUserId()])).toBe(true);
  });
});
