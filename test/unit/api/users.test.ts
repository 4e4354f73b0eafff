/** Asking about users. */
import { describe, expect, it } from 'vitest';
import { BACKEND_CALLER } from '../../../src/app/auth/caller.ts';
import { parseUserId } from '../../../src/core/ids.ts';
import { session, user, ApiHarness } from './api-harness.ts';

const STATUSES = 'query($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status version } }';
const ALL = `{ userStatus(userId: "alice") {
  userId status version changedAt lastSeenAt customStatus reason sessions { id deviceId }
} }`;

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `u${index}`);

describe('userStatus', () => {
  it('of a user never seen is OFFLINE with nothing known, and no error', async () => {
    expect(await new ApiHarness().ask(ALL)).toEqual({
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

  it('tells why, since when and on which devices', async () => {
    const harness = new ApiHarness();
    const { session: began } = await harness.login('alice');
    const at = new Date(began.loggedInAt).toISOString();
    expect(await harness.backend(ALL)).toEqual({
      userStatus: {
        userId: 'alice',
        status: 'ONLINE',
        version: 1,
        changedAt: at,
        lastSeenAt: at,
        customStatus: null,
        reason: 'LOGIN',
        sessions: [{ id: began.id, deviceId: 'd1' }],
      },
    });
    expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it.each(['', 'a\nb', 'x'.repeat(129), '\ud800'])('of %j, which is no user id, is BAD_USER_INPUT', async (id) => {
    const document = 'query($id: ID!) { userStatus(userId: $id) { status } }';
    expect((await new ApiHarness().ask(document, { variables: { id } })).codes).toEqual(['BAD_USER_INPUT']);
  });

  it('takes a number as an id, and keeps odd ids exactly', async () => {
    const harness = new ApiHarness();
    expect(await harness.backend('{ userStatus(userId: 42) { userId } }')).toEqual({ userStatus: { userId: '42' } });
    const odd = ' 🦊 <script>%00 ';
    const document = 'query($id: ID!) { userStatus(userId: $id) { userId } }';
    expect(await harness.backend(document, { id: odd })).toEqual({ userStatus: { userId: odd } });
  });
});

describe('userStatuses', () => {
  it('answers in the order asked, duplicates and all', async () => {
    const harness = new ApiHarness();
    await harness.login('bob');
    expect(await harness.backend(STATUSES, { ids: ['bob', 'alice', 'bob'] })).toEqual({
      userStatuses: [
        { userId: 'bob', status: 'ONLINE', version: 1 },
        { userId: 'alice', status: 'OFFLINE', version: 0 },
        { userId: 'bob', status: 'ONLINE', version: 1 },
      ],
    });
  });

  it('answers none for none', async () => {
    expect(await new ApiHarness().backend(STATUSES, { ids: [] })).toEqual({ userStatuses: [] });
  });

  it('counts the users of all fields of a query together', async () => {
    const harness = new ApiHarness();
    const TWICE =
      'query ($ids: [ID!]!, $id: ID!) { all: userStatuses(userIds: $ids) { userId } one: userStatus(userId: $id) { userId } }';
    const { all, one } = await harness.backend<{ all: unknown[]; one: unknown }>(TWICE, { ids: names(499), id: 'one' });
    expect([all.length, one]).toEqual([499, { userId: 'one' }]);
    expect(
      await harness.ask(TWICE, { caller: BACKEND_CALLER, variables: { ids: names(500), id: 'one' } }),
    ).toMatchObject({
      data: null,
      codes: ['TOO_MANY_USERS'],
      errors: [{ message: '501 users are asked for; at most 500 may be in one call.' }],
    });
  });

  it('answers for 500 users, and for 501 with TOO_MANY_USERS', async () => {
    const harness = new ApiHarness();
    const { userStatuses } = await harness.backend<{ userStatuses: unknown[] }>(STATUSES, { ids: names(500) });
    expect(userStatuses).toHaveLength(500);
    expect(await harness.ask(STATUSES, { variables: { ids: names(501) } })).toMatchObject({
      data: null,
      codes: ['TOO_MANY_USERS'],
    });
  });

  it('counts first, reads the ids next, and only then looks who may see them', async () => {
    const caller = user('alice', []);
    const codesOf = async (ids: readonly string[]) =>
      (await new ApiHarness().ask(STATUSES, { caller, variables: { ids } })).codes;
    expect(await codesOf([...names(500), ''])).toEqual(['TOO_MANY_USERS']);
    expect(await codesOf(['bob', ''])).toEqual(['BAD_USER_INPUT']);
    expect(await codesOf(['bob'])).toEqual(['FORBIDDEN']);
  });
});

describe('visibility', () => {
  it('FORBIDDEN is the same whether or not the user exists', async () => {
    const harness = new ApiHarness('none');
    await harness.login('bob');
    const refusal = async (id: string) => {
      const document = 'query($id: ID!) { userStatus(userId: $id) { status } }';
      return JSON.stringify(await harness.ask(document, { caller: user('alice'), variables: { id } }));
    };
    expect(await refusal('bob')).toBe(await refusal('nobody-known'));
    expect(await refusal('bob')).toContain('FORBIDDEN');
  });

  it('refuses the whole list for one in it who may not be seen', async () => {
    const asking = { caller: user('alice', [parseUserId('bob')]), variables: { ids: ['bob', 'carol'] } };
    expect(await new ApiHarness().ask(STATUSES, asking)).toMatchObject({ data: null, codes: ['FORBIDDEN'] });
  });

  it.each([
    ['everyone', null, 'bob', 'ok'],
    ['none', null, 'bob', 'FORBIDDEN'],
    ['none', null, 'alice', 'ok'],
    ['none', '*', 'bob', 'ok'],
    ['none', [parseUserId('bob')], 'bob', 'ok'],
    ['everyone', [parseUserId('bob')], 'carol', 'FORBIDDEN'],
    ['everyone', [], 'alice', 'ok'],
  ] as const)('%s, claim %j: asking about %s → %s', async (visibility, watch, id, answer) => {
    const harness = new ApiHarness(visibility);
    const ref = await harness.login('alice');
    for (const caller of [user('alice', watch), session(ref, watch)]) {
      const { codes } = await harness.ask(STATUSES, { caller, variables: { ids: [id] } });
      expect(codes[0] ?? 'ok').toBe(answer);
      const document = 'subscription($ids: [ID!]!) { statusChanges(userIds: $ids) { userId } }';
      const first = await harness.first(document, { caller, variables: { ids: [id] } });
      expect(first.codes[0] ?? 'ok').toBe(answer);
    }
  });
});

describe('the sessions of a user', () => {
  it('are null and FORBIDDEN for others, beside an answered status', async () => {
    const harness = new ApiHarness();
    await harness.login('bob');
    const document = '{ userStatus(userId: "bob") { status sessions { id } } }';
    expect(await harness.ask(document, { caller: user('alice') })).toMatchObject({
      data: { userStatus: { status: 'ONLINE', sessions: null } },
      errors: [{ path: ['userStatus', 'sessions'] }],
      codes: ['FORBIDDEN'],
    });
  });

  it('are refused in the same words for a user never seen', async () => {
    const harness = new ApiHarness();
    await harness.login('bob');
    const refusal = async (id: string) => {
      const document = 'query($id: ID!) { userStatus(userId: $id) { sessions { id } } }';
      return (await harness.ask(document, { caller: user('alice'), variables: { id } })).errors;
    };
    expect(await refusal('bob')).toEqual(await refusal('never-seen'));
  });

  it('are shown to the user, to her sessions and to backends', async () => {
    const harness = new ApiHarness();
    const ref = await harness.login('bob');
    for (const caller of [user('bob'), session(ref), BACKEND_CALLER]) {
      expect(await harness.ask('{ userStatus(userId: "bob") { sessions { id } } }', { caller })).toMatchObject({
        data: { userStatus: { sessions: [{ id: ref.sessionId }] } },
        codes: [],
      });
    }
  });
});
