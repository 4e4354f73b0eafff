/** `explainStatus`. */
import { expect, it } from 'vitest';
import { ApiHarness } from './api-harness.ts';

const EXPLAIN = `query ($userId: ID!) { explainStatus(userId: $userId) {
  asOf because
  userStatus { userId status version reason }
  decidedBy { id platform deviceId }
  nextDeadline { at reason sessionId becomes }
  nextStatusChange { at reason sessionId becomes }
  sessions {
    session { id status attached ipAddress }
    lastActivityAt silentSince backgroundSince detachedAt sockets
    heartbeatIntervalMs heartbeatTimeoutMs backgroundTimeoutMs disconnectGraceMs
    nextDeadline { at reason sessionId becomes }
  }
  events { cursor reason sessionId status version }
} }`;

interface ExplainResult {
  readonly explainStatus: {
    readonly because: string;
    readonly events: readonly { readonly reason: string; readonly version: number }[];
  };
}

const explain = async (harness: ApiHarness, userId: string): Promise<ExplainResult['explainStatus']> =>
  (await harness.executeAsBackend<ExplainResult>(EXPLAIN, { userId })).explainStatus;

it('returns the deciding session, the deadlines and the last events', async () => {
  const harness = new ApiHarness();
  await harness.login('alice', 'WEB', 'tab');
  harness.clock.advance(1_000);
  const { sessionId } = await harness.login('alice', 'ANDROID', 'a1');
  harness.clock.advance(12_000);

  const deadline = { at: '2026-01-01T00:06:41.000Z', reason: 'HEARTBEAT_TIMEOUT', sessionId, becomes: 'PUSH_ONLINE' };
  expect(await explain(harness, 'alice')).toEqual({
    asOf: '2026-01-01T00:00:13.000Z',
    because:
      'ONLINE because ANDROID device "a1" logged in at 2026-01-01T00:00:01.000Z, has no socket open and was last active 12 s ago; unless it is active by 2026-01-01T00:06:41.000Z, it becomes PUSH_ONLINE (HEARTBEAT_TIMEOUT) and the user is PUSH_ONLINE.',
    userStatus: { userId: 'alice', status: 'ONLINE', version: 1, reason: 'LOGIN' },
    decidedBy: { id: sessionId, platform: 'ANDROID', deviceId: 'a1' },
    nextDeadline: deadline,
    nextStatusChange: deadline,
    sessions: [
      {
        session: { id: sessionId, status: 'ONLINE', attached: false, ipAddress: '192.0.2.7' },
        lastActivityAt: '2026-01-01T00:00:01.000Z',
        silentSince: '2026-01-01T00:00:01.000Z',
        backgroundSince: null,
        detachedAt: null,
        sockets: 0,
        heartbeatIntervalMs: 120_000,
        heartbeatTimeoutMs: 400_000,
        backgroundTimeoutMs: null,
        disconnectGraceMs: 0,
        nextDeadline: deadline,
      },
    ],
    events: [
      { cursor: expect.any(String) as string, reason: 'KICKED', sessionId: 'session-1', status: 'ONLINE', version: 1 },
      { cursor: expect.any(String) as string, reason: 'LOGIN', sessionId, status: 'ONLINE', version: 1 },
      { cursor: expect.any(String) as string, reason: 'LOGIN', sessionId: 'session-1', status: 'ONLINE', version: 1 },
    ],
  });
});

it('explains a user without any login', async () => {
  expect(await explain(new ApiHarness(), 'unknown-user')).toMatchObject({
    because: expect.stringMatching(/^OFFLINE because there is no record of this user/) as string,
    userStatus: { status: 'OFFLINE', version: 0, reason: null },
    decidedBy: null,
    nextDeadline: null,
    nextStatusChange: null,
    sessions: [],
    events: [],
  });
});

it('returns only the last ten events of the user, the newest first', async () => {
  const harness = new ApiHarness();
  await harness.login('alice');
  for (let round = 0; round < 7; round++) await harness.login('alice', 'WEB', 'tab');
  await harness.login('bob');
  const { events } = await explain(harness, 'alice');
  expect(events.map(({ reason }) => reason)).toEqual([
    ...Array.from({ length: 5 }, () => ['REPLACED', 'LOGIN']).flat(),
  ]);
});

it('does not count as activity', async () => {
  const harness = new ApiHarness();
  await harness.login('alice');
  harness.clock.advance(5_000);
  await explain(harness, 'alice');
  expect((await explain(harness, 'alice')).because).toContain('was last active 5 s ago');
});

it('rejects an invalid user id', async () => {
  const { codes } = await new ApiHarness().execute(EXPLAIN, { variables: { userId: '' } });
  expect(codes).toEqual(['BAD_USER_INPUT']);
});

it('contains neither a token nor the hash of a token', async () => {
  const harness = new ApiHarness();
  const { sessionToken, session } = await harness.login('alice');
  const text = JSON.stringify(await explain(harness, 'alice'));
  expect(text).not.toContain(sessionToken);
  expect(text).not.toContain(session.tokenHash);
});
