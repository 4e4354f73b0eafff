/** Records read by others: snapshots, attachment, deadlines of a record as it stands, refusals, visibility. */
import { describe, expect, it } from 'vitest';
import { computeSessionDeadline } from '../../../src/core/deadlines.ts';
import { badUserInputError, forbiddenError, unauthenticatedError } from '../../../src/core/errors.ts';
import { asSocketId, parseUserId } from '../../../src/core/ids.ts';
import { hasOpenSocket, createStatusSnapshot, createUnknownUser } from '../../../src/core/records.ts';
import { canWatchUser, VISIBILITIES } from '../../../src/core/visibility.ts';
import { Story } from './harness.ts';
import { APP_STATES, EVENT_REASONS, STATUSES } from '../../../src/core/enums.ts';

it('the words of the contract', () => {
  expect([...STATUSES]).toEqual(['ONLINE', 'PUSH_ONLINE', 'OFFLINE']);
  expect([...APP_STATES]).toEqual(['FOREGROUND', 'BACKGROUND']);
  expect([...VISIBILITIES]).toEqual(['everyone', 'none']);
  expect(EVENT_REASONS.join(' ')).toBe(
    'LOGIN RECONNECT LOGOUT DISCONNECT HEARTBEAT_TIMEOUT BACKGROUND_TIMEOUT PUSH_EXPIRED KICKED REPLACED REVOKED CUSTOM_STATUS',
  );
});

describe('a snapshot', () => {
  it('of a user never seen is OFFLINE, version 0, and nothing else', () => {
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

  it('tells the present, which is no change: no previousStatus, no platform', () => {
    const story = new Story();
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

it('a session is attached while a socket of it is open', () => {
  const story = new Story();
  const id = story.login('WEB', { link: asSocketId('l') });
  const attached = story.session(id);
  story.detach(asSocketId('l'), true);
  const left = story.session(id);
  expect([attached && hasOpenSocket(attached), left && hasOpenSocket(left)]).toEqual([true, false]);
});

describe('deadlines of a record', () => {
  it('a user without a session has none', () => expect(new Story().nextLook).toBeNull());

  it('a PUSH_ONLINE session without a date, which no step makes, is due at once', () => {
    const story = new Story();
    const session = story.session(story.pushed('IPHONE'));
    if (!session) throw new Error('The session is gone.');
    expect(computeSessionDeadline({ ...session, pushExpiresAt: null })).toEqual({
      at: session.lastSeenAt,
      reason: 'PUSH_EXPIRED',
    });
  });
});

it('refusals carry their code and their message', () => {
  expect(badUserInputError('a')).toMatchObject({
    name: 'DomainError',
    message: 'a',
    details: { code: 'BAD_USER_INPUT' },
  });
  expect(unauthenticatedError('b')).toMatchObject({ message: 'b', details: { code: 'UNAUTHENTICATED' } });
  expect(forbiddenError('c')).toMatchObject({ message: 'c', details: { code: 'FORBIDDEN' } });
});

describe('whom a user may ask about', () => {
  const [me, bob, eve] = [parseUserId('me'), parseUserId('bob'), parseUserId('eve')];

  it.each([
    ['herself, whatever the claim and the setting', [] as const, 'none', me, true],
    ['herself, without a claim', null, 'none', me, true],
    ['everyone, with the claim "*", whatever the setting', '*', 'none', eve, true],
    ['whom the claim lists', [bob], 'none', bob, true],
    ['nobody else, though the setting says everyone', [bob], 'everyone', eve, false],
    ['nobody, with an empty claim', [] as const, 'everyone', bob, false],
    ['everyone, without a claim, where the setting is everyone', null, 'everyone', bob, true],
    ['nobody, without a claim, where the setting is none', null, 'none', bob, false],
  ] as const)('%s', (_, watch, visibility, asked, may) => {
    expect(canWatchUser(me, watch, visibility, asked)).toBe(may);
  });

  it('ids are compared exactly', () => {
    expect(canWatchUser(me, [bob], 'none', parseUserId('Bob'))).toBe(false);
  });
});
