/** Versions, events without a status change, several sessions in one command, and durability. */
import { describe, expect, it } from 'vitest';
import { parseDeviceId, toMillis, parseSessionId, parseUserId } from '../../../src/core/ids.ts';
import { createUnknownUser } from '../../../src/core/records.ts';
import { UserScenario } from './harness.ts';
import { SECOND } from './tables.ts';

const beside = () =>
  new UserScenario({
    multiDevice: { mode: 'MULTI' },
    platforms: [{ platform: 'WEB', canBePushOnline: true, maxInstances: 3 }],
  });

describe('the status of a user', () => {
  it('is the highest of the sessions: ONLINE before PUSH_ONLINE before OFFLINE', () => {
    const story = beside();
    const web = story.login('WEB');
    const phone = story.loginPushOnline('IPHONE');
    expect(story.user.status).toBe('ONLINE');
    story.logout(web);
    expect(story.user.status).toBe('PUSH_ONLINE');
    story.logout(phone);
    expect(story.user.status).toBe('OFFLINE');
  });

  it('does not change, and keeps its version, when a second device logs in or out; events are logged', () => {
    const story = beside();
    story.login('IPHONE');
    const { changedAt } = story.user;
    const web = story.after(SECOND).login('WEB');
    expect([story.eventSummaries, story.changeSummaries]).toEqual([['LOGIN ONLINE>ONLINE v1'], []]);
    story.logout(web);
    expect([story.eventSummaries, story.changeSummaries]).toEqual([['LOGOUT ONLINE>ONLINE v1'], []]);
    expect(story.user).toMatchObject({ version: 1, changedAt, reason: 'LOGIN', lastSeenAt: story.now });
  });

  it('has consecutive versions, and each change starts from the previous status', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    const all = [...story.changeSummaries];
    const note = () => all.push(...story.changeSummaries);
    story.detach(story.attach(id));
    note();
    story.recordActivity(id);
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

  it('of a removed user has a next version above every removed one', () => {
    const story = new UserScenario();
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
    story.endSessions();
    expect(story.user.version).toBe(43);
  });

  it('is published with every field that watchers receive', () => {
    const story = new UserScenario();
    const id = story.login('WEB');
    story.after(SECOND).setText(id, 'busy');
    expect(story.lastOutcome.changes[0]?.statusChange).toEqual({
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
  it('time out one after another, the earliest deadline first, each as its own change', () => {
    const story = beside();
    const phone = story.login('IPHONE');
    const web = story.login('WEB');
    const windows = story.login('WINDOWS');
    story.after(2 * 400 * SECOND).expire();
    expect(story.events.map(({ sessionId: id }) => id)).toEqual([web, phone, windows]);
    expect(story.lastOutcome.changes).toHaveLength(3);
    expect(story.eventSummaries).toEqual([
      'HEARTBEAT_TIMEOUT ONLINE>ONLINE v1',
      'HEARTBEAT_TIMEOUT ONLINE>ONLINE v1',
      'HEARTBEAT_TIMEOUT ONLINE>PUSH_ONLINE v2',
    ]);
  });

  it('time out only if they were due by dueBy, however late the command runs', () => {
    const story = beside();
    const web = story.login('WEB');
    const windows = story.after(SECOND).login('WINDOWS');
    const dueBy = toMillis(story.now + 59 * SECOND);
    story.after(400 * SECOND).apply({ type: 'expire', dueBy });
    expect(story.events.map(({ sessionId: id }) => id)).toEqual([web]);
    story.expire();
    expect(story.events.map(({ sessionId: id }) => id)).toEqual([windows]);
  });

  it('are examined when the first of them is due, in any order', () => {
    const story = beside();
    story.login('IPHONE');
    story.login('WEB');
    story.login('WINDOWS');
    expect(story.nextDeadline).toBe(60 * SECOND);
  });

  it('are ended by a backend in one change, which the first event carries', () => {
    const story = beside();
    const ids = [story.login('IPHONE'), story.login('WEB')];
    const link = story.attach(ids[0] ?? parseSessionId('none'));
    story.endSessions();
    expect(story.lastOutcome.changes).toHaveLength(1);
    expect(story.eventSummaries).toEqual(['REVOKED ONLINE>OFFLINE v2', 'REVOKED OFFLINE>OFFLINE v2']);
    expect(story.lastOutcome.endedSessions.map(({ session }) => session.id)).toEqual(ids);
    expect(story.lastOutcome.changes[0]?.lostSockets).toMatchObject([
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
    story.endSessions({ platform: 'WEB' });
    expect(story.sessionIds).toEqual([phone]);
  });

  it('one session', () => {
    const { story, phone, web2, web } = three();
    story.endSessions({ id: web });
    expect(story.sessionIds).toEqual([phone, web2]);
  });

  it('nothing when platform and session do not belong together', () => {
    const { story, phone } = three();
    const before = story.user;
    story.endSessions({ platform: 'WEB', id: phone });
    expect(story.user).toBe(before);
    expect(story.lastOutcome).toMatchObject({ changes: [], endedSessions: [], mustBeDurable: false });
  });

  it('with revokeTokens: the time is stored durably, even for a user without sessions', () => {
    const story = new UserScenario();
    story.endSessions({ revokeTokens: true });
    expect(story.user).toMatchObject({ tokensRevokedBefore: story.now, version: 0, status: 'OFFLINE' });
    expect(story.lastOutcome).toMatchObject({ changes: [], mustBeDurable: true, session: null });
  });
});

describe('the custom status', () => {
  it('set to its current value causes no change, but counts as activity', () => {
    const story = new UserScenario();
    const id = story.login('WEB');
    story.setText(id, 'busy');
    story.after(SECOND).setText(id, 'busy');
    expect([story.eventSummaries, story.user.version, story.user.lastSeenAt]).toEqual([[], 2, story.now]);
    story.setText(id, null);
    expect(story.eventSummaries).toEqual(['CUSTOM_STATUS ONLINE>ONLINE v3']);
    expect(story.user.customStatus).toBeNull();
  });

  it('survives PUSH_ONLINE and a new login, and is cleared by the change to OFFLINE', () => {
    const story = new UserScenario();
    const id = story.loginPushOnline('IPHONE');
    story.setText(id, 'busy');
    story.detach(story.attach(id));
    expect([story.user.status, story.user.customStatus]).toEqual(['PUSH_ONLINE', 'busy']);
    const web = story.login('WEB');
    expect(story.events.map(({ customStatus }) => customStatus)).toEqual(['busy', 'busy']);
    story.logout(web);
    expect(story.user.customStatus).toBeNull();
    expect(story.lastOutcome.changes[0]?.statusChange?.customStatus).toBeNull();
    expect(story.events[0]?.customStatus).toBeNull();
  });
});

describe('an ended session', () => {
  it.each(['heartbeat', 'life', 'attach', 'logout', 'setCustomStatus'] as const)(
    'cannot be used any more: %s',
    (what) => {
      const story = new UserScenario();
      const id = story.login('WEB');
      story.logout(id);
      const before = story.user;
      story.after(SECOND);
      if (what === 'heartbeat') story.heartbeat(id, 'BACKGROUND');
      else if (what === 'life') story.recordActivity(id);
      else if (what === 'attach') story.attach(id);
      else if (what === 'logout') story.logout(id);
      else story.setText(id, 'still here');
      expect(story.lastOutcome).toEqual({
        user: before,
        changes: [],
        endedSessions: [],
        session: null,
        mustBeDurable: false,
      });
      expect(story.user).toBe(before);
    },
  );
});

describe('mustBeDurable', () => {
  it('is true for every change and for new timings, and false for activity and sockets alone', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    expect(story.lastOutcome.mustBeDurable).toBe(true);
    const link = story.attach(id);
    expect(story.lastOutcome.mustBeDurable).toBe(false);
    story.heartbeat(id, 'BACKGROUND');
    expect(story.lastOutcome.mustBeDurable).toBe(false);
    story.detach(link, true);
    expect(story.lastOutcome.mustBeDurable).toBe(false);
    story.changePolicy({ preset: 'CLASSIC', platforms: [{ platform: 'IPHONE', disconnectGraceMs: 1 }] });
    story.heartbeat(id);
    expect(story.lastOutcome).toMatchObject({ mustBeDurable: true, changes: [] });
  });
});

it('keeps the values of the login and the latest IP address of the session', () => {
  const story = new UserScenario();
  const id = story.login('WEB', { device: 'd', ipAddress: '192.0.2.1' });
  const at = story.now;
  story.after(SECOND).heartbeat(id);
  expect(story.session(id)).toMatchObject({
    deviceId: parseDeviceId('d'),
    appVersion: '1.2.3',
    osVersion: '17',
    ipAddress: '192.0.2.1',
    loggedInAt: at,
    tokenHash: 'hash-1',
    watchScope: null,
  });
  story.apply({ type: 'heartbeat', sessionId: id, appState: null, ipAddress: '192.0.2.2' });
  story.logout(id);
  expect(story.events[0]?.ipAddress).toBe('192.0.2.2');
});
