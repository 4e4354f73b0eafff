/**
 * A viewer who may not see a user tries all root fields, with all arguments and selections, by JWT and as a session, over
 * both transports. New root fields are included automatically.
 */
import { getNamedType, isEnumType, isInputObjectType, isLeafType, isListType, isNonNullType } from 'graphql';
import { isObjectType, type GraphQLField, type GraphQLInputType, type GraphQLOutputType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../../../src/api/schema.ts';
import type { Visibility } from '../../../../src/core/visibility.ts';
import { API_KEY, ServerHarness, LOGIN } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

/** Values that must not reach the stalker. The victim's id, which the stalker sends, is not one of them. */
const SECRETS = ['the victim’s phone', 'the victim’s text', '192.0.2.77', 'ONLINE', 'KICKED'];
const VICTIM = 'victim';
const UNKNOWN_USER = 'unknown-user';

/** The answer to a viewer who may not see the victim. `own`: data about the caller only. */
const EXPECTED: Readonly<Record<string, 'FORBIDDEN' | 'own'>> = {
  me: 'own',
  userStatus: 'FORBIDDEN',
  userStatuses: 'FORBIDDEN',
  onlineUsers: 'FORBIDDEN',
  events: 'FORBIDDEN',
  latestCursor: 'FORBIDDEN',
  explainStatus: 'FORBIDDEN',
  stats: 'FORBIDDEN',
  policy: 'FORBIDDEN',
  webhooks: 'FORBIDDEN',
  webhook: 'FORBIDDEN',
  webhookDeliveries: 'FORBIDDEN',
  login: 'own',
  heartbeat: 'own',
  logout: 'own',
  setCustomStatus: 'own',
  endSessions: 'FORBIDDEN',
  updatePolicy: 'FORBIDDEN',
  createWebhook: 'FORBIDDEN',
  updateWebhook: 'FORBIDDEN',
  deleteWebhook: 'FORBIDDEN',
  testWebhook: 'FORBIDDEN',
  redeliver: 'FORBIDDEN',
  statusChanges: 'FORBIDDEN',
  sessionEnded: 'own',
  presenceEvents: 'FORBIDDEN',
};

const ROOTS = [
  ['query', schema.getQueryType()],
  ['mutation', schema.getMutationType()],
  ['subscription', schema.getSubscriptionType()],
] as const;

/** All fields that can be selected, up to `depth` levels deep. */
const selectionOf = (type: GraphQLOutputType, depth = 4): string => {
  const named = getNamedType(type);
  if (!isObjectType(named)) return '';
  const fields = Object.values(named.getFields())
    .filter((field) => isLeafType(getNamedType(field.type)) || depth > 0)
    .map((field) => `${field.name} ${selectionOf(field.type, depth - 1)}`);
  return `{ ${fields.join(' ')} }`;
};

/** A value of an input type in which every id and text is the target's id. */
const valueOf = (name: string, type: GraphQLInputType, target: string): string => {
  if (isNonNullType(type)) return valueOf(name, type.ofType, target);
  if (isListType(type)) return `[${valueOf(name, type.ofType, target)}]`;
  if (isEnumType(type)) return type.getValues().find(({ name: value }) => value !== 'OFFLINE')?.name ?? '';
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields())
      .filter((field) => isNonNullType(field.type) || /userId/i.test(field.name))
      .map((field) => `${field.name}: ${valueOf(field.name, field.type, target)}`);
    return `{${fields.join(' ')}}`;
  }
  return name === 'first' ? '10' : JSON.stringify(target);
};

const operationOf = (kind: string, field: GraphQLField<unknown, unknown>, target: string): string => {
  const args = field.args
    .filter(({ type, name }) => isNonNullType(type) || /userId/i.test(name))
    .map(({ name, type }) => `${name}: ${valueOf(name, type, target)}`);
  return `${kind} { ${field.name}${args.length > 0 ? `(${args.join(' ')})` : ''} ${selectionOf(field.type)} }`;
};

const FIELDS = ROOTS.flatMap(([kind, type]) =>
  Object.values(type?.getFields() ?? {}).map((field) => ({ kind, field, name: field.name })),
);

/** Opens a server on which the victim is online, with a device, a text and an address. */
const openWithVictim = async (visibility: Visibility): Promise<ServerHarness> => {
  const harness = await ServerHarness.open({ visibility, settings: { trustProxy: true } });
  const { body } = await harness.post(
    LOGIN,
    await harness.jwt(VICTIM),
    { input: { platform: 'IPHONE', deviceId: SECRETS[0] } },
    { 'x-forwarded-for': SECRETS[2] ?? '' },
  );
  const { sessionToken } = body.data?.['login'] as unknown as { sessionToken: string };
  await harness.post(
    'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }',
    sessionToken,
    { text: SECRETS[1] },
    { 'x-forwarded-for': SECRETS[2] ?? '' },
  );
  return harness;
};

