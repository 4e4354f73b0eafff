/** Who may do what: every root field, and every kind of caller. */
import SchemaBuilder from '@pothos/core';
import { Kind, parse, type GraphQLField } from 'graphql';
import { describe, expect, it } from 'vitest';
import '../../../src/api/access-plugin.ts';
import { schema } from '../../../src/api/schema.ts';
import { BACKEND_CALLER, UNAUTHENTICATED_CALLER, type Caller } from '../../../src/app/auth/caller.ts';
import { session, user, ApiHarness } from './api-harness.ts';

const U = 'UNAUTHENTICATED';
const F = 'FORBIDDEN';

/** What each caller is answered: a code, or nothing wrong. `both` is a user's socket after its login. */
const MATRIX = [
  // operation                                                                     nobody user session backend both
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

const CALLERS = ['nobody', 'user', 'session', 'backend', 'both'] as const;

const rootFields = (): readonly GraphQLField<unknown, unknown>[] =>
  [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((root) =>
    Object.values(root?.getFields() ?? {}),
  );

const fieldOf = (operation: string): string => {
  const [definition] = parse(operation).definitions;
  const selection = definition?.kind === Kind.OPERATION_DEFINITION ? definition.selectionSet.selections[0] : undefined;
  return selection?.kind === Kind.FIELD ? selection.name.value : '';
};

/** The same caller's answer whether the field is asked or followed; a subscription that waits is allowed. */
const answerOf = async (harness: ApiHarness, operation: string, caller: Caller): Promise<unknown> => {
  if (!operation.startsWith('subscription')) return (await harness.ask(operation, { caller })).codes[0] ?? 'ok';
  const stream = harness.follow(operation, { caller });
  const waited = new Promise<'waits'>((resolve) => setTimeout(resolve, 50, 'waits'));
  const message = await Promise.race([stream.next(), waited]);
  return message === 'waits' ? 'ok' : (message.value?.codes[0] ?? 'ok');
};

describe('who may do what', () => {
  it('is said for every root field there is', () => {
    expect(MATRIX.map(([operation]) => fieldOf(operation)).sort()).toEqual(
      rootFields()
        .map(({ name }) => name)
        .sort(),
    );
  });

  const cells = MATRIX.flatMap(([operation, ...answers]) =>
    CALLERS.map((caller, column) => ({ operation, caller, answer: answers[column] })),
  );

  it.each(cells)('$caller: $operation → $answer', async ({ operation, caller, answer }) => {
    const harness = new ApiHarness();
    const alice = await harness.login('alice');
    const callers: Record<typeof caller, Caller> = {
      nobody: UNAUTHENTICATED_CALLER,
      user: user('alice'),
      session: session(alice),
      backend: BACKEND_CALLER,
      both: { ...user('alice'), sessionId: alice.sessionId },
    };
    expect(await answerOf(harness, operation, callers[caller])).toBe(answer);
  });

  it('is looked at before any input is', async () => {
    const many = Array.from({ length: 501 }, (_, index) => `u${index}`);
    const document = 'query($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }';
    const { codes } = await new ApiHarness().ask(document, {
      caller: UNAUTHENTICATED_CALLER,
      variables: { ids: many },
    });
    expect(codes).toEqual(['UNAUTHENTICATED']);
    const paging = await new ApiHarness().ask('{ events(first: 0) { nodes { userId } } }', { caller: user('alice') });
    expect(paging.codes).toEqual(['FORBIDDEN']);
  });

  it('is no secret about the roots themselves', async () => {
    expect(await new ApiHarness().ask('{ __typename }', { caller: UNAUTHENTICATED_CALLER })).toMatchObject({
      data: { __typename: 'Query' },
    });
  });

  it('refuses nothing that nobody did: a refused mutation changes nothing', async () => {
    const harness = new ApiHarness();
    const alice = await harness.login('alice');
    await harness.ask('mutation { endSessions(input: {userId: "alice", revokeTokens: true}) { ended { id } } }', {
      caller: session(alice),
    });
    const [record] = await harness.store.readUsers([alice.userId]);
    expect(record).toMatchObject({ status: 'ONLINE', tokensRevokedBefore: null });
  });

  it('is asked of whoever builds a schema: a root field that does not say it is no field', () => {
    const careless = new SchemaBuilder<{ DefaultFieldNullability: false }>({
      plugins: ['access'],
      defaultFieldNullability: false,
    });
    careless.queryType({});
    // @ts-expect-error it does not say who may call it
    careless.queryField('open', (t) => t.boolean({ resolve: () => true }));
    expect(() => careless.toSchema()).toThrow('Query.open does not say who may call it');
  });
});
