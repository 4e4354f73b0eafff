/** Several devices at once: every pair of platforms in every mode, against a table written out by hand. */
import { describe, expect, it } from 'vitest';
import type { PolicyChange } from '../../../src/core/policy.ts';
import { Story } from './harness.ts';
import { ALL, CUSTOM_GROUPS, KICKS } from './tables.ts';
import { MULTI_DEVICE_MODES, type MultiDeviceMode } from '../../../src/core/enums.ts';

const inMode = (mode: MultiDeviceMode): PolicyChange => ({
  multiDevice: mode === 'CUSTOM' ? { mode, groups: CUSTOM_GROUPS } : { mode },
  // So that each of the eight can be found PUSH_ONLINE.
  platforms: ALL.map((platform) => ({ platform, canBePushOnline: true })),
});

it('SINGLE is the default', () => {
  expect(new Story().policy.multiDevice).toEqual({ mode: 'SINGLE', groups: [ALL] });
});

describe.each(MULTI_DEVICE_MODES)('%s', (mode) => {
  const pairs = ALL.flatMap((there, row) =>
    ALL.map((comes, column) => ({ there, comes, kicks: KICKS[mode][row]?.[column] === 'k' })),
  );

  it('has 64 pairs', () => expect(pairs).toHaveLength(64));

  it.each(pairs)('$there is there, $comes logs in: kicked $kicks', ({ there, comes, kicks }) => {
    for (const from of ['ONLINE', 'PUSH_ONLINE']) {
      const story = new Story(inMode(mode));
      const first = from === 'ONLINE' ? story.login(there) : story.pushed(there);
      const second = story.after(1_000).login(comes);
      expect(story.sessions).toEqual(kicks ? [second] : [first, second]);
      expect(story.events.map(({ reason, sessionId, kickedBy }) => [reason, sessionId, kickedBy])).toEqual([
        ['LOGIN', second, null],
        ...(kicks ? [['KICKED', first, comes]] : []),
      ]);
    }
  });
});

describe('groups', () => {
  it('a login ends all sessions of another platform of its group, and none of another group', () => {
    const story = new Story({ multiDevice: { mode: 'TRIPLE' }, platforms: [{ platform: 'ANDROID', maxInstances: 3 }] });
    const [one, two, three] = [story.login('ANDROID'), story.login('ANDROID'), story.login('ANDROID')];
    const mac = story.login('MAC');
    const link = story.attach(two);
    story.after(1_000);
    const ipad = story.login('IPAD');
    expect(story.sessions).toEqual([mac, ipad]);
    expect(story.last.endedSessions.map(({ session, kickedBy }) => [session.id, kickedBy])).toEqual([
      [one, 'IPAD'],
      [two, 'IPAD'],
      [three, 'IPAD'],
    ]);
    expect(story.last.changes).toHaveLength(1);
    expect(story.last.changes[0]?.lostSockets).toEqual([
      { socketId: link, sessionId: two, reason: 'KICKED', isSessionEnded: true },
    ]);
  });

  it('a change of the policy ends nobody; the next login does, in its own group alone', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' } });
    const [android, iphone, mac, web] = [
      story.login('ANDROID'),
      story.login('IPHONE'),
      story.login('MAC'),
      story.login('WEB'),
    ];
    story.changePolicy({ multiDevice: { mode: 'TRIPLE' } });
    story.wake();
    expect(story.sessions).toEqual([android, iphone, mac, web]);
    const ipad = story.login('IPAD');
    expect(story.sessions).toEqual([mac, web, ipad]);
  });

  it('a login on a platform replaces its own device while it kicks others, KICKED told first, REPLACED last', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' }, platforms: [{ platform: 'WEB', maxInstances: 2 }] });
    const same = story.login('WEB', { device: 'same' });
    const other = story.login('WEB', { device: 'other' });
    const ipad = story.login('IPAD');
    story.changePolicy({ multiDevice: { mode: 'SINGLE' } });
    story.login('WEB', { device: 'same' });
    expect(story.events.slice(1).map(({ reason, sessionId }) => [reason, sessionId])).toEqual([
      ['KICKED', ipad],
      ['REPLACED', same],
    ]);
    expect(story.sessions.slice(0, 1)).toEqual([other]);
  });
});

describe('instances of one platform', () => {
  it.each([1, 2, 3])('maxInstances %i: one too many ends the one that logged in longest ago', (maxInstances) => {
    const story = new Story({ platforms: [{ platform: 'WEB', maxInstances }] });
    const ids = Array.from({ length: maxInstances }, () => story.after(1_000).login('WEB'));
    expect(story.sessions).toEqual(ids);
    // Being heard from makes nobody younger.
    story.beat(ids[0] ?? story.login('WEB'));
    const last = story.after(1_000).login('WEB');
    expect(story.sessions).toEqual([...ids.slice(1), last]);
    expect(story.last.endedSessions).toMatchObject([{ session: { id: ids[0] }, reason: 'KICKED', kickedBy: 'WEB' }]);
  });

  it('PUSH_ONLINE sessions count too, and the oldest login goes even if it is the one that is ONLINE', () => {
    const story = new Story({ platforms: [{ platform: 'IPHONE', maxInstances: 2 }] });
    const online = story.login('IPHONE');
    const pushed = story.pushed('IPHONE');
    const last = story.login('IPHONE');
    expect(story.sessions).toEqual([pushed, last]);
    expect(story.statusOf(online)).toBe('OFFLINE');
  });

  it('a replaced device makes room: nobody is kicked for it', () => {
    const story = new Story({ platforms: [{ platform: 'WEB', maxInstances: 2 }] });
    const other = story.login('WEB');
    story.login('WEB', { device: 'same' });
    const again = story.login('WEB', { device: 'same' });
    expect(story.sessions).toEqual([other, again]);
    expect(story.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'REPLACED']);
  });

  it('lowered from 3 to 1: nobody ends until the next login, which ends all but itself', () => {
    const story = new Story({ platforms: [{ platform: 'WEB', maxInstances: 3 }] });
    const ids = [story.login('WEB'), story.login('WEB'), story.login('WEB')];
    story.changePolicy({ platforms: [{ platform: 'WEB', maxInstances: 1 }] });
    story.wake();
    for (const id of ids) story.beat(id);
    expect(story.sessions).toEqual(ids);
    const last = story.login('WEB');
    expect(story.sessions).toEqual([last]);
    expect(story.last.endedSessions.map(({ session }) => session.id)).toEqual(ids);
  });

  it('each platform has its own count', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' }, platforms: [{ platform: 'MAC', maxInstances: 2 }] });
    const ids = [story.login('MAC'), story.login('LINUX'), story.login('MAC')];
    expect(story.sessions).toEqual(ids);
  });
});
