/** A policy change applies to a session with its next heartbeat or login, and with nothing else. */
import { describe, expect, it } from 'vitest';
import { UserScenario } from './harness.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

const SHORT = { platform: 'IPHONE', heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 2_000 } as const;

describe('a session keeps the timings that it received', () => {
  it.each(['an operation', 'attaching', 'setCustomStatus'] as const)('and %s does not change them', (kind) => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    const timingsBefore = story.session(id)?.timings;
    story.changePolicy({ platforms: [SHORT] });
    if (kind === 'an operation') story.recordActivity(id);
    else if (kind === 'attaching') story.attach(id);
    else story.setText(id, 'busy');
    expect(story.session(id)?.timings).toEqual(timingsBefore);
    expect(story.nextDeadline).toBe(400 * SECOND);
  });

  it('until a heartbeat returns new ones', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    story.changePolicy({ platforms: [SHORT] });
    expect(story.nextDeadline).toBe(400 * SECOND);
    story.heartbeat(id);
    expect(story.session(id)?.timings).toMatchObject({ heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 2_000 });
    expect(story.nextDeadline).toBe(2_000);
  });

  it('until a login returns new ones', () => {
    const story = new UserScenario();
    story.login('IPHONE', { device: 'd' });
    story.changePolicy({ platforms: [SHORT] });
    story.login('IPHONE', { device: 'd' });
    expect(story.nextDeadline).toBe(2_000);
  });

  it.each([
    ['heartbeatIntervalMs', { heartbeatIntervalMs: 7_000 }],
    ['heartbeatTimeoutMs', { heartbeatTimeoutMs: 401_000 }],
    ['backgroundTimeoutMs', { backgroundTimeoutMs: 9_000 }],
    ['disconnectGraceMs', { disconnectGraceMs: 5 }],
  ] as const)('and a heartbeat durably applies a change of %s alone', (cell, change) => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    story.changePolicy({ platforms: [{ platform: 'IPHONE', ...change }] });
    story.heartbeat(id);
    expect(story.session(id)?.timings[cell]).toBe(Object.values(change)[0]);
    expect(story.lastOutcome.mustBeDurable).toBe(true);
    story.heartbeat(id);
    expect(story.lastOutcome.mustBeDurable).toBe(false);
  });
});

describe('a policy change that is not part of the timings applies at once', () => {
  it('canBePushOnline set to false: the next disconnect ends the session', () => {
    const story = new UserScenario();
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.changePolicy({ platforms: [{ platform: 'IPHONE', canBePushOnline: false }] });
    expect(story.statusOf(id)).toBe('ONLINE');
    story.detach(link);
    expect(story.eventSummaries).toEqual(['DISCONNECT ONLINE>OFFLINE v2']);
  });

  it('canBePushOnline set to false: a PUSH_ONLINE session stays', () => {
    const story = new UserScenario();
    const id = story.loginPushOnline('IPHONE');
    story.changePolicy({ platforms: [{ platform: 'IPHONE', canBePushOnline: false }] });
    story.expire();
    expect(story.statusOf(id)).toBe('PUSH_ONLINE');
  });

  it('pushOnlineExpiryMs: a PUSH_ONLINE session keeps its expiry date, the next one gets a new one', () => {
    const story = new UserScenario({ multiDevice: { mode: 'MULTI' } });
    const early = story.loginPushOnline('IPHONE');
    story.changePolicy({ pushOnlineExpiryMs: DAY });
    const late = story.loginPushOnline('IPAD');
    expect(story.session(early)?.pushExpiresAt).toBe(story.now + PUSH_EXPIRY);
    expect(story.session(late)?.pushExpiresAt).toBe(story.now + DAY);
    expect(story.nextDeadline).toBe(DAY);
  });
});
