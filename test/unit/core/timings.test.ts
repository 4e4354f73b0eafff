/** A change of the policy reaches a session by its next heartbeat or login, and by nothing else. */
import { describe, expect, it } from 'vitest';
import { Story } from './harness.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

const SHORT = { platform: 'IPHONE', heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 2_000 } as const;

describe('each session keeps the timings it was told', () => {
  it.each(['an operation', 'attaching', 'setCustomStatus'] as const)('%s tells nothing', (kind) => {
    const story = new Story();
    const id = story.login('IPHONE');
    const told = story.session(id)?.timings;
    story.changePolicy({ platforms: [SHORT] });
    if (kind === 'an operation') story.live(id);
    else if (kind === 'attaching') story.attach(id);
    else story.setText(id, 'busy');
    expect(story.session(id)?.timings).toEqual(told);
    expect(story.nextLook).toBe(400 * SECOND);
  });

  it('until a heartbeat tells it new ones', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    story.changePolicy({ platforms: [SHORT] });
    expect(story.nextLook).toBe(400 * SECOND);
    story.beat(id);
    expect(story.session(id)?.timings).toMatchObject({ heartbeatIntervalMs: 1_000, heartbeatTimeoutMs: 2_000 });
    expect(story.nextLook).toBe(2_000);
  });

  it('until a login tells it new ones', () => {
    const story = new Story();
    story.login('IPHONE', { device: 'd' });
    story.changePolicy({ platforms: [SHORT] });
    story.login('IPHONE', { device: 'd' });
    expect(story.nextLook).toBe(2_000);
  });

  it.each([
    ['heartbeatIntervalMs', { heartbeatIntervalMs: 7_000 }],
    ['heartbeatTimeoutMs', { heartbeatTimeoutMs: 401_000 }],
    ['backgroundTimeoutMs', { backgroundTimeoutMs: 9_000 }],
    ['disconnectGraceMs', { disconnectGraceMs: 5 }],
  ] as const)('%s alone is told by a heartbeat, durably', (cell, change) => {
    const story = new Story();
    const id = story.login('IPHONE');
    story.changePolicy({ platforms: [{ platform: 'IPHONE', ...change }] });
    story.beat(id);
    expect(story.session(id)?.timings[cell]).toBe(Object.values(change)[0]);
    expect(story.last.mustBeDurable).toBe(true);
    story.beat(id);
    expect(story.last.mustBeDurable).toBe(false);
  });
});

describe('a change of what is not told holds at once', () => {
  it('canBePushOnline: taken away, the next drop ends the session', () => {
    const story = new Story();
    const id = story.login('IPHONE');
    const link = story.attach(id);
    story.changePolicy({ platforms: [{ platform: 'IPHONE', canBePushOnline: false }] });
    expect(story.statusOf(id)).toBe('ONLINE');
    story.detach(link);
    expect(story.told).toEqual(['DISCONNECT ONLINE>OFFLINE v2']);
  });

  it('canBePushOnline: taken away, who is PUSH_ONLINE stays', () => {
    const story = new Story();
    const id = story.pushed('IPHONE');
    story.changePolicy({ platforms: [{ platform: 'IPHONE', canBePushOnline: false }] });
    story.wake();
    expect(story.statusOf(id)).toBe('PUSH_ONLINE');
  });

  it('pushOnlineExpiryMs: who is PUSH_ONLINE keeps the date, the next one gets another', () => {
    const story = new Story({ multiDevice: { mode: 'MULTI' } });
    const early = story.pushed('IPHONE');
    story.changePolicy({ pushOnlineExpiryMs: DAY });
    const late = story.pushed('IPAD');
    expect(story.session(early)?.pushExpiresAt).toBe(story.now + PUSH_EXPIRY);
    expect(story.session(late)?.pushExpiresAt).toBe(story.now + DAY);
    expect(story.nextLook).toBe(DAY);
  });
});
