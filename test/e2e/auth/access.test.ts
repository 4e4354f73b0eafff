/** Who may do what: everybody at every root field, through every door. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { ask, codeOf, gql, Socket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { endSessions, logIn, logOut, newUser, sharedServer, userSeen } from '../support/users.ts';
import { openEventStream } from '../support/sse.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = sharedServer();

type Who = 'nobody' | 'user' | 'session' | 'backend';
const WHO: readonly Who[] = ['nobody', 'user', 'session', 'backend'];

const victim = newUser('victim');
const VICTIM = `userId: ${JSON.stringify(victim)}`;

const may = null;
const UNKNOWN = 'UNAUTHENTICATED';
const NEVER = 'FORBIDDEN';
/** Nobody who may not do it is told that it is wrong. */
const WRONG = 'BAD_USER_INPUT';

/** What each of nobody, user, session and backend is answered. */
const MATRIX: Readonly<Record<string, readonly [string, ...(string | null)[]]>> = {
  'Query.me': ['{ me { id } }', UNKNOWN, UNKNOWN, may, UNKNOWN],
  'Query.userStatus': [`{ userStatus(${VICTIM}) { status } }`, UNKNOWN, may, may, may],
  'Query.userStatuses': ['{ userStatuses(userIds: ["a", "b"]) { status } }', UNKNOWN, may, may, may],
  'Query.onlineUsers': ['{ onlineUsers { nodes { userId } } }', UNKNOWN, NEVER, NEVER, may],
  'Query.events': ['{ events { nodes { userId } } }', UNKNOWN, NEVER, NEVER, may],
  'Query.latestCursor': ['{ latestCursor }', UNKNOWN, NEVER, NEVER, may],
  'Query.stats': ['{ stats { usersOnline } }', UNKNOWN, NEVER, NEVER, may],
  'Query.explainStatus': [`{ explainStatus(${VICTIM}) { because } }`, UNKNOWN, NEVER, NEVER, may],
  'Query.policy': ['{ policy { pushOnlineExpiryMs } }', UNKNOWN, NEVER, NEVER, may],
  'Query.webhooks': ['{ webhooks { id } }', UNKNOWN, NEVER, NEVER, may],
  'Query.webhook': ['{ webhook(id: "none") { id } }', UNKNOWN, NEVER, NEVER, may],
  'Query.webhookDeliveries': ['{ webhookDeliveries { nodes { id } } }', UNKNOWN, NEVER, NEVER, may],
  'Mutation.login': ['mutation { login(input: {platform: WEB}) { session { id } } }', UNKNOWN, may, NEVER, NEVER],
  'Mutation.heartbeat': ['mutation { heartbeat { heartbeatIntervalMs } }', UNKNOWN, UNKNOWN, may, NEVER],
  'Mutation.logout': ['mutation { logout { userStatus { status } } }', UNKNOWN, UNKNOWN, may, NEVER],
  'Mutation.setCustomStatus': [
    'mutation { setCustomStatus(input: {text: "x"}) { userStatus { version } } }',
    UNKNOWN,
    UNKNOWN,
    may,
    NEVER,
  ],
  'Mutation.endSessions': [
    `mutation { endSessions(input: {${VICTIM}, platform: MAC, revokeTokens: true}) { ended { id } } }`,
    UNKNOWN,
    NEVER,
    NEVER,
    may,
  ],
  'Mutation.updatePolicy': [
    'mutation { updatePolicy(input: {pushOnlineExpiryMs: 604800000}) { policy { pushOnlineExpiryMs } } }',
    UNKNOWN,
    NEVER,
    NEVER,
    may,
  ],
  'Mutation.createWebhook': [
    // Whoever is let in is told that it will not do.
    'mutation { createWebhook(input: {url: "nowhere"}) { secret } }',
    UNKNOWN,
    NEVER,
    NEVER,
    WRONG,
  ],
  'Mutation.updateWebhook': [
    'mutation { updateWebhook(input: {id: "none"}) { secret } }',
    UNKNOWN,
    NEVER,
    NEVER,
    WRONG,
  ],
  'Mutation.deleteWebhook': [
    'mutation { deleteWebhook(input: {id: "none"}) { webhook { id } } }',
    UNKNOWN,
    NEVER,
    NEVER,
    WRONG,
  ],
  'Mutation.testWebhook': [
    'mutation { testWebhook(input: {id: "none"}) { delivery { id } } }',
    UNKNOWN,
    NEVER,
    NEVER,
    WRONG,
  ],
  'Mutation.redeliver': ['mutation { redeliver(input: {webhookId: "none"}) { count } }', UNKNOWN, NEVER, NEVER, WRONG],
  'Subscription.statusChanges': ['subscription { statusChanges(userIds: ["a"]) { status } }', UNKNOWN, may, may, may],
  'Subscription.sessionEnded': ['subscription { sessionEnded { reason } }', UNKNOWN, UNKNOWN, may, NEVER],
  'Subscription.presenceEvents': ['subscription { presenceEvents { cursor } }', UNKNOWN, NEVER, NEVER, may],
};

