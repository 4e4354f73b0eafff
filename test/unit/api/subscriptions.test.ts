/** Being told. */
import { describe, expect, it } from 'vitest';
import { RETENTION_MS, session, TestLink, user, ApiHarness, type Answer } from './api-harness.ts';

const WATCH = `subscription($ids: [ID!]!) { statusChanges(userIds: $ids) {
  userId status version previousStatus reason platform changedAt lastSeenAt customStatus
} }`;
const FOLLOW = 'subscription($after: Cursor) { presenceEvents(after: $after) { cursor changeId userId reason } }';

const next = async (stream: AsyncGenerator<Answer, void>): Promise<unknown> => {
  const { done, value } = await stream.next();
  if (done) return 'done';
  expect(value?.errors).toEqual([]);
  return value?.data;
};

describe('statusChanges', () => {
  it('tells the present of all of them first, then the changes', async () => {
    const harness = new ApiHarness();
    await harness.login('bob', 'WEB');
    const stream = harness.follow(WATCH, { caller: user('alice'), variables: { ids: ['bob', 'carol', 'bob'] } });
    const at = new Date(harness.store.now()).toISOString();
    expect(await next(stream)).toEqual({
      statusChanges: [
        {
          userId: 'bob',
          status: 'ONLINE',
          version: 1,
          previousStatus: null,
          reason: 'LOGIN',
          platform: null,
          changedAt: at,
          lastSeenAt: at,
          customStatus: null,
        },
        {
          userId: 'carol',
          status: 'OFFLINE',
          version: 0,
          previousStatus: null,
          reason: null,
          platform: null,
          changedAt: null,
          lastSeenAt: null,
          customStatus: null,
        },
      ],
    });
    const change = next(stream);
    await harness.login('carol', 'MAC');
    expect(await change).toMatchObject({
      statusChanges: [
        { userId: 'carol', status: 'ONLINE', version: 1, previousStatus: 'OFFLINE', reason: 'LOGIN', platform: 'MAC' },
      ],
    });
    await stream.return();
  });

  it.each([
    [Array.from({ length: 501 }, (_, index) => `u${index}`), 'TOO_MANY_USERS'],
    [['bob', ''], 'BAD_USER_INPUT'],
    [['bob', null], 'BAD_USER_INPUT'],
  ])('is refused with a code before anything is told (case %#)', async (ids, code) => {
    const { data, codes } = await new ApiHarness().first(WATCH, { caller: user('alice'), variables: { ids } });
    expect({ data, codes }).toEqual({ data: null, codes: [code] });
  });
});

describe('presenceEvents', () => {
  it('starts right after the cursor, from the log, and goes on live', async () => {
    const harness = new ApiHarness();
    const { latestCursor } = await harness.backend<{ latestCursor: string }>('{ latestCursor }');
    await harness.login('alice', 'WEB');
    await harness.login('alice', 'MAC');
    const stream = harness.follow(FOLLOW, { variables: { after: latestCursor } });
    expect(await next(stream)).toMatchObject({
      presenceEvents: [{ reason: 'LOGIN' }, { reason: 'LOGIN' }, { reason: 'KICKED' }],
    });
    const live = next(stream);
    await harness.login('bob');
    expect(await live).toMatchObject({ presenceEvents: [{ userId: 'bob', reason: 'LOGIN' }] });
    await stream.return();
  });

  it('without a cursor starts with what happens next', async () => {
    const harness = new ApiHarness();
    await harness.login('alice');
    const stream = harness.follow(FOLLOW);
    const live = next(stream);
    // The subscription has to be there before it happens.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await harness.login('bob');
    expect(await live).toMatchObject({ presenceEvents: [{ userId: 'bob' }] });
    await stream.return();
  });

  it.each(['', 'no cursor of ours'])('after %j is refused: BAD_USER_INPUT', async (after) => {
    expect(await new ApiHarness().first(FOLLOW, { variables: { after } })).toMatchObject({ codes: ['BAD_USER_INPUT'] });
  });

  it('after a cursor that is older than the retention is refused: CURSOR_EXPIRED', async () => {
    const harness = new ApiHarness();
    const { latestCursor: after } = await harness.backend<{ latestCursor: string }>('{ latestCursor }');
    await harness.login('alice');
    harness.clock.advance(RETENTION_MS + 1);
    await harness.store.purge();
    expect(await harness.first(FOLLOW, { variables: { after } })).toMatchObject({ codes: ['CURSOR_EXPIRED'] });
    const asked = await harness.ask('query($after: Cursor) { events(after: $after) { nodes { userId } } }', {
      variables: { after },
    });
    expect(asked).toMatchObject({ codes: ['CURSOR_EXPIRED'] });
  });

  it('ends with OVERLOADED for who is too slow, and has the socket closed', async () => {
    const harness = new ApiHarness();
    const link = new TestLink();
    await harness.login('alice');
    const { latestCursor } = await harness.backend<{ latestCursor: string }>('{ latestCursor }');
    const stream = harness.follow(FOLLOW, { variables: { after: latestCursor }, link });
    const first = next(stream);
    await harness.login('bob');
    await first;
    await harness.login('carol');
    harness.clock.advance(31_000);
    await harness.login('dave');
    expect(link.slow).toBe(1);
    await expect(stream.next()).rejects.toMatchObject({ details: { code: 'OVERLOADED' } });
  });
});

describe('sessionEnded', () => {
  const ENDED = 'subscription { sessionEnded { sessionId reason kickedBy endedAt } }';

  it('is one message, after which the subscription is done', async () => {
    const harness = new ApiHarness();
    const caller = session(await harness.login('alice', 'WEB'));
    const stream = harness.follow(ENDED, { caller });
    const told = next(stream);
    await harness.login('alice', 'MAC');
    expect(await told).toEqual({
      sessionEnded: {
        sessionId: 'session-1',
        reason: 'KICKED',
        kickedBy: 'MAC',
        endedAt: new Date(harness.store.now()).toISOString(),
      },
    });
    expect(await next(stream)).toBe('done');
  });
});
