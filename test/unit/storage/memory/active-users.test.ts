/** Cached users and packed users behave the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { computeUserDeadline } from '../../../../src/core/deadlines.ts';
import { asSocketId, toMillis, type Millis, type UserId } from '../../../../src/core/ids.ts';
import { restoreUserAfterRestart, restoreSessionAfterRestart } from '../../../../src/core/state-machine.ts';
import { computeUserStatus, type SessionRecord, type UserRecord } from '../../../../src/core/records.ts';
import { packSessions } from '../../../../src/storage/memory/packed/session-chunks.ts';
import { ActiveUsers } from '../../../../src/storage/memory/active-users.ts';
import { arbitrarySession, arbitraryUser } from './packed/arbitrary-users.ts';

const START = toMillis(1_767_225_600_000);
const GRAIN_MS = 200;
const IDS = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'é', '慡'] as UserId[];
const NO_LIMIT = 1_000;

const near = fc.integer({ min: 0, max: 100_000 }).map((ms) => toMillis(START + ms));
const session: fc.Arbitrary<SessionRecord> = fc
  .tuple(arbitrarySession, near, fc.boolean())
  .map(([model, at, attached]) => ({
    ...model,
    inactiveSince: at,
    backgroundSince: null,
    detachedAt: null,
    pushExpiresAt: model.status === 'ONLINE' ? null : at,
    timings: { ...model.timings, heartbeatTimeoutMs: 1_000, backgroundTimeoutMs: 5_000 },
    socketIds: attached ? [asSocketId('link')] : [],
  }));
const user: fc.Arbitrary<UserRecord> = fc
  .tuple(arbitraryUser, fc.constantFrom(...IDS), fc.array(session, { maxLength: 3 }))
  .map(([model, id, sessions]) => ({ ...model, id, sessions, status: computeUserStatus(sessions) }));

const countsOf = (users: Iterable<UserRecord>) => {
  const counts = new ActiveUsers(START).getPresenceCounts() as {
    usersOnline: number;
    usersPushOnline: number;
    sessions: Record<string, { online: number; pushOnline: number }>;
  };
  for (const { status, sessions } of users) {
    counts[status === 'ONLINE' ? 'usersOnline' : 'usersPushOnline']++;
    for (const each of sessions) {
      const of = counts.sessions[each.platform];
      if (of !== undefined) of[each.status === 'ONLINE' ? 'online' : 'pushOnline']++;
    }
  }
  return counts;
};

const dueBy = (users: Iterable<UserRecord>, now: Millis): UserId[] =>
  [...users].filter((each) => (computeUserDeadline(each) ?? Infinity) <= now).map(({ id }) => id);

describe('ActiveUsers', () => {
  it('returns, counts and expires users as last stored, regardless of the cache size', () => {
    const operation = fc.oneof(
      fc.record({ put: user }),
      fc.record({ get: fc.constantFrom(...IDS) }),
      fc.record({ again: fc.constantFrom(...IDS) }),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(operation, { maxLength: 60 }),
        near,
        (held, operations, now) => {
          const activeUsers = new ActiveUsers(START, held);
          const model = new Map<UserId, UserRecord>();
          for (const each of operations) {
            if ('get' in each) expect(activeUsers.getUser(each.get)).toEqual(model.get(each.get));
            else if ('again' in each) {
              const known = activeUsers.getUser(each.again);
              if (known !== undefined) activeUsers.putUser(known);
            } else {
              activeUsers.putUser(each.put);
              if (each.put.status === 'OFFLINE') model.delete(each.put.id);
              else model.set(each.put.id, each.put);
            }
            expect(activeUsers.getPresenceCounts()).toEqual(countsOf(model.values()));
          }
          const taken = activeUsers.takeDueUsers(toMillis(now + GRAIN_MS), NO_LIMIT);
          expect(taken.ids).toEqual(expect.arrayContaining(dueBy(model.values(), now)));
          expect(dueBy(model.values(), toMillis(now + GRAIN_MS))).toEqual(expect.arrayContaining([...taken.ids]));
          for (const id of IDS) expect(activeUsers.getUser(id)).toEqual(model.get(id));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('returns the same object for a user while they have a socket', () => {
    const activeUsers = new ActiveUsers(START, 2);
    const [model] = fc.sample(user, 1) as [UserRecord];
    const [one] = fc.sample(session, 1) as [SessionRecord];
    const attached = (id: string): UserRecord => ({
      ...model,
      id: id as UserId,
      status: one.status,
      sessions: [{ ...one, socketIds: [asSocketId(id)] }],
    });
    const users = Array.from({ length: 100 }, (_, index) => attached(`user ${index}`));
    for (const each of users) activeUsers.putUser(each);
    for (const each of users) expect(activeUsers.getUser(each.id)).toBe(each);
    const [first] = users as [UserRecord];
    const alone: UserRecord = { ...first, sessions: [{ ...one, socketIds: [] }] };
    activeUsers.putUser(alone);
    expect(activeUsers.getUser(alone.id)).toBe(alone);
    for (const each of users.slice(1)) activeUsers.putUser({ ...each, sessions: [{ ...one, socketIds: [] }] });
    expect(activeUsers.getUser(alone.id)).not.toBe(alone);
    expect(activeUsers.getUser(alone.id)).toEqual(alone);
  });

  it('loads users session by session with the rules for a restart applied', () => {
    fc.assert(
      fc.property(fc.array(user, { maxLength: 8 }), near, (some, now) => {
        const users = new Map(some.filter(({ status }) => status !== 'OFFLINE').map((each) => [each.id, each]));
        const activeUsers = new ActiveUsers(START);
        for (const each of users.values()) activeUsers.loadUser({ ...each, sessions: [] });
        const orphans = some.filter(({ id }) => !users.has(id));
        const sessions = [...orphans, ...users.values()].flatMap((each) =>
          each.sessions.map((one) => ({ userId: each.id, session: restoreSessionAfterRestart(one, now) })),
        );
        for (const chunk of packSessions(sessions, 200)) {
          for (const session of activeUsers.readChunkSessions(chunk)) activeUsers.loadSession(session);
        }
        const expected = [...users.values()].map((each) => restoreUserAfterRestart(each, now));
        expect(activeUsers.getPresenceCounts()).toEqual(countsOf(expected));
        const later = toMillis(now + 50_000);
        const taken = activeUsers.takeDueUsers(toMillis(later + GRAIN_MS), NO_LIMIT);
        expect(taken.ids).toEqual(expect.arrayContaining(dueBy(expected, later)));
        for (const each of expected) expect(activeUsers.getUser(each.id)).toEqual(each);
      }),
      { numRuns: 300 },
    );
  });
});