const tokenOf = async (who: Who): Promise<string | null> => {
  if (who === 'nobody') return null;
  if (who === 'backend') return server.apiKey;
  return who === 'user' ? mintToken(newUser()) : (await logIn(server, newUser(), 'IPHONE')).token;
};

/** A subscription that is let in may have nothing to say. */
const QUIET_MS = 2_000;

const overHttp = async (who: Who, operation: string): Promise<string | null> => {
  const token = await tokenOf(who);
  if (!operation.startsWith('subscription')) return codeOf(await gql(server, token, operation));
  await using stream = await openEventStream(server, token, operation);
  const first = await stream.results.next(QUIET_MS).catch(() => ({}));
  if (codeOf(first) === null) expect(stream.contentType).toContain('text/event-stream');
  return codeOf(first);
};

const overSocket = async (who: Who, operation: string): Promise<string | null> => {
  const token = await tokenOf(who);
  if (token === null) {
    const socket = new Socket(server);
    await socket.init(null);
    const { code } = await socket.closed;
    return code === 4401 ? UNKNOWN : `closed with ${code}`;
  }
  const socket = await Socket.open(server, token);
  const answer = await socket
    .subscribe(operation)
    .next(operation.startsWith('subscription') ? QUIET_MS : undefined)
    .catch((error: unknown) => {
      if (socket.open) return {};
      throw error;
    });
  await socket.close();
  return codeOf(answer);
};

