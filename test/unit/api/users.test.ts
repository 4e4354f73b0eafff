/** `userStatus` and `userStatuses`. */
import { describe, expect, it } from 'vitest';
import { BACKEND_CALLER } from '../../../src/app/auth/caller.ts';
import { parseUserId } from '../../../src/core/ids.ts';
import { sessionCaller, jwtCaller, ApiHarness } from './api-harness.ts';

const STATUSES = 'query($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status version } }';
const ALL = `{ userStatus(userId: "alice") {
  userId status version changedAt lastSeenAt customStatus reason sessions { id deviceId }
} }`;

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `u${index}`);

describe('userStatus', () => {
  it('of a user without any login is OFFLINE with empty fields, without an error', async () => {
    expect(await new ApiHarness().execute(ALL)).toEqual({
      data: {
        userStatus: {
          userId: 'alice',
          status: 'OFFLINE',
          version: 0,
          changedAt: null,
          lastSeenAt: null,
          customStatus: null,
          reason: null,
          sessions: [],
        },
      },
      errors: [],
      codes: [],
    });
  });

  it('contains the reason, the times and the sessions', async () => {
    const harness = new ApiHarness();
    const { session: started } = await harness.login('alice');
    const at = new Date(started.loggedInAt).toISOString();
    expect(await harness.executeAsBackend(ALL)).toEqual({
      userStatus: {
        userId: 'alice',
        status: 'ONLINE',
        version: 1,
        changedAt: at,
        lastSeenAt: at,
        customStatus: null,
        reason: 'LOGIN',
        sessions: [{ id: started.id, deviceId: 'd1' }],
      },
    });
    expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it.each(['', 'a\nb', 'x'.repeat(129), '\ud800'])(
    'of the invalid user id %j is answered BAD_USER_INPUT',
    async (id) => {
      const document = 'query($id: ID!) { userStatus(userId: $id) { status } }';
      expect((await new ApiHarness().execute(document, { variables: { id } })).codes).toEqual(['BAD_USER_INPUT']);
    },
  );

  it('accepts a number as an id, and returns unusual ids unchanged', async () => {
    const harness = new ApiHarness();
    expect(await harness.executeAsBackend('{ userStatus(userId: 42) { userId } }')).toEqual({
      userStatus: { userId: '42' },
    });
    const unusual = ' 🦊 <script>%00 ';
    const document = 'query($id: ID!) { userStatus(userId: $id) { userId } }';
    expect(await harness.executeAsBackend(document, { id: unusual })).toEqual({ userStatus: { userId: unusual } });
  });
});

describe('userStatuses', () => {
  it('returns the users in the requested order, including duplicates', async () => {
    const harness = new ApiHarness();
    await harness.login('bob');
    expect(await harness.executeAsBackend(STATUSES, { ids: ['bob', 'alice', 'bob'] })).toEqual({
      userStatuses: [
        { userId: 'bob', status: 'ONLINE', version: 1 },
        { userId: 'alice', status: 'OFFLINE', version: 0 },
        { userId: 'bob', status: 'ONLINE', version: 1 },
      ],
    });
  });

  it('returns an empty list for an empty list', async () => {
    expect(await new ApiHarness().executeAsBackend(STATUSES, { ids: [] })).toEqual({ userStatuses: [] });
  });

  it('counts the users of all fields of a query together', async () => {
    const harness = new ApiHarness();
    const TWICE =
      'query ($ids: [ID!]!, $id: ID!) { all: userStatuses(userIds: $ids) { userId } one: userStatus(userId: $id) { userId } }';
    const { all, one } = await harness.executeAsBackend<{ all: unknown[]; one: unknown }>(TWICE, {
      ids: names(499),
      id: 'one',
    });
    expect([all.length, one]).toEqual([499, { userId: 'one' }]);
    expect(
      await harness.execute(TWICE, { caller: BACKEND_CALLER, variables: { ids: names(500), id: 'one' } }),
    ).toMatchObject({
      data: null,
      codes: ['TOO_MANY_USERS'],
      errors: [{ message: 'The call names 501 users; the maximum is 500.' }],
    });
  });

  it('accepts 500 users, and answers 501 with TOO_MANY_USERS', async () => {
    const harness = new ApiHarness();
    const { userStatuses } = await harness.executeAsBackend<{ userStatuses: unknown[] }>(STATUSES, { ids: names(500) });
    expect(userStatuses).toHaveLength(500);
    expect(await harness.execute(STATUSES, { variables: { ids: names(501) } })).toMatchObject({
      data: null,
      codes: ['TOO_MANY_USERS'],
    });
  });

  it('checks the number first, then the ids, and then the visibility', async () => {
    const caller = jwtCaller('alice', []);
    const codesOf = async (ids: readonly string[]) =>
      (await new ApiHarness().execute(STATUSES, { caller, variables: { ids } })).codes;
    expect(await codesOf([...names(500), ''])).toEqual(['TOO_MANY_USERS']);
    expect(await codesOf(['bob', ''])).toEqual(['BAD_USER_INPUT']);
    expect(await codesOf(['bob'])).toEqual(['FORBIDDEN']);
  });
});

describe('visibility', () => {
  it('the FORBIDDEN error is the same whether or not the user exists', async () => {
    const harness = new ApiHarness('none');
    await harness.login('bob');
    const errorFor = async (id: string) => {
      const document = 'query($id: ID!) { userStatus(userId: $id) { status } }';
      return JSON.stringify(await harness.execute(document, { caller: jwtCaller('alice'), variables: { id } }));
    };
    expect(await errorFor('bob')).toBe(await errorFor('unknown-user'));
    expect(await errorFor('bob')).toContain('FORBIDDEN');
  });

  it('refuses the whole list if the caller may not see one user', async () => {
    const options = { caller: jwtCaller('alice', [parseUserId('bob')]), variables: { ids: ['bob', 'carol'] } };
    expect(await new ApiHarness().execute(STATUSES, options)).toMatchObject({ data: null, codes: ['FORBIDDEN'] });
  });

  it.each([
    ['everyone', null, 'bob', 'ok'],
    ['none', null, 'bob', 'FORBIDDEN'],
    ['none', null, 'alice', 'ok'],
    ['none', '*', 'bob', 'ok'],
    ['none', [parseUserId('bob')], 'bob', 'ok'],
    ['everyone', [parseUserId('bob')], 'carol', 'FORBIDDEN'],
    ['everyone', [], 'alice', 'ok'],
  ] as const)(
    'with the option %s and the claim %j, requesting %s is answered %s',
    async (visibility, watch, id, answer) => {
      const harness = new ApiHarness(visibility);
      const ref = await harness.login('alice');
      for (const caller of [jwtCaller('alice', watch), sessionCaller(ref, watch)]) {
        const { codes } = await harness.execute(STATUSES, { caller, variables: { ids: [id] } });
        expect(codes[0] ?? 'ok').toBe(answer);
        const document = 'subscription($ids: [ID!]!) { statusChanges(userIds: $ids) { userId } }';
        const first = await harness.firstMessage(document, { caller, variables: { ids: [id] } });
        expect(first.codes[0] ?? 'ok').toBe(answer);
      }
    },
  );
});

describe('the sessions of a user', () => {
  it('are null with a FORBIDDEN error for other users, while the status is returned', async () => {
    const harness = new ApiHarness();
    await harness.login('bob');
    const document = '{ userStatus(userId: "bob") { status sessions { id } } }';
    expect(await harness.execute(document, { caller: jwtCaller('alice') })).toMatchObject({
      data: { userStatus: { status: 'ONLINE', sessions: null } },
      errors: [{ path: ['userStatus', 'sessions'] }],
      codes: ['FORBIDDEN'],
    });
  });

  it('are refused with the same error for a user without any login', async () => {
    const harness = new ApiHarness();
    await harness.login('bob');
    const errorFor = async (id: string) => {
      const document = 'query($id: ID!) { userStatus(userId: $id) { sessions { id } } }';
      return (await harness.execute(document, { caller: jwtCaller('alice'), variables: { id } })).errors;
    };
    expect(await errorFor('bob')).toEqual(await errorFor('unknown-user'));
  });

  it('are visible to the user, to the sessions of the user and to backends', async () => {
    const harness = new ApiHarness();
    const ref = await harness.login('bob');
    for (const caller of [jwtCaller('bob'), sessionCaller(ref), BACKEND_CALLER]) {
      expect(await harness.execute('{ userStatus(userId: "bob") { sessions { id } } }', { caller })).toMatchObject({
        data: { userStatus: { sessions: [{ id: ref.sessionId }] } },
        codes: [],
      });
    }
  });
});
