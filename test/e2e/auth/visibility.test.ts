/** Whom a user may ask about and watch: by the claim of her JWT, or else by the setting. */
import { describe, expect, test, vi } from 'vitest';
import { ask, codeOf, gql, Socket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { LOGIN, logIn, newUser, sharedServer, WATCH, Watcher, type LoginSeen, type Server } from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const everyone = sharedServer();
const none = sharedServer({ env: { PORCHLIGHT_VISIBILITY: 'none' } });

const ASK = 'query ($userId: ID!) { userStatus(userId: $userId) { status } }';
const ASK_ALL = 'query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { status } }';

/** The same user twice: by her JWT, and as the session that she began with it. */
const tokensOf = async (server: Server, user: string, watch: unknown): Promise<readonly string[]> => {
  const jwt = await mintToken(user, { claims: { watch } });
  const { login } = await ask<LoginSeen>(server, jwt, LOGIN, { input: { platform: 'IPHONE' } });
  return [jwt, login.sessionToken];
};

/** May she see them? Asked one by one, together, and by watching; the answers must agree. */
const maySee = async (server: Server, token: string, userIds: readonly string[]): Promise<boolean> => {
  const socket = await Socket.open(server, token);
  const answers = await Promise.all([
    gql(server, token, ASK_ALL, { userIds }),
    socket.execute(ASK_ALL, { userIds }),
    socket.execute(WATCH, { userIds }),
    ...(userIds.length === 1 ? [gql(server, token, ASK, { userId: userIds[0] })] : []),
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
] as const)('visibility %s', ([, server, othersByDefault]) => {
  test('without a claim the setting decides', async () => {
    const [user, other] = [newUser(), newUser()];
    await logIn(server, other);
    for (const token of await tokensOf(server, user, undefined)) {
      expect(await maySee(server, token, [other])).toBe(othersByDefault);
      expect(await maySee(server, token, [user])).toBe(true);
      expect(await maySee(server, token, [user, other])).toBe(othersByDefault);
      expect(await maySee(server, token, [])).toBe(true);
    }
  });

  test('a claim of "*" is everybody', async () => {
    for (const token of await tokensOf(server, newUser(), '*')) {
      expect(await maySee(server, token, [newUser(), '*', newUser()])).toBe(true);
    }
  });

  test('a claim of a list is exactly those, and oneself', async () => {
    const [user, friend, stranger] = [newUser(), newUser(), newUser()];
    for (const token of await tokensOf(server, user, [friend, 'nobody yet'])) {
      expect(await maySee(server, token, [friend, 'nobody yet', user, friend])).toBe(true);
      expect(await maySee(server, token, [stranger])).toBe(false);
      expect(await maySee(server, token, [friend, stranger])).toBe(false);
      expect(await maySee(server, token, [`${friend} `])).toBe(false);
    }
  });

  test('an empty list is oneself alone; "*" in a list is a user of that name', async () => {
    const user = newUser();
    for (const token of await tokensOf(server, user, [])) {
      expect(await maySee(server, token, [user])).toBe(true);
      expect(await maySee(server, token, [newUser()])).toBe(false);
    }
    for (const token of await tokensOf(server, user, ['*'])) {
      expect(await maySee(server, token, ['*'])).toBe(true);
      expect(await maySee(server, token, [newUser()])).toBe(false);
    }
  });

  test('a claim that is neither opens nothing', async () => {
    for (const watch of [7, true, {}, 'bob', [1], [['bob']], '**', null]) {
      const token = await mintToken(newUser(), { claims: { watch } });
      const code = codeOf(await gql(server, token, ASK, { userId: 'bob' }));
      // A claim of null may pass for none at all.
      if (watch === null && othersByDefault) expect([null, 'UNAUTHENTICATED']).toContain(code);
      else expect([JSON.stringify(watch), code]).not.toEqual([JSON.stringify(watch), null]);
    }
  });

  test('FORBIDDEN is the same whether or not that user exists', async () => {
    const [existing, missing] = [newUser(), newUser()];
    await logIn(server, existing);
    for (const token of await tokensOf(server, newUser(), [])) {
      const [one, other] = await Promise.all([existing, missing].map((userId) => gql(server, token, ASK, { userId })));
      expect(codeOf(one ?? {})).toBe('FORBIDDEN');
      expect(JSON.stringify(one)).toBe(JSON.stringify(other));
      const socket = await Socket.open(server, token);
      const [watchOne, watchOther] = await Promise.all(
        [existing, missing].map((userId) => socket.execute(WATCH, { userIds: [userId] })),
      );
      expect(codeOf(watchOne ?? {})).toBe('FORBIDDEN');
      expect(JSON.stringify(watchOne)).toBe(JSON.stringify(watchOther));
    }
  });

  test('a watcher who may see is told, by JWT and by session', async () => {
    const friend = newUser();
    const tokens = await tokensOf(server, newUser(), [friend]);
    const watchers = await Promise.all(tokens.map((token) => Watcher.open(server, [friend], token)));
    await logIn(server, friend);
    for (const watcher of watchers) expect(await watcher.next()).toMatchObject({ userId: friend, status: 'ONLINE' });
  });

  test('backends see everybody', async () => {
    expect(await maySee(server, server.apiKey, [newUser(), newUser()])).toBe(true);
  });
});
