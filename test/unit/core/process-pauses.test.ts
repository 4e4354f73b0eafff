/** Nobody is timed out for the server's own sleep. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toMillis } from '../../../src/core/ids.ts';
import {
  MAX_PAUSES,
  NO_PAUSES,
  pausedMsSince,
  addPause,
  type ProcessPauses,
} from '../../../src/core/process-pauses.ts';
import { Story } from './harness.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

describe('a server that slept', () => {
  it('goes on counting silence where it stopped', () => {
    const story = new Story();
    const id = story.login('WEB');
    const { lastSeenAt } = story.user;
    story
      .after(20 * SECOND)
      .sleeps(DAY)
      .wake();
    expect(story.told).toEqual([]);
    expect(story.session(id)).toMatchObject({ status: 'ONLINE', lastSeenAt });
    expect(story.nextLook).toBe(DAY + 60 * SECOND);
    story.after(40 * SECOND - 1).wake();
    expect(story.told).toEqual([]);
    story.after(1).wake();
    expect(story.told).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
    expect(story.user.lastSeenAt).toBe(lastSeenAt);
  });

  it('does not let sleep after sleep put a timeout off for ever', () => {
    const story = new Story();
    story.login('WEB');
    for (let slept = 0; slept < 6; slept++)
      story
        .after(9 * SECOND)
        .sleeps(50 * SECOND)
        .wake();
    expect(story.told).toEqual([]);
    story.after(6 * SECOND).wake();
    expect(story.told).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('does not hold it against a background limit', () => {
    const story = new Story();
    const id = story.login('MINI_PROGRAM');
    story.beat(id, 'BACKGROUND');
    story
      .after(20 * SECOND)
      .sleeps(DAY)
      .beat(id);
    story.after(10 * SECOND - 1).wake();
    expect(story.told).toEqual([]);
    story.after(1).wake();
    expect(story.told).toEqual(['BACKGROUND_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('does not hold it against a grace', () => {
    const story = new Story({ platforms: [{ platform: 'WEB', disconnectGraceMs: 5 * SECOND }] });
    const id = story.login('WEB');
    story.detach(story.attach(id));
    story.after(SECOND).sleeps(DAY);
    story.after(4 * SECOND - 1).wake();
    expect(story.told).toEqual([]);
    story.after(1).wake();
    expect(story.told).toEqual(['DISCONNECT ONLINE>OFFLINE v2']);
  });

  it('times out who was due before it', () => {
    const story = new Story();
    story.login('WEB');
    story
      .after(60 * SECOND)
      .sleeps(DAY)
      .wake();
    expect(story.told).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('keeps an expiry date', () => {
    const story = new Story();
    story.pushed('IPHONE');
    story.after(DAY).sleeps(6 * DAY);
    expect(story.nextLook).toBe(PUSH_EXPIRY);
    story.wake();
    expect(story.told).toEqual(['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3']);
  });

  it('forgets of it with the next sign of life', () => {
    const story = new Story();
    const id = story.login('WEB');
    story
      .after(20 * SECOND)
      .sleeps(DAY)
      .beat(id);
    expect(story.nextLook).toBe(DAY + 80 * SECOND);
  });
});

const sleeps = (...pairs: readonly (readonly [number, number])[]): ProcessPauses =>
  pairs.reduce((all, [from, until]) => addPause(all, { from: toMillis(from), until: toMillis(until) }), NO_PAUSES);

describe('sleeps', () => {
  it('count from a moment on, also from within one', () => {
    const slept = sleeps([10, 20], [30, 35], [50, 51]);
    expect([0, 10, 15, 20, 25, 34, 35, 50, 51, 99].map((moment) => pausedMsSince(slept, toMillis(moment)))).toEqual([
      16, 16, 11, 6, 6, 2, 1, 1, 0, 0,
    ]);
  });

  it('are one where one follows upon the other', () => {
    expect(sleeps([10, 20], [20, 30], [31, 32])).toEqual([
      { from: 10, until: 30 },
      { from: 31, until: 32 },
    ]);
  });

  it('that are too many make a timeout later, never earlier', () => {
    const pairs = Array.from({ length: MAX_PAUSES + 100 }, (_, index) => [10 * index, 10 * index + 3] as const);
    const few = sleeps(...pairs);
    expect(few).toHaveLength(MAX_PAUSES);
    const exactly = (moment: number): number =>
      pairs.reduce((slept, [from, until]) => slept + Math.max(0, until - Math.max(from, moment)), 0);
    fc.assert(
      fc.property(fc.nat(10 * pairs.length), (moment) => {
        expect(pausedMsSince(few, toMillis(moment))).toBeGreaterThanOrEqual(exactly(moment));
        if (moment >= 1_010) expect(pausedMsSince(few, toMillis(moment))).toBe(exactly(moment));
      }),
    );
  });
});
