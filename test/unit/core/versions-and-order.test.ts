/** What is told, once and in order: versions, changes that are none, several sessions in one command, durability. */
import { describe, expect, it } from 'vitest';
import { parseDeviceId, toMillis, parseSessionId, parseUserId } from '../../../src/core/ids.ts';
import { createUnknownUser } from '../../../src/core/records.ts';
import { Story } from './harness.ts';
import { SECOND } from './tables.ts';

const beside = () =>
  new Story({
    multiDevice: { mode: 'MULTI' },
    platforms: [{ platform: 'WEB', canBePushOnline: true, maxInstances: 3 }],
  });

describe('the status of a user', () => {
  it("is the highest of her sessions': ONLINE before PUSH_ONLINE before OFFLINE", () => {
    const story = beside();
    const web = story.login('WEB');
    const phone = story.pushed('IPHONE');
    expect(story.user.status).toBe('ONLINE');
    story.logout(web);
    expect(story.user.status).toBe('PUSH_ONLINE');
    story.logout(phone);
    expect(story.user.status).toBe('OFFLINE');
  });

  it('does not change, nor its version, when a second device comes online or goes: an event, but no change', () => {
    const story = beside();
    story.login('IPHONE');
    const { changedAt } = story.user;
    const web = story.after(SECOND).login('WEB');
    expect([story.told, story.watched]).toEqual([['LOGIN ONLINE>ONLINE v1'], []]);
    story.logout(web);
    expect([story.told, story.watched]).toEqual([['LOGOUT ONLINE>ONLINE v1'], []]);
    expect(story.user).toMatchObject({ version: 1, changedAt, reason: 'LOGIN', lastSeenAt: story.now });
  });

  it('has versions one higher each, without a hole, and each change follows from the one before', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    const all = [...story.watched];
    const note = () => all.push(...story.watched);
    story.detach(story.attach(id));
    note();
    story.live(id);
    note();
    story.setText(id, 'busy');
    note();
    story.logout(id);
    note();
    expect(all).toEqual([
      'LOGIN OFFLINE>ONLINE v1',
      'DISCONNECT ONLINE>PUSH_ONLINE v2',
      'RECONNECT PUSH_ONLINE>ONLINE v3',
      'CUSTOM_STATUS ONLINE>ONLINE v4',
      'LOGOUT ONLINE>OFFLINE v5',
    ]);
  });

  it('of a forgotten user has a next version above every one forgotten', () => {
    const story = new Story();
    story.user = createUnknownUser(parseUserId('alice'), 41);
    expect(story.user).toMatchObject({
      version: 0,
      status: 'OFFLINE',
      changedAt: null,
      reason: null,
      lastSeenAt: null,
    });
    story.login('WEB');
    expect([story.user.version, story.user.versionFloor]).toEqual([42, 0]);
    story.end();
    expect(story.user.version).toBe(43);
  });

  it('is told with all that watchers see', () => {
    const story = new Story();
    const id = story.login('WEB');
    story.after(SECOND).setText(id, 'busy');
    expect(story.last.changes[0]?.statusChange).toEqual({
      userId: 'alice',
      status: 'ONLINE',
      version: 2,
      previousStatus: 'ONLINE',
      reason: 'CUSTOM_STATUS',
      platform: 'WEB',
      changedAt: story.now,
      lastSeenAt: story.now,
      customStatus: 'busy',
    });
  });
});

describe('several sessions at once', () => {
  it('time out one after another, the earliest deadline first, each as a change of its own', () => {
    const story = beside();
    const phone = story.login('IPHONE');
    const web = story.login('WEB');
    const windows = story.login('WINDOWS');
    story.after(2 * 400 * SECOND).wake();
    expect(story.events.map(({ sessionId: id }) => id)).toEqual([web, phone, windows]);
    expect(story.last.changes).toHaveLength(3);
    expect(story.told).toEqual([
      'HEARTBEAT_TIMEOUT ONLINE>ONLINE v1',
      'HEARTBEAT_TIMEOUT ONLINE>ONLINE v1',
      'HEARTBEAT_TIMEOUT ONLINE>PUSH_ONLINE v2',
    ]);
  });

  it('time out only where they were due when the wake was called, however late it has its turn', () => {
    const story = beside();
    const web = story.login('WEB');
    const windows = story.after(SECOND).login('WINDOWS');
    const dueBy = toMillis(story.now + 59 * SECOND);
    story.after(400 * SECOND).do({ type: 'expire', dueBy });
    expect(story.events.map(({ sessionId: id }) => id)).toEqual([web]);
    story.wake();
    expect(story.events.map(({ sessionId: id }) => id)).toEqual([windows]);
  });

  it('are looked at when the first of them is due, wherever it stands', () => {
    const story = beside();
    story.login('IPHONE');
    story.login('WEB');
    story.login('WINDOWS');
    expect(story.nextLook).toBe(60 * SECOND);
  });

  it('are ended by a backend in one change, the first event carrying it', () => {
    const story = beside();
    const ids = [story.login('IPHONE'), story.login('WEB')];
    const link = story.attach(ids[0] ?? parseSessionId('none'));
    story.end();
    expect(story.last.changes).toHaveLength(1);
    expect(story.told).toEqual(['REVOKED ONLINE>OFFLINE v2', 'REVOKED OFFLINE>OFFLINE v2']);
    expect(story.last.endedSessions.map(({ session }) => session.id)).toEqual(ids);
    expect(story.last.changes[0]?.lostSockets).toMatchObject([
      { socketId: link, reason: 'REVOKED', isSessionEnded: true },
    ]);
  });
});

