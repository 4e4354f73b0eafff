/**
 * Somebody who may not see a user tries every way there is: all root fields, with all their arguments and all that
 * can be selected, by JWT and as a session, through both doors. A new root field is tried by itself.
 */
import { getNamedType, isEnumType, isInputObjectType, isLeafType, isListType, isNonNullType } from 'graphql';
import { isObjectType, type GraphQLField, type GraphQLInputType, type GraphQLOutputType } from 'graphql';
import { describe, expect, test } from 'vitest';
import { schema } from '../../../../src/api/schema.ts';
import type { Visibility } from '../../../../src/core/visibility.ts';
import { API_KEY, ServerHarness, LOGIN } from '../support/server-harness.ts';
import { TestSocket } from '../support/wire.ts';

/** Nothing of this may be told to a stalker; that she asked about the victim she knows. */
const SECRETS = ['the victim’s phone', 'the victim’s text', '192.0.2.77', 'ONLINE', 'KICKED'];
const VICTIM = 'victim';
const NOBODY_YET = 'nobody';

/** What whoever may not see the victim is answered. `own`: it tells of the caller alone. */
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

/** Everything that can be selected, some levels deep. */
const selectionOf = (type: GraphQLOutputType, depth = 4): string => {
  const named = getNamedType(type);
  if (!isObjectType(named)) return '';
  const fields = Object.values(named.getFields())
    .filter((field) => isLeafType(getNamedType(field.type)) || depth > 0)
    .map((field) => `${field.name} ${selectionOf(field.type, depth - 1)}`);
  return `{ ${fields.join(' ')} }`;
};

/** Whatever it is, as if the victim were meant. */
const valueOf = (name: string, type: GraphQLInputType, whom: string): string => {
  if (isNonNullType(type)) return valueOf(name, type.ofType, whom);
  if (isListType(type)) return `[${valueOf(name, type.ofType, whom)}]`;
  if (isEnumType(type)) return type.getValues().find(({ name: value }) => value !== 'OFFLINE')?.name ?? '';
  if (isInputObjectType(type)) {
    const fields = Object.values(type.getFields())
      .filter((field) => isNonNullType(field.type) || /userId/i.test(field.name))
      .map((field) => `${field.name}: ${valueOf(field.name, field.type, whom)}`);
    return `{${fields.join(' ')}}`;
  }
  return name === 'first' ? '10' : JSON.stringify(whom);
};

const operationOf = (kind: string, field: GraphQLField<unknown, unknown>, whom: string): string => {
  const args = field.args
    .filter(({ type, name }) => isNonNullType(type) || /userId/i.test(name))
    .map(({ name, type }) => `${name}: ${valueOf(name, type, whom)}`);
  return `${kind} { ${field.name}${args.length > 0 ? `(${args.join(' ')})` : ''} ${selectionOf(field.type)} }`;
};

const FIELDS = ROOTS.flatMap(([kind, type]) =>
  Object.values(type?.getFields() ?? {}).map((field) => ({ kind, field, name: field.name })),
);

/** The victim is there, with a device, a text and an address. */
const houseWithVictim = async (visibility: Visibility): Promise<ServerHarness> => {
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
  'no claim, where nobody is visible': { visibility: 'none' },
  'a claim of nobody': { visibility: 'everyone', watch: [] },
  'a claim of hundreds of others': {
    visibility: 'everyone',
    watch: Array.from({ length: 300 }, (_, index) => `${VICTIM} ${index}`),
  },
  'a claim of a user called "*"': { visibility: 'everyone', watch: ['*'] },
};

type As = 'JWT' | 'session' | 'socket that has logged in';

