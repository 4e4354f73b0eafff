/** The authorization of every root field for every kind of caller. */
import SchemaBuilder from '@pothos/core';
import { Kind, parse, type GraphQLField } from 'graphql';
import { describe, expect, it } from 'vitest';
import '../../../src/api/access-plugin.ts';
import { schema } from '../../../src/api/schema.ts';
import { BACKEND_CALLER, UNAUTHENTICATED_CALLER, type Caller } from '../../../src/app/auth/caller.ts';
import { sessionCaller, jwtCaller, ApiHarness } from './api-harness.ts';

const U = 'UNAUTHENTICATED';
const F = 'FORBIDDEN';

/** The error code for each caller, or `ok`. The caller `both` is a WebSocket of a user after a login over it. */
const MATRIX = [
  // operation                                                                     anonymous user session backend both
  ['query { me { id } }', U, U, 'ok', U, 'ok'],
  ['query { userStatus(userId: "bob") { status } }', U, 'ok', 'ok', 'ok', 'ok'],
  ['query { userStatuses(userIds: ["bob"]) { status } }', U, 'ok', 'ok', 'ok', 'ok'],
  ['query { onlineUsers { nodes { userId } } }', U, F, F, 'ok', F],
  ['query { events { nodes { userId } } }', U, F, F, 'ok', F],
  ['query { latestCursor }', U, F, F, 'ok', F],
  ['query { stats { sockets } }', U, F, F, 'ok', F],
  ['query { explainStatus(userId: "bob") { because } }', U, F, F, 'ok', F],
  ['query { policy { pushOnlineExpiryMs } }', U, F, F, 'ok', F],
  ['query { webhooks { id } }', U, F, F, 'ok', F],
  ['query { webhook(id: "none") { id } }', U, F, F, 'ok', F],
  ['query { webhookDeliveries { nodes { id } } }', U, F, F, 'ok', F],
  ['mutation { login(input: {platform: WEB}) { sessionToken } }', U, 'ok', F, F, 'ok'],
  ['mutation { heartbeat { heartbeatIntervalMs } }', U, U, 'ok', F, 'ok'],
  ['mutation { logout { userStatus { status } } }', U, U, 'ok', F, 'ok'],
  ['mutation { setCustomStatus(input: {text: "hi"}) { userStatus { status } } }', U, U, 'ok', F, 'ok'],
  ['mutation { endSessions(input: {userId: "alice"}) { ended { id } } }', U, F, F, 'ok', F],
  ['mutation { updatePolicy(input: {}) { policy { pushOnlineExpiryMs } } }', U, F, F, 'ok', F],
  ['mutation { createWebhook(input: {url: "https://a.example"}) { secret } }', U, F, F, 'ok', F],
  ['mutation { updateWebhook(input: {id: "none"}) { secret } }', U, F, F, 'BAD_USER_INPUT', F],
  ['mutation { deleteWebhook(input: {id: "none"}) { webhook { id } } }', U, F, F, 'BAD_USER_INPUT', F],
  ['mutation { testWebhook(input: {id: "none"}) { delivery { id } } }', U, F, F, 'BAD_USER_INPUT', F],
  ['mutation { redeliver(input: {webhookId: "none"}) { count } }', U, F, F, 'BAD_USER_INPUT', F],
  ['subscription { statusChanges(userIds: ["bob"]) { status } }', U, 'ok', 'ok', 'ok', 'ok'],
  ['subscription { sessionEnded { reason } }', U, U, 'ok', F, 'ok'],
  ['subscription { presenceEvents { reason } }', U, F, F, 'ok', F],
] as const;

const CALLERS = ['anonymous', 'user', 'session', 'backend', 'both'] as const;

const rootFields = (): readonly GraphQLField<unknown, unknown>[] =>
  [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((root) =>
    Object.values(root?.getFields() ?? {}),
  );

const fieldOf = (operation: string): string => {
  const [definition] = parse(operation).definitions;
  const selection = definition?.kind === Kind.OPERATION_DEFINITION ? definition.selectionSet.selections[0] : undefined;
  return selection?.kind === Kind.FIELD ? selection.name.value : '';
};

/** Executes or subscribes. A subscription without a message after 50 ms counts as allowed. */
const outcomeOf = async (harness: ApiHarness, operation: string, caller: Caller): Promise<unknown> => {
  if (!operation.startsWith('subscription')) return (await harness.execute(operation, { caller })).codes[0] ?? 'ok';
  const stream = harness.subscribe(operation, { caller });
  const timeout = new Promise<'timeout'>((resolve) => setTimeout(resolve, 50, 'timeout'));
  const message = await Promise.race([stream.next(), timeout]);
  return message === 'timeout' ? 'ok' : (message.value?.codes[0] ?? 'ok');
};

describe('authorization', () => {
  it('is tested for every root field of the schema', () => {
    expect(MATRIX.map(([operation]) => fieldOf(operation)).sort()).toEqual(
      rootFields()
        .map(({ name }) => name)
        .sort(),
    );
  });

  const cells = MATRIX.flatMap(([operation, ...outcomes]) =>
    CALLERS.map((caller, column) => ({ operation, caller, outcome: outcomes[column] })),
  );

  it.each(cells)('$caller: $operation → $outcome', async ({ operation, caller, outcome }) => {
    const harness = new ApiHarness();
    const alice = await harness.login('alice');
    const callers: Record<typeof caller, Caller> = {
      anonymous: UNAUTHENTICATED_CALLER,
      user: jwtCaller('alice'),
      session: sessionCaller(alice),
      backend: BACKEND_CALLER,
      both: { ...jwtCaller('alice'), sessionId: alice.sessionId },
    };
    expect(await outcomeOf(harness, operation, callers[caller])).toBe(outcome);
  });

  it('is checked before the input', async () => {
    const many = Array.from({ length: 501 }, (_, index) => `u${index}`);
    const document = 'query($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }';
    const { codes } = await new ApiHarness().execute(document, {
      caller: UNAUTHENTICATED_CALLER,
      variables: { ids: many },
    });
    expect(codes).toEqual(['UNAUTHENTICATED']);
    const paging = await new ApiHarness().execute('{ events(first: 0) { nodes { userId } } }', {
      caller: jwtCaller('alice'),
    });
    expect(paging.codes).toEqual(['FORBIDDEN']);
  });

  it('does not apply to __typename of the root types', async () => {
    expect(await new ApiHarness().execute('{ __typename }', { caller: UNAUTHENTICATED_CALLER })).toMatchObject({
      data: { __typename: 'Query' },
    });
  });

  it('a refused mutation changes nothing', async () => {
    const harness = new ApiHarness();
    const alice = await harness.login('alice');
    await harness.execute('mutation { endSessions(input: {userId: "alice", revokeTokens: true}) { ended { id } } }', {
      caller: sessionCaller(alice),
    });
    const [record] = await harness.store.readUsers([alice.userId]);
    expect(record).toMatchObject({ status: 'ONLINE', tokensRevokedBefore: null });
  });

  it('building a schema fails when a root field does not declare its callers', () => {
    const incomplete = new SchemaBuilder<{ DefaultFieldNullability: false }>({
      plugins: ['access'],
      defaultFieldNullability: false,
    });
    incomplete.queryType({});
    // @ts-expect-error the option access is missing
    incomplete.queryField('open', (t) => t.boolean({ resolve: () => true }));
    expect(() => incomplete.toSchema()).toThrow('Query.open must declare its callers');
  });
});