describe('a backend ends', () => {
  const three = () => {
    const story = beside();
    return { story, phone: story.login('IPHONE'), web: story.login('WEB'), web2: story.login('WEB') };
  };

  it('all sessions of one platform', () => {
    const { story, phone } = three();
    story.end({ platform: 'WEB' });
    expect(story.sessions).toEqual([phone]);
  });

  it('one session', () => {
    const { story, phone, web2, web } = three();
    story.end({ id: web });
    expect(story.sessions).toEqual([phone, web2]);
  });

  it('nothing when platform and session do not belong together', () => {
    const { story, phone } = three();
    const before = story.user;
    story.end({ platform: 'WEB', id: phone });
    expect(story.user).toBe(before);
    expect(story.last).toMatchObject({ changes: [], endedSessions: [], mustBeDurable: false });
  });

  it('with revokeTokens: the moment is kept, durably, even for a user without a session', () => {
    const story = new Story();
    story.end({ revokeTokens: true });
    expect(story.user).toMatchObject({ tokensRevokedBefore: story.now, version: 0, status: 'OFFLINE' });
    expect(story.last).toMatchObject({ changes: [], mustBeDurable: true, session: null });
  });
});

describe('the custom text', () => {
  it('set to what it is already: no change, yet a sign of life', () => {
    const story = new Story();
    const id = story.login('WEB');
    story.setText(id, 'busy');
    story.after(SECOND).setText(id, 'busy');
    expect([story.told, story.user.version, story.user.lastSeenAt]).toEqual([[], 2, story.now]);
    story.setText(id, null);
    expect(story.told).toEqual(['CUSTOM_STATUS ONLINE>ONLINE v3']);
    expect(story.user.customStatus).toBeNull();
  });

  it('outlives PUSH_ONLINE and a new login, and is cleared when the user becomes OFFLINE, in that same change', () => {
    const story = new Story();
    const id = story.pushed('IPHONE');
    story.setText(id, 'busy');
    story.detach(story.attach(id));
    expect([story.user.status, story.user.customStatus]).toEqual(['PUSH_ONLINE', 'busy']);
    const web = story.login('WEB');
    expect(story.events.map(({ customStatus }) => customStatus)).toEqual(['busy', 'busy']);
    story.logout(web);
    expect(story.user.customStatus).toBeNull();
    expect(story.last.changes[0]?.statusChange?.customStatus).toBeNull();
    expect(story.events[0]?.customStatus).toBeNull();
  });
});

describe('an ended session', () => {
  it.each(['heartbeat', 'life', 'attach', 'logout', 'setCustomStatus'] as const)(
    'may do nothing any more: %s',
    (what) => {
      const story = new Story();
      const id = story.login('WEB');
      story.logout(id);
      const before = story.user;
      story.after(SECOND);
      if (what === 'heartbeat') story.beat(id, 'BACKGROUND');
      else if (what === 'life') story.live(id);
      else if (what === 'attach') story.attach(id);
      else if (what === 'logout') story.logout(id);
      else story.setText(id, 'still here');
      expect(story.last).toEqual({ user: before, changes: [], endedSessions: [], session: null, mustBeDurable: false });
      expect(story.user).toBe(before);
    },
  );
});

describe('what must be on disk before anyone hears of it', () => {
  it('every change, and timings that were told; not mere signs of life or sockets', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    expect(story.last.mustBeDurable).toBe(true);
    const link = story.attach(id);
    expect(story.last.mustBeDurable).toBe(false);
    story.beat(id, 'BACKGROUND');
    expect(story.last.mustBeDurable).toBe(false);
    story.detach(link, true);
    expect(story.last.mustBeDurable).toBe(false);
    story.changePolicy({ preset: 'CLASSIC', platforms: [{ platform: 'IPHONE', disconnectGraceMs: 1 }] });
    story.beat(id);
    expect(story.last).toMatchObject({ mustBeDurable: true, changes: [] });
  });
});

it("keeps what the login said of itself, and the session's latest address", () => {
  const story = new Story();
  const id = story.login('WEB', { device: 'd', ipAddress: '192.0.2.1' });
  const at = story.now;
  story.after(SECOND).beat(id);
  expect(story.session(id)).toMatchObject({
    deviceId: parseDeviceId('d'),
    appVersion: '1.2.3',
    osVersion: '17',
    ipAddress: '192.0.2.1',
    loggedInAt: at,
    tokenHash: 'hash-1',
    watchScope: null,
  });
  story.do({ type: 'heartbeat', sessionId: id, appState: null, ipAddress: '192.0.2.2' });
  story.logout(id);
  expect(story.events[0]?.ipAddress).toBe('192.0.2.2');
});
