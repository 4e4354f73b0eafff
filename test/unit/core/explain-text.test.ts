/** The explanation as text, for every kind of status. */
import { describe, expect, it } from 'vitest';
import { formatExplanation } from '../../../src/core/explain-text.ts';
import { explainStatus } from '../../../src/core/explain-status.ts';
import { quoteText } from '../../../src/core/quote.ts';
import { UserScenario } from './harness.ts';
import { DAY, MINUTE, SECOND } from './tables.ts';

const explain = (story: UserScenario): string => formatExplanation(explainStatus(story.user, story.policy, story.now));

describe('the explanation of an ONLINE user', () => {
  it('names the device, its last activity and the heartbeat timeout', () => {
    const story = new UserScenario();
    story.login('IPHONE', { device: 'a1' });
    expect(explain(story.after(12_345))).toBe(
      'ONLINE because IPHONE device "a1" logged in at 2023-11-14T22:13:20.000Z, has no socket open and was last active 12 s ago; unless it is active by 2023-11-14T22:20:00.000Z, it becomes PUSH_ONLINE (HEARTBEAT_TIMEOUT) and the user is PUSH_ONLINE.',
    );
  });

  it('names the device that keeps the status the longest, and counts the others', () => {
    const story = new UserScenario({ multiDevice: { mode: 'MULTI' } });
    story.login('MINI_PROGRAM', { device: 'mini' });
    const phone = story.after(MINUTE / 2).login('IPHONE', { device: 'a1' });
    story.login('LINUX', { device: 'desk' });
    story.attach(phone);
    story.attach(phone);
    expect(explain(story.after(800))).toBe(
      'ONLINE because LINUX device "desk" logged in at 2023-11-14T22:13:50.000Z, has no socket open and was last active 800 ms ago; unless it is active by 2023-11-14T22:20:30.000Z, it ends (HEARTBEAT_TIMEOUT) and the user is PUSH_ONLINE. 2 other sessions would not keep the user ONLINE longer.',
    );
  });

  it('names the background timeout', () => {
    const story = new UserScenario();
    const mini = story.login('MINI_PROGRAM', { device: 'm' });
    story.attach(mini);
    story.heartbeat(mini, 'BACKGROUND');
    expect(explain(story.after(SECOND))).toBe(
      'ONLINE because MINI_PROGRAM device "m" logged in at 2023-11-14T22:13:20.000Z, has 1 socket open and was last active 1 s ago; in background since 2023-11-14T22:13:20.000Z, unless it comes to the foreground by 2023-11-14T22:13:50.000Z, it ends (BACKGROUND_TIMEOUT) and the user is OFFLINE.',
    );
  });

  it('names the disconnect grace period after the last socket closed', () => {
    const story = new UserScenario({ platforms: [{ platform: 'MAC', disconnectGraceMs: 5_000 }] });
    const mac = story.login('MAC', { device: 'm' });
    story.detach(story.attach(mac));
    expect(explain(story.after(SECOND))).toContain(
      '; its last socket closed at 2023-11-14T22:13:20.000Z, unless it is active by 2023-11-14T22:13:25.000Z, it becomes PUSH_ONLINE (DISCONNECT) and the user is PUSH_ONLINE.',
    );
  });

  it('says that the timeout restarted with the server', () => {
    const story = new UserScenario();
    story.login('WEB', { device: 'tab' });
    story.after(50 * SECOND).restart();
    expect(explain(story)).toContain(
      'was last active 50 s ago, its timeout restarted with the server at 2023-11-14T22:14:10.000Z; unless it is active by 2023-11-14T22:15:10.000Z, it ends',
    );
  });

  it('says that the deadline has passed and the timer has not run yet', () => {
    const story = new UserScenario();
    story.login('WEB', { device: 'tab' });
    expect(explain(story.after(60_250))).toContain(
      '; its deadline passed at 2023-11-14T22:14:20.000Z, 250 ms ago: it ends (HEARTBEAT_TIMEOUT) and the user is OFFLINE when the timer runs next.',
    );
  });
});

it('the explanation of a PUSH_ONLINE user names the disconnected device and the expiry', () => {
  const story = new UserScenario();
  story.loginPushOnline('IPHONE', 'a1');
  expect(explain(story.after(3 * DAY))).toBe(
    'PUSH_ONLINE because IPHONE device "a1", logged in at 2023-11-14T22:13:20.000Z, is not connected but did not log out, and was last active 3 days ago; unless it is active by 2023-11-21T22:13:20.000Z, it ends (PUSH_EXPIRED) and the user is OFFLINE.',
  );
});

describe('the explanation of an OFFLINE user', () => {
  it('says that there is no record of an unknown user', () => {
    expect(explain(new UserScenario())).toBe(
      'OFFLINE because there is no record of this user: they never logged in, or the record was removed after a long time OFFLINE.',
    );
  });

  it('says when and why the last session ended', () => {
    const story = new UserScenario();
    story.logout(story.login('WEB'));
    expect(explain(story.after(5 * MINUTE))).toMatch(
      /^OFFLINE because the last session ended at 2023-11-14T22:13:20.000Z, 5 min ago \(LOGOUT\)/,
    );
    expect(explain(story.after(5 * 60 * MINUTE))).toContain(', 5 h ago (LOGOUT)');
  });
});

it('quoteText escapes quotes, control characters and direction marks', () => {
  expect(quoteText('a "b" \\ 凛\u202e\u2028\u200b\u0007')).toBe('"a \\"b\\" \\\\ 凛\\u{202e}\\u{2028}\\u{200b}\\u{7}"');
});
