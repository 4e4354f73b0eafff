/** Records: snapshots, sockets and deadlines; errors and visibility. */
import { describe, expect, it } from 'vitest';
import { computeSessionDeadline } from '../../../src/core/deadlines.ts';
import { badUserInputError, forbiddenError, unauthenticatedError } from '../../../src/core/errors.ts';
import { asSocketId, parseUserId } from '../../../src/core/ids.ts';
import { hasOpenSocket, createStatusSnapshot, createUnknownUser } from '../../../src/core/records.ts';
import { canWatchAllUsers, canWatchUser, VISIBILITIES } from '../../../src/core/visibility.ts';
import { UserScenario } from './harness.ts';
import { APP_STATES, EVENT_REASONS, STATUSES } from '../../../src/core/enums.ts';

it('the enumerations have the values of the contract', () => {
  expect([...STATUSES]).toEqual(['ONLINE', 'PUSH_ONLINE', 'OFFLINE']);
  expect([...APP_STATES]).toEqual(['FOREGROUND', 'BACKGROUND']);
  expect([...VISIBILITIES]).toEqual(['everyone', 'none']);
  expect(EVENT_REASONS.join(' ')).toBe(
    'LOGIN RECONNECT LOGOUT DISCONNECT HEARTBEAT_TIMEOUT BACKGROUND_TIMEOUT PUSH_EXPIRED KICKED REPLACED REVOKED CUSTOM_STATUS',
  );
});

describe('a snapshot', () => {
  it('of an unknown user is OFFLINE with version 0 and no other values', () => {
    expect(createStatusSnapshot(createUnknownUser(parseUserId('bob'), 7))).toEqual({
      userId: 'bob',
      status: 'OFFLINE',
      version: 0,
      previousStatus: null,
      reason: null,
      platform: null,
      changedAt: null,
      lastSeenAt: null,
      customStatus: null,
    });
  });

  it('has no previousStatus and no platform, because it is not a change', () => {
    const story = new UserScenario();
    const id = story.login('WEB');
    story.setText(id, 'busy');
    expect(createStatusSnapshot(story.user)).toEqual({
      userId: 'alice',
      status: 'ONLINE',
      version: 2,
      previousStatus: null,
      reason: 'CUSTOM_STATUS',
      platform: null,
      changedAt: story.now,
      lastSeenAt: story.now,
      customStatus: 'busy',
    });
  });
});

it('hasOpenSocket is true while a socket is attached', () => {
  const story = new UserScenario();
  const id = story.login('WEB', { link: asSocketId('l') });
  const attached = story.session(id);
  story.detach(asSocketId('l'), true);
  const left = story.session(id);
  expect([attached && hasOpenSocket(attached), left && hasOpenSocket(left)]).toEqual([true, false]);
});

describe('deadlines of a record', () => {
  it('a user without sessions has no deadline', () => expect(new UserScenario().nextDeadline).toBeNull());

  it('a PUSH_ONLINE session without an expiry date, which no command creates, is due at once', () => {
    const story = new UserScenario();
    const session = story.session(story.loginPushOnline('IPHONE'));
    if (!session) throw new Error('The session is gone.');
    expect(computeSessionDeadline({ ...session, pushExpiresAt: null })).toEqual({
      at: session.lastSeenAt,
      reason: 'PUSH_EXPIRED',
    });
  });
});

it('errors have their code and message', () => {
  expect(badUserInputError('a')).toMatchObject({
    name: 'DomainError',
    message: 'a',
    details: { code: 'BAD_USER_INPUT' },
  });
  expect(unauthenticatedError('b')).toMatchObject({ message: 'b', details: { code: 'UNAUTHENTICATED' } });
  expect(forbiddenError('c')).toMatchObject({ message: 'c', details: { code: 'FORBIDDEN' } });
});

describe('canWatchUser', () => {
  const [me, bob, eve] = [parseUserId('me'), parseUserId('bob'), parseUserId('eve')];

  it.each([
    ['the user themselves, with any claim and any setting', [] as const, 'none', me, true],
    ['the user themselves, without a claim', null, 'none', me, true],
    ['everyone, with the claim "*" and any setting', '*', 'none', eve, true],
    ['a user whom the claim lists', [bob], 'none', bob, true],
    ['no user outside the claim, although the setting is everyone', [bob], 'everyone', eve, false],
    ['no other user, with an empty claim', [] as const, 'everyone', bob, false],
    ['everyone, without a claim and with the setting everyone', null, 'everyone', bob, true],
    ['no other user, without a claim and with the setting none', null, 'none', bob, false],
  ] as const)('%s', (_, watch, visibility, asked, may) => {
    expect(canWatchUser(me, watch, visibility, asked)).toBe(may);
  });

  it('compares ids exactly', () => {
    expect(canWatchUser(me, [bob], 'none', parseUserId('Bob'))).toBe(false);
  });

  it('holds for each user of a list, however long the list and the claim are', () => {
    for (const length of [0, 1, 49, 50, 500]) {
      const users = Array.from({ length }, (_, index) => parseUserId(`user ${index}`));
      for (const visibility of VISIBILITIES) {
        for (const asked of [users, [...users, me], [me, ...users, ...users]]) {
          expect(canWatchAllUsers(me, users, visibility, asked)).toBe(true);
          expect(canWatchAllUsers(me, users, visibility, [...asked, eve])).toBe(false);
          expect(canWatchAllUsers(me, '*', visibility, [...asked, eve])).toBe(true);
        }
      }
      expect(canWatchAllUsers(me, null, 'everyone', users)).toBe(true);
      expect(canWatchAllUsers(me, null, 'none', [me])).toBe(true);
      expect(canWatchAllUsers(me, null, 'none', users)).toBe(length === 0);
    }
  });
});
