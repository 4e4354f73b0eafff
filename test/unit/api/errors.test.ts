/** The errors that a client receives. */
import { GraphQLError } from 'graphql';
import { describe, expect, it, vi } from 'vitest';
import { toClientError } from '../../../src/api/errors.ts';
import { DomainError, type ErrorDetails } from '../../../src/core/errors.ts';
import { toMillis } from '../../../src/core/ids.ts';
import { jwtCaller, ApiHarness } from './api-harness.ts';

const SECRET = 'SQLITE_CORRUPT: /var/lib/porchlight/data.db';

const convert = (error: unknown) => {
  const internalErrors: unknown[] = [];
  const clientError = toClientError(error, (internalError) => internalErrors.push(internalError));
  expect(clientError.originalError).toBeUndefined();
  return { clientError: clientError.toJSON(), internalErrors };
};

describe('a request error', () => {
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
  ])('is shown with its code and details: %j', (details, extensions) => {
    expect(convert(new DomainError(details, 'Why.'))).toEqual({
      clientError: { message: 'Why.', extensions },
      internalErrors: [],
    });
  });

  it('keeps the path and the location', async () => {
    const { errors } = await new ApiHarness().execute('{ stats { sockets } }', { caller: jwtCaller('alice') });
    expect(errors).toEqual([
      {
        message: expect.any(String) as string,
        path: ['stats'],
        locations: [{ line: 1, column: 3 }],
        extensions: { code: 'FORBIDDEN' },
      },
    ]);
  });

  it('of a library with its own code is kept', () => {
    const error = new GraphQLError('Too deep.', {
      extensions: { code: 'GRAPHQL_VALIDATION_FAILED', http: { status: 400 } },
    });
    expect(convert(error)).toEqual({ clientError: error.toJSON(), internalErrors: [] });
  });
});

describe('an invalid request', () => {
  it.each([
    ['a variable of the wrong type', 'query($id: ID!) { userStatus(userId: $id) { status } }', { id: {} }],
    ['a missing variable', 'query($id: ID!) { userStatus(userId: $id) { status } }', {}],
    ['a variable that is null', 'query($id: ID!) { userStatus(userId: $id) { status } }', { id: null }],
    ['a null inside a list', 'query($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }', { ids: [null] }],
    ['an unknown enum value', 'query($s: Status) { onlineUsers(status: $s) { nodes { status } } }', { s: 'AWAY' }],
    ['an Int out of range', 'query($n: Int) { events(first: $n) { nodes { status } } }', { n: 1e10 }],
    [
      'an explicit null for a variable with a default',
      'query($id: ID = "a") { userStatus(userId: $id) { status } }',
      { id: null },
    ],
    ['null in a directive', 'query($b: Boolean = true) { latestCursor @include(if: $b) }', { b: null }],
    ['two operations without an operation name', 'query a { latestCursor } query b { latestCursor }', {}],
  ])('%s is answered BAD_USER_INPUT and is not an internal error', async (_what, document, variables) => {
    const harness = new ApiHarness();
    expect((await harness.execute(document, { variables })).codes).toEqual(['BAD_USER_INPUT']);
    expect(harness.internalErrors).toEqual([]);
  });
});

describe('an internal error', () => {
  const MASKED = { message: 'Internal server error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } };

  it('is masked for the client and reported unchanged', async () => {
    const harness = new ApiHarness();
    const internalError = new Error(SECRET);
    vi.spyOn(harness.store, 'getPresenceCounts').mockImplementation(() => {
      throw internalError;
    });
    const answer = await harness.execute('{ stats { sockets } }');
    expect(answer.errors).toEqual([{ ...MASKED, path: ['stats'], locations: [{ line: 1, column: 3 }] }]);
    expect(JSON.stringify(answer)).not.toContain('SQLITE');
    expect(harness.internalErrors).toEqual([internalError]);
  });

  it('is a resolver result that does not fit its type', async () => {
    const harness = new ApiHarness();
    vi.spyOn(harness.store, 'getPresenceCounts').mockReturnValue({
      ...harness.store.getPresenceCounts(),
      usersOnline: SECRET as never,
    });
    const answer = await harness.execute('{ stats { usersOnline } }');
    expect(answer.codes).toEqual(['INTERNAL_SERVER_ERROR']);
    expect(JSON.stringify(answer)).not.toContain('SQLITE');
    expect(harness.internalErrors).toHaveLength(1);
  });

  it('is a null result of a non-null field', async () => {
    const harness = new ApiHarness();
    vi.spyOn(harness.store.eventLog, 'getLatestCursor').mockResolvedValue(null as never);
    expect((await harness.execute('{ latestCursor }')).errors).toMatchObject([MASKED]);
  });

  it('is masked when a subscription starts and in its messages', async () => {
    const harness = new ApiHarness();
    vi.spyOn(harness.store.eventLog, 'getLatestCursor').mockRejectedValueOnce(new Error(SECRET));
    expect((await harness.firstMessage('subscription { presenceEvents { reason } }')).errors).toMatchObject([MASKED]);
    vi.spyOn(harness.store, 'readUsers').mockResolvedValue([{ id: 'x', version: SECRET } as never]);
    const watching = await harness.firstMessage('subscription { statusChanges(userIds: ["x"]) { version } }');
    expect(watching.errors).toMatchObject([MASKED]);
    expect(JSON.stringify(watching)).not.toContain('SQLITE');
  });

  it.each([new Error(SECRET), SECRET, null, { code: 'FORBIDDEN', message: SECRET }])(
    'is masked if a resolver throws %j',
    (error) => {
      expect(convert(error)).toEqual({ clientError: MASKED, internalErrors: [error] });
    },
  );

  it('is masked even if a foreign error has extensions with a code', () => {
    const foreign = Object.assign(new Error(SECRET), { extensions: { code: 'FORBIDDEN' } });
    const wrapped = new GraphQLError(foreign.message, { originalError: foreign, path: ['me'] });
    expect(convert(wrapped)).toEqual({ clientError: { ...MASKED, path: ['me'] }, internalErrors: [foreign] });
  });
});