describe.concurrent('the matrix', () => {
  // Before any of it: her tokens are revoked by one of them.
  beforeAll(async () => {
    await logIn(server, victim, 'IPHONE', 'her phone');
  });

  test.for(Object.entries(MATRIX))('%s', async ([, [operation, ...expected]]) => {
    const [http, socket] = await Promise.all(
      [overHttp, overSocket].map(async (door) =>
        Promise.all(WHO.map(async (who) => `${who}: ${await door(who, operation)}`)),
      ),
    );
    expect(http).toEqual(WHO.map((who, index) => `${who}: ${expected[index]}`));
    expect(socket).toEqual(http);
    expect((await userSeen(server, victim)).sessions).toMatchObject([{ deviceId: 'her phone' }]);
  });

  test('nothing of it is for those whose time is over, through either door', async () => {
    const expired = await mintToken(newUser(), { expiresInS: -3_600 });
    const revokedUser = newUser();
    const revoked = await mintToken(revokedUser);
    await endSessions(server, { userId: revokedUser, revokeTokens: true });
    const loggedOut = await logIn(server, newUser(), 'IPHONE');
    await logOut(server, loggedOut);
    for (const [who, token, code, closedWith] of [
      ['expired', expired, UNKNOWN, 4413],
      ['revoked', revoked, UNKNOWN, 4401],
      ['ended', loggedOut.token, 'SESSION_ENDED', 4410],
    ] as const) {
      const socket = new Socket(server);
      await socket.init(token);
      expect([who, (await socket.closed).code]).toEqual([who, closedWith]);
      await Promise.all(
        Object.entries(MATRIX).map(async ([field, [operation]]) => {
          const isStream = operation.startsWith('subscription');
          await using stream = isStream ? await openEventStream(server, token, operation) : null;
          const answer = await (stream === null ? gql(server, token, operation) : stream.results.next());
          expect([who, field, codeOf(answer), answer.data ?? null]).toEqual([who, field, code, null]);
        }),
      );
    }
  });

  test('has every root field there is', async () => {
    const query = '{ __schema { types { name fields { name } } } }';
    const schema = await ask<{ __schema: { types: { name: string; fields: { name: string }[] | null }[] } }>(
      server,
      server.apiKey,
      query,
    );
    const roots = schema.__schema.types
      .filter(({ name }) => ['Query', 'Mutation', 'Subscription'].includes(name))
      .flatMap(({ name, fields }) => (fields ?? []).map((field) => `${name}.${field.name}`));
    expect(roots.sort()).toEqual(Object.keys(MATRIX).sort());
  });

  test('nobody learns the schema, or hides a forbidden field behind an allowed one', async () => {
    expect(codeOf(await gql(server, null, '{ __schema { types { name } } }'))).toBe(UNKNOWN);
    expect(codeOf(await gql(server, null, '{ __type(name: "Session") { name } }'))).toBe(UNKNOWN);
    const jwt = await tokenOf('user');
    const mixed = await gql(server, jwt, '{ mine: userStatus(userId: "a") { status } stats { sockets } }');
    expect(mixed.errors).toMatchObject([{ path: ['stats'], extensions: { code: NEVER } }]);
    const fragment = await gql(
      server,
      jwt,
      '{ ...Sly } fragment Sly on Query { ... on Query { policy { pushOnlineExpiryMs } } }',
    );
    expect(codeOf(fragment)).toBe(NEVER);
  });

  test('health checks are for everybody', async () => {
    for (const path of ['/health/live', '/health/ready']) {
      const answer = await fetch(server.origin + path);
      await answer.text();
      expect([path, answer.status]).toEqual([path, 200]);
    }
  });
});

describe.concurrent('the devices of a user', () => {
  const query = 'query ($userId: ID!) { userStatus(userId: $userId) { status sessions { deviceId } } }';

  test('are for the user itself, by JWT or session, and for backends', async () => {
    const phone = await logIn(server, newUser(), 'IPHONE', 'phone');
    const userId = phone.userId;
    for (const token of [phone.token, await mintToken(userId), server.apiKey]) {
      expect(await ask(server, token, query, { userId })).toEqual({
        userStatus: { status: 'ONLINE', sessions: [{ deviceId: 'phone' }] },
      });
    }
  });

  test('are FORBIDDEN to anyone else, whoever may see the status, and whether there are any', async () => {
    const [known, unknown] = [newUser(), newUser()];
    await logIn(server, known, 'IPHONE');
    const other = newUser();
    const all = { claims: { watch: '*' } };
    for (const token of [await mintToken(other, all), (await logIn(server, other, 'IPHONE')).token]) {
      const answers = await Promise.all([known, unknown].map((userId) => gql(server, token, query, { userId })));
      expect(answers.map(({ data }) => data)).toEqual([
        { userStatus: { status: 'ONLINE', sessions: null } },
        { userStatus: { status: 'OFFLINE', sessions: null } },
      ]);
      for (const { errors } of answers) {
        expect(errors).toMatchObject([{ path: ['userStatus', 'sessions'], extensions: { code: NEVER } }]);
      }
      expect(answers[0]?.errors).toEqual(answers[1]?.errors);
    }
  });
});
