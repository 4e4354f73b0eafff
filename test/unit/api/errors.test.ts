/** What a client is told when something is wrong. */
import { GraphQLError } from 'graphql';
import { describe, expect, it, vi } from 'vitest';
import { toClientError } from '../../../src/api/errors.ts';
import { DomainError, type ErrorDetails } from '../../../src/core/errors.ts';
import { toMillis } from '../../../src/core/ids.ts';
import { user, ApiHarness } from './api-harness.ts';

const SECRET = 'SQLITE_CORRUPT: /var/lib/porchlight/data.db';

const told = (error: unknown) => {
  const faults: unknown[] = [];
  const answer = toClientError(error, (fault) => faults.push(fault));
  expect(answer.originalError).toBeUndefined();
  return { answer: answer.toJSON(), faults };
};

describe('a refusal', () => {
  it.each<[ErrorDetails, object]>([
    [{ code: 'UNAUTHENTICATED' }, { code: 'UNAUTHENTICATED' }],
    [{ code: 'CURSOR_EXPIRED' }, { code: 'CURSOR_EXPIRED' }],
    [
      { code: 'OVERLOADED', retryAfterMs: 250 },
      { code: 'OVERLOADED', retryAfterMs: 250 },
    ],
    [
      { code: 'RATE_LIMITED', retryAfterMs: 1_000 },
      { code: 'RATE_LIMITED', retryAfterMs: 1_000 },
    ],
    [
      { code: 'SESSION_ENDED', reason: 'LOGOUT', endedAt: toMillis(1_700_000_000_000), kickedBy: null },
      { code: 'SESSION_ENDED', reason: 'LOGOUT', endedAt: '2023-11-14T22:13:20.000Z', kickedBy: null },
    ],
  ])('%j is told in full', (fault, extensions) => {
    expect(told(new DomainError(fault, 'Why.'))).toEqual({ answer: { message: 'Why.', extensions }, faults: [] });
  });

  it('keeps the place at which graphql found it', async () => {
    const { errors } = await new ApiHarness().ask('{ stats { sockets } }', { caller: user('alice') });
    expect(errors).toEqual([
      {
        message: expect.any(String) as string,
        path: ['stats'],
        locations: [{ line: 1, column: 3 }],
        extensions: { code: 'FORBIDDEN' },
      },
    ]);
  });

  it('that a library made with a code of its own is kept', () => {
    const error = new GraphQLError('Too deep.', {
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED', http: { status: 400 } },
    });
    expect(told(error)).toEqual({ answer: error.toJSON(), faults: [] });
  });
});

describe('a document that cannot be executed as it was sent', () => {
  it.each([
    ['a variable of another type', 'query($id: ID!) { userStatus(userId: $id) { status } }', { id: {} }],
    ['a variable left out', 'query($id: ID!) { userStatus(userId: $id) { status } }', {}],
    ['a variable that is null', 'query($id: ID!) { userStatus(userId: $id) { status } }', { id: null }],
    ['a null inside a list', 'query($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }', { ids: [null] }],
    ['an enum value unheard of', 'query($s: Status) { onlineUsers(status: $s) { nodes { status } } }', { s: 'AWAY' }],
    ['an Int out of range', 'query($n: Int) { events(first: $n) { nodes { status } } }', { n: 1e10 }],
    ['null past a default', 'query($id: ID = "a") { userStatus(userId: $id) { status } }', { id: null }],
    ['null in a directive', 'query($b: Boolean = true) { latestCursor @include(if: $b) }', { b: null }],
    ['two operations and no name', 'query a { latestCursor } query b { latestCursor }', {}],
  ])('%s: BAD_USER_INPUT, and no fault of ours', async (_what, document, variables) => {
    const harness = new ApiHarness();
    expect((await harness.ask(document, { variables })).codes).toEqual(['BAD_USER_INPUT']);
    expect(harness.faults).toEqual([]);
  });
});

describe('our own fault', () => {
  const MASKED = { message: 'Internal server error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } };

  it('is told as such and no more, and reported as it was', async () => {
    const harness = new ApiHarness();
    const fault = new Error(SECRET);
    vi.spyOn(harness.store, 'getPresenceCounts').mockImplementation(() => {
      throw fault;
    });
    const answer = await harness.ask('{ stats { sockets } }');
    expect(answer.errors).toEqual([{ ...MASKED, path: ['stats'], locations: [{ line: 1, column: 3 }] }]);
    expect(JSON.stringify(answer)).not.toContain('SQLITE');
    expect(harness.faults).toEqual([fault]);
  });

  it('is also a value that does not fit its type', async () => {
    const harness = new ApiHarness();
    vi.spyOn(harness.store, 'getPresenceCounts').mockReturnValue({
      ...harness.store.getPresenceCounts(),
      usersOnline: SECRET as never,
    });
    const answer = await harness.ask('{ stats { usersOnline } }');
    expect(answer.codes).toEqual(['INTERNAL_SERVER_ERROR']);
    expect(JSON.stringify(answer)).not.toContain('SQLITE');
    expect(harness.faults).toHaveLength(1);
  });

  it('is also a null where none may be', async () => {
    const harness = new ApiHarness();
    vi.spyOn(harness.store.eventLog, 'getLatestCursor').mockResolvedValue(null as never);
    expect((await harness.ask('{ latestCursor }')).errors).toMatchObject([MASKED]);
  });

  it('is masked when a subscription begins, and in each of its messages', async () => {
    const harness = new ApiHarness();
    vi.spyOn(harness.store.eventLog, 'getLatestCursor').mockRejectedValueOnce(new Error(SECRET));
    expect((await harness.first('subscription { presenceEvents { reason } }')).errors).toMatchObject([MASKED]);
    vi.spyOn(harness.store, 'readUsers').mockResolvedValue([{ id: 'x', version: SECRET } as never]);
    const watching = await harness.first('subscription { statusChanges(userIds: ["x"]) { version } }');
    expect(watching.errors).toMatchObject([MASKED]);
    expect(JSON.stringify(watching)).not.toContain('SQLITE');
  });

  it.each([new Error(SECRET), SECRET, null, { code: 'FORBIDDEN', message: SECRET }])(
    '%j thrown bare is masked',
    (error) => {
      expect(told(error)).toEqual({ answer: MASKED, faults: [error] });
    },
  );

  it('is not made presentable by an extensions of a stranger’s making', () => {
    const stranger = Object.assign(new Error(SECRET), { extensions: { code: 'FORBIDDEN' } });
    const wrapped = new GraphQLError(stranger.message, { originalError: stranger, path: ['me'] });
    expect(told(wrapped)).toEqual({ answer: { ...MASKED, path: ['me'] }, faults: [stranger] });
  });
});
