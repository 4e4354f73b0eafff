/** Several devices: every pair of platforms in every mode, compared with a handwritten table. */
import { describe, expect, it } from 'vitest';
import type { PolicyChange } from '../../../src/core/policy.ts';
import { UserScenario } from './harness.ts';
import { ALL, CUSTOM_GROUPS, KICKED_BY_LOGIN } from './tables.ts';
import { MULTI_DEVICE_MODES, type MultiDeviceMode } from '../../../src/core/enums.ts';

const inMode = (mode: MultiDeviceMode): PolicyChange => ({
  multiDevice: mode === 'CUSTOM' ? { mode, groups: CUSTOM_GROUPS } : { mode },
  // Allows PUSH_ONLINE on all eight platforms.
  platforms: ALL.map((platform) => ({ platform, canBePushOnline: true })),
});

it('SINGLE is the default', () => {
  expect(new UserScenario().policy.multiDevice).toEqual({ mode: 'SINGLE', groups: [ALL] });
});

describe.each(MULTI_DEVICE_MODES)('%s', (mode) => {
  const pairs = ALL.flatMap((there, row) =>
    ALL.map((comes, column) => ({ there, comes, kicks: KICKED_BY_LOGIN[mode][row]?.[column] === 'k' })),
  );

  it('has 64 pairs', () => expect(pairs).toHaveLength(64));

  it.each(pairs)('a login on $comes with a session on $there: kicked $kicks', ({ there, comes, kicks }) => {
    for (const from of ['ONLINE', 'PUSH_ONLINE']) {
      const story = new UserScenario(inMode(mode));
      const first = from === 'ONLINE' ? story.login(there) : story.loginPushOnline(there);
      const second = story.after(1_000).login(comes);
      expect(story.sessionIds).toEqual(kicks ? [second] : [first, second]);
      expect(story.events.map(({ reason, sessionId, kickedBy }) => [reason, sessionId, kickedBy])).toEqual([
        ['LOGIN', second, null],
        ...(kicks ? [['KICKED', first, comes]] : []),
      ]);
    }
  });
});

describe('groups', () => {
  it('a login ends all sessions on other platforms of its group, and no session of another group', () => {
    const story = new UserScenario({
      multiDevice: { mode: 'TRIPLE' },
      platforms: [{ platform: 'ANDROID', maxInstances: 3 }],
    });
    const [one, two, three] = [story.login('ANDROID'), story.login('ANDROID'), story.login('ANDROID')];
    const mac = story.login('MAC');
    const link = story.attach(two);
    story.after(1_000);
    const ipad = story.login('IPAD');
    expect(story.sessionIds).toEqual([mac, ipad]);
    expect(story.lastOutcome.endedSessions.map(({ session, kickedBy }) => [session.id, kickedBy])).toEqual([
      [one, 'IPAD'],
      [two, 'IPAD'],
      [three, 'IPAD'],
    ]);
    expect(story.lastOutcome.changes).toHaveLength(1);
    expect(story.lastOutcome.changes[0]?.lostSockets).toEqual([
      { socketId: link, sessionId: two, reason: 'KICKED', isSessionEnded: true },
    ]);
  });

  it('a policy change ends no session; the next login does, in its own group only', () => {
    const story = new UserScenario({ multiDevice: { mode: 'MULTI' } });
    const [android, iphone, mac, web] = [
      story.login('ANDROID'),
      story.login('IPHONE'),
      story.login('MAC'),
      story.login('WEB'),
    ];
    story.changePolicy({ multiDevice: { mode: 'TRIPLE' } });
    story.expire();
    expect(story.sessionIds).toEqual([android, iphone, mac, web]);
    const ipad = story.login('IPAD');
    expect(story.sessionIds).toEqual([mac, web, ipad]);
  });

  it('a login replaces the session of its own device and kicks others; the KICKED events come before REPLACED', () => {
    const story = new UserScenario({
      multiDevice: { mode: 'MULTI' },
      platforms: [{ platform: 'WEB', maxInstances: 2 }],
    });
    const same = story.login('WEB', { device: 'same' });
    const other = story.login('WEB', { device: 'other' });
    const ipad = story.login('IPAD');
    story.changePolicy({ multiDevice: { mode: 'SINGLE' } });
    story.login('WEB', { device: 'same' });
    expect(story.events.slice(1).map(({ reason, sessionId }) => [reason, sessionId])).toEqual([
      ['KICKED', ipad],
      ['REPLACED', same],
    ]);
    expect(story.sessionIds.slice(0, 1)).toEqual([other]);
  });
});

describe('instances of one platform', () => {
  it.each([1, 2, 3])(
    'maxInstances %i: a login above the limit ends the session with the oldest login',
    (maxInstances) => {
      const story = new UserScenario({ platforms: [{ platform: 'WEB', maxInstances }] });
      const ids = Array.from({ length: maxInstances }, () => story.after(1_000).login('WEB'));
      expect(story.sessionIds).toEqual(ids);
      // Activity does not change the order of the logins.
      story.heartbeat(ids[0] ?? story.login('WEB'));
      const last = story.after(1_000).login('WEB');
      expect(story.sessionIds).toEqual([...ids.slice(1), last]);
      expect(story.lastOutcome.endedSessions).toMatchObject([
        { session: { id: ids[0] }, reason: 'KICKED', kickedBy: 'WEB' },
      ]);
    },
  );

  it('PUSH_ONLINE sessions count, and the oldest login is kicked even if it is the only ONLINE one', () => {
    const story = new UserScenario({ platforms: [{ platform: 'IPHONE', maxInstances: 2 }] });
    const online = story.login('IPHONE');
    const pushed = story.loginPushOnline('IPHONE');
    const last = story.login('IPHONE');
    expect(story.sessionIds).toEqual([pushed, last]);
    expect(story.statusOf(online)).toBe('OFFLINE');
  });

  it('a replaced session does not count, so no other session is kicked', () => {
    const story = new UserScenario({ platforms: [{ platform: 'WEB', maxInstances: 2 }] });
    const other = story.login('WEB');
    story.login('WEB', { device: 'same' });
    const again = story.login('WEB', { device: 'same' });
    expect(story.sessionIds).toEqual([other, again]);
    expect(story.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'REPLACED']);
  });

  it('maxInstances lowered from 3 to 1 ends no session until the next login, which ends all others', () => {
    const story = new UserScenario({ platforms: [{ platform: 'WEB', maxInstances: 3 }] });
    const ids = [story.login('WEB'), story.login('WEB'), story.login('WEB')];
    story.changePolicy({ platforms: [{ platform: 'WEB', maxInstances: 1 }] });
    story.expire();
    for (const id of ids) story.heartbeat(id);
    expect(story.sessionIds).toEqual(ids);
    const last = story.login('WEB');
    expect(story.sessionIds).toEqual([last]);
    expect(story.lastOutcome.endedSessions.map(({ session }) => session.id)).toEqual(ids);
  });

  it('each platform is counted separately', () => {
    const story = new UserScenario({
      multiDevice: { mode: 'MULTI' },
      platforms: [{ platform: 'MAC', maxInstances: 2 }],
    });
    const ids = [story.login('MAC'), story.login('LINUX'), story.login('MAC')];
    expect(story.sessionIds).toEqual(ids);
  });
});
