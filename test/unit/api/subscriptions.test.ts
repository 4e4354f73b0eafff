/** `statusChanges`, `presenceEvents` and `sessionEnded`. */
import { describe, expect, it } from 'vitest';
import { RETENTION_MS, sessionCaller, FakeSocket, jwtCaller, ApiHarness, type FormattedResult } from './api-harness.ts';

const WATCH = `subscription($ids: [ID!]!) { statusChanges(userIds: $ids) {
  userId status version previousStatus reason platform changedAt lastSeenAt customStatus
} }`;
const FOLLOW = 'subscription($after: Cursor) { presenceEvents(after: $after) { cursor changeId userId reason } }';

const next = async (stream: AsyncGenerator<FormattedResult, void>): Promise<unknown> => {
  const { done, value } = await stream.next();
  if (done) return 'done';
  expect(value?.errors).toEqual([]);
  return value?.data;
};

describe('statusChanges', () => {
  it('sends the current status of all users first, then changes', async () => {
    const harness = new ApiHarness();
    await harness.login('bob', 'WEB');
    const stream = harness.subscribe(WATCH, {
      caller: jwtCaller('alice'),
      variables: { ids: ['bob', 'carol', 'bob'] },
    });
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
  ])('is refused with a code before the first message (case %#)', async (ids, code) => {
    const { data, codes } = await new ApiHarness().firstMessage(WATCH, {
      caller: jwtCaller('alice'),
      variables: { ids },
    });
    expect({ data, codes }).toEqual({ data: null, codes: [code] });
  });
});

describe('presenceEvents', () => {
  it('starts after the cursor, and continues with new events', async () => {
    const harness = new ApiHarness();
    const { latestCursor } = await harness.executeAsBackend<{ latestCursor: string }>('{ latestCursor }');
    await harness.login('alice', 'WEB');
    await harness.login('alice', 'MAC');
    const stream = harness.subscribe(FOLLOW, { variables: { after: latestCursor } });
    expect(await next(stream)).toMatchObject({
      presenceEvents: [{ reason: 'LOGIN' }, { reason: 'LOGIN' }, { reason: 'KICKED' }],
    });
    const live = next(stream);
    await harness.login('bob');
    expect(await live).toMatchObject({ presenceEvents: [{ userId: 'bob', reason: 'LOGIN' }] });
    await stream.return();
  });

  it('starts with the next event without a cursor', async () => {
    const harness = new ApiHarness();
    await harness.login('alice');
    const stream = harness.subscribe(FOLLOW);
    const live = next(stream);
    // The subscription must be active before the login.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await harness.login('bob');
    expect(await live).toMatchObject({ presenceEvents: [{ userId: 'bob' }] });
    await stream.return();
  });

  it.each(['', 'not a cursor'])('is answered BAD_USER_INPUT for the invalid cursor %j', async (after) => {
    expect(await new ApiHarness().firstMessage(FOLLOW, { variables: { after } })).toMatchObject({
      codes: ['BAD_USER_INPUT'],
    });
  });

  it('is answered CURSOR_EXPIRED for a cursor older than the retention', async () => {
    const harness = new ApiHarness();
    const { latestCursor: after } = await harness.executeAsBackend<{ latestCursor: string }>('{ latestCursor }');
    await harness.login('alice');
    harness.clock.advance(RETENTION_MS + 1);
    await harness.store.purgeExpiredData();
    expect(await harness.firstMessage(FOLLOW, { variables: { after } })).toMatchObject({ codes: ['CURSOR_EXPIRED'] });
    const result = await harness.execute('query($after: Cursor) { events(after: $after) { nodes { userId } } }', {
      variables: { after },
    });
    expect(result).toMatchObject({ codes: ['CURSOR_EXPIRED'] });
  });

  it('ends with OVERLOADED for a slow client, and closes its WebSocket', async () => {
    const harness = new ApiHarness();
    const socket = new FakeSocket();
    await harness.login('alice');
    const { latestCursor } = await harness.executeAsBackend<{ latestCursor: string }>('{ latestCursor }');
    const stream = harness.subscribe(FOLLOW, { variables: { after: latestCursor }, socket });
    const first = next(stream);
    await harness.login('bob');
    await first;
    await harness.login('carol');
    harness.clock.advance(31_000);
    await harness.login('dave');
    expect(socket.slowCloses).toBe(1);
    await expect(stream.next()).rejects.toMatchObject({ details: { code: 'OVERLOADED' } });
  });
});

describe('sessionEnded', () => {
  const ENDED = 'subscription { sessionEnded { sessionId reason kickedBy endedAt } }';

  it('sends one message and completes', async () => {
    const harness = new ApiHarness();
    const caller = sessionCaller(await harness.login('alice', 'WEB'));
    const stream = harness.subscribe(ENDED, { caller });
    const message = next(stream);
    await harness.login('alice', 'MAC');
    expect(await message).toEqual({
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
