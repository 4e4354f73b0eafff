/** Access rules: every kind of caller at every root field, over every transport. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import { endSessions, logIn, logOut, newUserId, startSharedServer, fetchUser } from '../support/users.ts';
import { openEventStream } from '../support/sse.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = startSharedServer();

type CallerKind = 'unauthenticated' | 'user' | 'session' | 'backend';
const CALLER_KINDS: readonly CallerKind[] = ['unauthenticated', 'user', 'session', 'backend'];

const victim = newUserId('victim');
const VICTIM = `userId: ${JSON.stringify(victim)}`;

const ALLOWED = null;
const UNAUTHENTICATED = 'UNAUTHENTICATED';
const FORBIDDEN = 'FORBIDDEN';
/** Allowed, but the input is invalid. Callers without access must not get this code. */
const BAD_INPUT = 'BAD_USER_INPUT';

/** An operation and the error code for each of CALLER_KINDS; null: no error. */
const MATRIX: Readonly<Record<string, readonly [string, ...(string | null)[]]>> = {
  'Query.me': ['{ me { id } }', UNAUTHENTICATED, UNAUTHENTICATED, ALLOWED, UNAUTHENTICATED],
  'Query.userStatus': [`{ userStatus(${VICTIM}) { status } }`, UNAUTHENTICATED, ALLOWED, ALLOWED, ALLOWED],
  'Query.userStatuses': [
    '{ userStatuses(userIds: ["a", "b"]) { status } }',
    UNAUTHENTICATED,
    ALLOWED,
    ALLOWED,
    ALLOWED,
  ],
  'Query.onlineUsers': ['{ onlineUsers { nodes { userId } } }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.events': ['{ events { nodes { userId } } }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.latestCursor': ['{ latestCursor }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.stats': ['{ stats { usersOnline } }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.explainStatus': [`{ explainStatus(${VICTIM}) { because } }`, UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.policy': ['{ policy { pushOnlineExpiryMs } }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.webhooks': ['{ webhooks { id } }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.webhook': ['{ webhook(id: "none") { id } }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Query.webhookDeliveries': ['{ webhookDeliveries { nodes { id } } }', UNAUTHENTICATED, FORBIDDEN, FORBIDDEN, ALLOWED],
  'Mutation.login': [
    'mutation { login(input: {platform: WEB}) { session { id } } }',
    UNAUTHENTICATED,
    ALLOWED,
    FORBIDDEN,
    FORBIDDEN,
  ],
  'Mutation.heartbeat': [
    'mutation { heartbeat { heartbeatIntervalMs } }',
    UNAUTHENTICATED,
    UNAUTHENTICATED,
    ALLOWED,
    FORBIDDEN,
  ],
  'Mutation.logout': [
    'mutation { logout { userStatus { status } } }',
    UNAUTHENTICATED,
    UNAUTHENTICATED,
    ALLOWED,
    FORBIDDEN,
  ],
  'Mutation.setCustomStatus': [
    'mutation { setCustomStatus(input: {text: "x"}) { userStatus { version } } }',
    UNAUTHENTICATED,
    UNAUTHENTICATED,
    ALLOWED,
    FORBIDDEN,
  ],
  'Mutation.endSessions': [
    `mutation { endSessions(input: {${VICTIM}, platform: MAC, revokeTokens: true}) { ended { id } } }`,
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    ALLOWED,
  ],
  'Mutation.updatePolicy': [
    'mutation { updatePolicy(input: {pushOnlineExpiryMs: 604800000}) { policy { pushOnlineExpiryMs } } }',
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    ALLOWED,
  ],
  'Mutation.createWebhook': [
    // The URL is invalid, so that no webhook is created.
    'mutation { createWebhook(input: {url: "nowhere"}) { secret } }',
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    BAD_INPUT,
  ],
  'Mutation.updateWebhook': [
    'mutation { updateWebhook(input: {id: "none"}) { secret } }',
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    BAD_INPUT,
  ],
  'Mutation.deleteWebhook': [
    'mutation { deleteWebhook(input: {id: "none"}) { webhook { id } } }',
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    BAD_INPUT,
  ],
  'Mutation.testWebhook': [
    'mutation { testWebhook(input: {id: "none"}) { delivery { id } } }',
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    BAD_INPUT,
  ],
  'Mutation.redeliver': [
    'mutation { redeliver(input: {webhookId: "none"}) { count } }',
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    BAD_INPUT,
  ],
  'Subscription.statusChanges': [
    'subscription { statusChanges(userIds: ["a"]) { status } }',
    UNAUTHENTICATED,
    ALLOWED,
    ALLOWED,
    ALLOWED,
  ],
  'Subscription.sessionEnded': [
    'subscription { sessionEnded { reason } }',
    UNAUTHENTICATED,
    UNAUTHENTICATED,
    ALLOWED,
    FORBIDDEN,
  ],
  'Subscription.presenceEvents': [
    'subscription { presenceEvents { cursor } }',
    UNAUTHENTICATED,
    FORBIDDEN,
    FORBIDDEN,
    ALLOWED,
  ],
};

const tokenOf = async (caller: CallerKind): Promise<string | null> => {
  if (caller === 'unauthenticated') return null;
  if (caller === 'backend') return server.apiKey;
  return caller === 'user' ? mintToken(newUserId()) : (await logIn(server, newUserId(), 'IPHONE')).token;
};

/** How long to wait for an error of a subscription. An accepted one may send nothing. */
const SUBSCRIPTION_WAIT_MS = 2_000;

const codeOverHttp = async (caller: CallerKind, operation: string): Promise<string | null> => {
  const token = await tokenOf(caller);
  if (!operation.startsWith('subscription')) return codeOf(await postOperation(server, token, operation));
  await using stream = await openEventStream(server, token, operation);
  const first = await stream.results.next(SUBSCRIPTION_WAIT_MS).catch(() => ({}));
  if (codeOf(first) === null) expect(stream.contentType).toContain('text/event-stream');
  return codeOf(first);
};

const codeOverSocket = async (caller: CallerKind, operation: string): Promise<string | null> => {
  const token = await tokenOf(caller);
  if (token === null) {
    const socket = new GraphqlSocket(server);
    await socket.init(null);
    const { code } = await socket.closed;
    return code === 4401 ? UNAUTHENTICATED : `closed with ${code}`;
  }
  const socket = await GraphqlSocket.open(server, token);
  const answer = await socket
    .subscribe(operation)
    .next(operation.startsWith('subscription') ? SUBSCRIPTION_WAIT_MS : undefined)
    .catch((error: unknown) => {
      if (socket.open) return {};
      throw error;
    });
  await socket.close();
  return codeOf(answer);
};

describe.concurrent('access to root fields', () => {
  // The victim logs in first, because one operation revokes the victim's tokens.
  beforeAll(async () => {
    await logIn(server, victim, 'IPHONE', 'victim’s phone');
  });

  test.for(Object.entries(MATRIX))(
    '%s answers each kind of caller as documented, alike over both transports',
    async ([, [operation, ...expected]]) => {
      const [http, socket] = await Promise.all(
        [codeOverHttp, codeOverSocket].map(async (codeOver) =>
          Promise.all(CALLER_KINDS.map(async (caller) => `${caller}: ${await codeOver(caller, operation)}`)),
        ),
      );
      expect(http).toEqual(CALLER_KINDS.map((caller, index) => `${caller}: ${expected[index]}`));
      expect(socket).toEqual(http);
      expect((await fetchUser(server, victim)).sessions).toMatchObject([{ deviceId: 'victim’s phone' }]);
    },
  );

  test('is denied to expired tokens, revoked tokens and ended sessions, over both transports', async () => {
    const expired = await mintToken(newUserId(), { expiresInS: -3_600 });
    const revokedUser = newUserId();
    const revoked = await mintToken(revokedUser);
    await endSessions(server, { userId: revokedUser, revokeTokens: true });
    const loggedOut = await logIn(server, newUserId(), 'IPHONE');
    await logOut(server, loggedOut);
    for (const [kind, token, code, closeCode] of [
      ['expired', expired, UNAUTHENTICATED, 4413],
      ['revoked', revoked, UNAUTHENTICATED, 4401],
      ['ended', loggedOut.token, 'SESSION_ENDED', 4410],
    ] as const) {
      const socket = new GraphqlSocket(server);
      await socket.init(token);
      expect([kind, (await socket.closed).code]).toEqual([kind, closeCode]);
      await Promise.all(
        Object.entries(MATRIX).map(async ([field, [operation]]) => {
          const isStream = operation.startsWith('subscription');
          await using stream = isStream ? await openEventStream(server, token, operation) : null;
          const answer = await (stream === null ? postOperation(server, token, operation) : stream.results.next());
          expect([kind, field, codeOf(answer), answer.data ?? null]).toEqual([kind, field, code, null]);
        }),
      );
    }
  });

  test('is tested for every root field of the schema', async () => {
    const query = '{ __schema { types { name fields { name } } } }';
    const schema = await postForData<{ __schema: { types: { name: string; fields: { name: string }[] | null }[] } }>(
      server,
      server.apiKey,
      query,
    );
    const roots = schema.__schema.types
      .filter(({ name }) => ['Query', 'Mutation', 'Subscription'].includes(name))
      .flatMap(({ name, fields }) => (fields ?? []).map((field) => `${name}.${field.name}`));
    expect(roots.sort()).toEqual(Object.keys(MATRIX).sort());
  });

  test('is denied to introspection without a credential and to forbidden fields beside or below allowed ones', async () => {
    expect(codeOf(await postOperation(server, null, '{ __schema { types { name } } }'))).toBe(UNAUTHENTICATED);
    expect(codeOf(await postOperation(server, null, '{ __type(name: "Session") { name } }'))).toBe(UNAUTHENTICATED);
    const jwt = await tokenOf('user');
    const mixed = await postOperation(server, jwt, '{ mine: userStatus(userId: "a") { status } stats { sockets } }');
    expect(mixed.errors).toMatchObject([{ path: ['stats'], extensions: { code: FORBIDDEN } }]);
    const fragment = await postOperation(
      server,
      jwt,
      '{ ...Nested } fragment Nested on Query { ... on Query { policy { pushOnlineExpiryMs } } }',
    );
    expect(codeOf(fragment)).toBe(FORBIDDEN);
  });

  test('is not needed for health checks', async () => {
    for (const path of ['/health/live', '/health/ready']) {
      const answer = await fetch(server.origin + path);
      await answer.text();
      expect([path, answer.status]).toEqual([path, 200]);
    }
  });
});

describe.concurrent('the sessions of a user', () => {
  const query = 'query ($userId: ID!) { userStatus(userId: $userId) { status sessions { deviceId } } }';

  test('are visible to the user by JWT or session, and to backends', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE', 'phone');
    const userId = phone.userId;
    for (const token of [phone.token, await mintToken(userId), server.apiKey]) {
      expect(await postForData(server, token, query, { userId })).toEqual({
        userStatus: { status: 'ONLINE', sessions: [{ deviceId: 'phone' }] },
      });
    }
  });

  test('are FORBIDDEN to other users who may see the status, whether or not sessions exist', async () => {
    const [known, unknown] = [newUserId(), newUserId()];
    await logIn(server, known, 'IPHONE');
    const other = newUserId();
    const all = { claims: { watch: '*' } };
    for (const token of [await mintToken(other, all), (await logIn(server, other, 'IPHONE')).token]) {
      const answers = await Promise.all(
        [known, unknown].map((userId) => postOperation(server, token, query, { userId })),
      );
      expect(answers.map(({ data }) => data)).toEqual([
        { userStatus: { status: 'ONLINE', sessions: null } },
        { userStatus: { status: 'OFFLINE', sessions: null } },
      ]);
      for (const { errors } of answers) {
        expect(errors).toMatchObject([{ path: ['userStatus', 'sessions'], extensions: { code: FORBIDDEN } }]);
      }
      expect(answers[0]?.errors).toEqual(answers[1]?.errors);
    }
  });
});