const CLAIMS: Readonly<Record<string, { visibility: Visibility; watch?: unknown }>> = {
  'no watch claim and visibility none': { visibility: 'none' },
  'an empty watch claim': { visibility: 'everyone', watch: [] },
  'a watch claim of 300 other users': {
    visibility: 'everyone',
    watch: Array.from({ length: 300 }, (_, index) => `${VICTIM} ${index}`),
  },
  'a watch claim of a user named "*"': { visibility: 'everyone', watch: ['*'] },
};

type CredentialKind = 'JWT' | 'session' | 'socket that has logged in';

/** All answers of the server to the operation: per transport, a list of texts. */
const answersTo = async (
  harness: ServerHarness,
  kind: CredentialKind,
  watch: unknown,
  operation: string,
): Promise<readonly (readonly string[])[]> => {
  const jwt = await harness.jwt('stalker', { watch });
  const login = async (): Promise<string> => {
    const { body } = await harness.post(LOGIN, jwt, { input: { platform: 'WEB', deviceId: 'own' } });
    return (body.data?.['login'] as unknown as { sessionToken: string }).sessionToken;
  };
  const credential = kind === 'session' ? await login() : jwt;
  const socket = await TestSocket.connect(harness.socketUrl, credential);
  if (kind === 'socket that has logged in')
    await socket.execute(LOGIN, { input: { platform: 'WEB', deviceId: 'own' } });
  const isOwnStream = operation.includes('sessionEnded');
  const overSocket: string[] = [];
  socket.subscribe(operation);
  // The sessionEnded stream of a session sends nothing before the session ends.
  if (!isOwnStream || kind === 'JWT') overSocket.push(JSON.stringify((await socket.nextMessage()).payload));
  socket.webSocket.close();
  await socket.closed;
  if (kind === 'socket that has logged in' || isOwnStream) return [overSocket];
  const response = await fetch(`${harness.url}/graphql`, {
    method: 'POST',
    headers: {
      accept: operation.startsWith('subscription') ? 'text/event-stream' : 'application/json',
      'content-type': 'application/json',
      authorization: `Bearer ${kind === 'session' ? await login() : jwt}`,
    },
    body: JSON.stringify({ query: operation }),
    // An accepted subscription would not end.
    signal: AbortSignal.timeout(5_000),
  });
  return [overSocket, [await response.text()]];
};

const withoutName = (text: string, target: string): string => text.replaceAll(target, 'target');

describe.each(Object.entries(CLAIMS))('a viewer with %s', (_claim, { visibility, watch }) => {
  test.each(['JWT', 'session', 'socket that has logged in'] as const)(
    'learns nothing about the victim by a %s',
    async (credentialKind) => {
      const harness = await openWithVictim(visibility);
      for (const { kind, field, name } of FIELDS) {
        const expected = EXPECTED[name];
        if (expected === undefined) throw new Error(`EXPECTED has no entry for the root field ${name}.`);
        const answers = (await answersTo(harness, credentialKind, watch, operationOf(kind, field, VICTIM))).flat();
        if (expected === 'own') {
          // The custom status that the stalker sets may equal the victim's id.
          const secrets = name === 'setCustomStatus' ? SECRETS.slice(0, 3) : [...SECRETS.slice(0, 3), `"${VICTIM}"`];
          for (const answer of answers) for (const secret of secrets) expect(answer, name).not.toContain(secret);
          continue;
        }
        for (const answer of answers) {
          expect(answer, name).toContain(`"code":"FORBIDDEN"`);
          for (const secret of SECRETS) expect(answer, name).not.toContain(secret);
        }
        // A user who does not exist gets the same answer.
        const aboutUnknownUser = (
          await answersTo(harness, credentialKind, watch, operationOf(kind, field, UNKNOWN_USER))
        ).flat();
        expect(aboutUnknownUser.map((answer) => withoutName(answer, UNKNOWN_USER))).toEqual(
          answers.map((answer) => withoutName(answer, VICTIM)),
        );
      }
      expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
      expect(await harness.status(VICTIM)).toBe('ONLINE');
    },
  );
});

test('a backend receives all of these values, so a viewer could have received them', async () => {
  const harness = await openWithVictim('none');
  const { body } = await harness.post(
    `{ userStatus(userId: "${VICTIM}") { status customStatus sessions { deviceId ipAddress } } }`,
    API_KEY,
  );
  for (const secret of SECRETS.slice(0, 4)) expect(JSON.stringify(body)).toContain(secret);
});

test.each([
  ['a number', 7],
  ['a string', VICTIM],
  ['an object', { [VICTIM]: true }],
  ['a list of lists', [[VICTIM]]],
])('a watch claim that is %s is rejected over both transports', async (_what, watch) => {
  const harness = await openWithVictim('everyone');
  const jwt = await harness.jwt('stalker', { watch });
  const { body } = await harness.post(`{ userStatus(userId: "${VICTIM}") { status } }`, jwt);
  expect(body.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  const socket = new TestSocket(harness.socketUrl);
  await socket.sendInit({ authorization: `Bearer ${jwt}` });
  expect((await socket.closed).code).toBe(4401);
});
