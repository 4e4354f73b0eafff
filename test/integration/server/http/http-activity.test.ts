/** Over HTTP, every operation of a session counts as its activity. */
import { describe, expect, test } from 'vitest';
import { API_KEY, codeOf, ServerHarness } from '../support/server-harness.ts';

/** Sends an operation with the token of a session that is PUSH_ONLINE. Returns the reasons of the resulting events. */
const reasonsAfter = async (query: string, variables?: Record<string, unknown>): Promise<string[]> => {
  const harness = await ServerHarness.open();
  const { token } = await harness.login('alice', 'IPHONE');
  await harness.advanceTime(400_000);
  await harness.post(query, token, variables);
  return (await harness.reasons('alice')).slice(2);
};

describe('an operation with a session’s token', () => {
  test.each([
    '{ __typename }',
    '{ me { id } }',
    '{ __schema { queryType { name } } }',
    '{ stats { sockets } }',
    'mutation { endSessions(input: { userId: "bob" }) { ended { id } } }',
    'mutation { heartbeat { heartbeatIntervalMs } }',
    '{ heartbeat: __typename }',
  ])('reconnects a session that is PUSH_ONLINE: %s', async (query) => {
    expect(await reasonsAfter(query)).toEqual(['RECONNECT']);
  });

  test('reconnects the session before it takes effect', async () => {
    expect(
      await reasonsAfter('mutation { setCustomStatus(input: { text: "hi" }) { userStatus { version } } }'),
    ).toEqual(['RECONNECT', 'CUSTOM_STATUS']);
  });

  test.each([
    'mutation { logout { userStatus { version } } }',
    'mutation { ...A } fragment A on Mutation { ... { bye: logout { userStatus { version } } } }',
  ])('does not reconnect the session when it logs out: %s', async (query) => {
    expect(await reasonsAfter(query)).toEqual(['LOGOUT']);
  });

  test.each<[string, Record<string, unknown>?]>([
    ['{ nothing }'],
    ['{ me {'],
    ['query ($id: ID!) { userStatus(userId: $id) { version } }', {}],
    ['query A { __typename } query B { __typename }'],
  ])('does not reconnect the session when it is invalid: %s', async (query, variables) => {
    expect(await reasonsAfter(query, variables)).toEqual([]);
  });

  test('updates the session’s IP address', async () => {
    const harness = await ServerHarness.open({ settings: { trustProxy: true } });
    const { token } = await harness.login('alice', 'IPHONE');
    await harness.post('{ __typename }', token, undefined, { 'x-forwarded-for': '9.9.9.9' });
    const { body } = await harness.post('{ userStatus(userId: "alice") { sessions { ipAddress } } }');
    expect(body.data).toEqual({ userStatus: { sessions: [{ ipAddress: '9.9.9.9' }] } });
  });

  test('is rejected when the session has expired, even before a timer has processed that', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'IPHONE');
    await harness.advanceTime(400_000);
    harness.advanceClock(7 * 86_400_000);
    const reply = await harness.post('{ me { id } }', token);
    expect(codeOf(reply)).toBe('SESSION_ENDED');
    expect(reply.body.data).toBeUndefined();
  });
});

test('a query about a session by another caller is not activity of that session', async () => {
  const harness = await ServerHarness.open();
  await harness.login('alice', 'IPHONE');
  await harness.advanceTime(390_000);
  await harness.post('{ userStatus(userId: "alice") { status } }', API_KEY);
  await harness.post('{ userStatus(userId: "alice") { status } }', await harness.jwt('alice'));
  await harness.advanceTime(15_000);
  expect(await harness.status('alice')).toBe('PUSH_ONLINE');
});