/** Everything the server says to this, over both doors if there are two. */
const answersTo = async (
  harness: ServerHarness,
  as: As,
  watch: unknown,
  operation: string,
): Promise<readonly (readonly string[])[]> => {
  const jwt = await harness.jwt('stalker', { watch });
  const login = async (): Promise<string> => {
    const { body } = await harness.post(LOGIN, jwt, { input: { platform: 'WEB', deviceId: 'own' } });
    return (body.data?.['login'] as unknown as { sessionToken: string }).sessionToken;
  };
  const credential = as === 'session' ? await login() : jwt;
  const wire = await TestSocket.as(harness.socketUrl, credential);
  if (as === 'socket that has logged in') await wire.ask(LOGIN, { input: { platform: 'WEB', deviceId: 'own' } });
  const isOwnStream = operation.includes('sessionEnded');
  const overSocket: string[] = [];
  wire.subscribe(operation);
  // A session's own stream waits for its end; whoever logs out is answered, and closed.
  if (!isOwnStream || as === 'JWT') overSocket.push(JSON.stringify((await wire.next()).payload));
  wire.ws.close();
  await wire.closed;
  if (as === 'socket that has logged in' || isOwnStream) return [overSocket];
  const response = await fetch(`${harness.url}/graphql`, {
    method: 'POST',
    headers: {
      accept: operation.startsWith('subscription') ? 'text/event-stream' : 'application/json',
      'content-type': 'application/json',
      authorization: `Bearer ${as === 'session' ? await login() : jwt}`,
    },
    body: JSON.stringify({ query: operation }),
    // A subscription that is let in would go on.
    signal: AbortSignal.timeout(5_000),
  });
  return [overSocket, [await response.text()]];
};

const withoutName = (text: string, whom: string): string => text.replaceAll(whom, 'whom');

describe.each(Object.entries(CLAIMS))('with %s', (_claim, { visibility, watch }) => {
  test.each(['JWT', 'session', 'socket that has logged in'] as const)('a %s learns nothing', async (as) => {
    const harness = await houseWithVictim(visibility);
    for (const { kind, field, name } of FIELDS) {
      const expected = EXPECTED[name];
      if (expected === undefined) throw new Error(`It is not said what a stalker is answered by ${name}.`);
      const answers = (await answersTo(harness, as, watch, operationOf(kind, field, VICTIM))).flat();
      if (expected === 'own') {
        // A text that she sets may be called like the victim.
        const told = name === 'setCustomStatus' ? SECRETS.slice(0, 3) : [...SECRETS.slice(0, 3), `"${VICTIM}"`];
        for (const answer of answers) for (const secret of told) expect(answer, name).not.toContain(secret);
        continue;
      }
      for (const answer of answers) {
        expect(answer, name).toContain(`"code":"FORBIDDEN"`);
        for (const secret of SECRETS) expect(answer, name).not.toContain(secret);
      }
      // And the very same of somebody who does not exist.
      const ofNobody = (await answersTo(harness, as, watch, operationOf(kind, field, NOBODY_YET))).flat();
      expect(ofNobody.map((answer) => withoutName(answer, NOBODY_YET))).toEqual(
        answers.map((answer) => withoutName(answer, VICTIM)),
      );
    }
    expect(harness.porchlight.watchers.watchedUsers).toBe(0);
    expect(await harness.status(VICTIM)).toBe('ONLINE');
  });
});

test('a backend is told all of that, so these are secrets that could have been told', async () => {
  const harness = await houseWithVictim('none');
  const { body } = await harness.post(
    `{ userStatus(userId: "${VICTIM}") { status customStatus sessions { deviceId ipAddress } } }`,
    API_KEY,
  );
  for (const secret of SECRETS.slice(0, 4)) expect(JSON.stringify(body)).toContain(secret);
});

test.each([
  ['a number', 7],
  ['a text', VICTIM],
  ['an object', { [VICTIM]: true }],
  ['a list of lists', [[VICTIM]]],
])('a claim that is %s opens neither door', async (_what, watch) => {
  const harness = await houseWithVictim('everyone');
  const jwt = await harness.jwt('stalker', { watch });
  const { body } = await harness.post(`{ userStatus(userId: "${VICTIM}") { status } }`, jwt);
  expect(body.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  const wire = new TestSocket(harness.socketUrl);
  await wire.init({ authorization: `Bearer ${jwt}` });
  expect((await wire.closed).code).toBe(4401);
});
