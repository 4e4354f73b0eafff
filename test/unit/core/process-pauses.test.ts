/** Process pauses extend timeouts, but not expiry dates. */
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
import { UserScenario } from './harness.ts';
import { DAY, PUSH_EXPIRY, SECOND } from './tables.ts';

describe('a process pause', () => {
  it('extends the heartbeat timeout by its length', () => {
    const story = new UserScenario();
    const id = story.login('WEB');
    const { lastSeenAt } = story.user;
    story
      .after(20 * SECOND)
      .pause(DAY)
      .expire();
    expect(story.eventSummaries).toEqual([]);
    expect(story.session(id)).toMatchObject({ status: 'ONLINE', lastSeenAt });
    expect(story.nextDeadline).toBe(DAY + 60 * SECOND);
    story.after(40 * SECOND - 1).expire();
    expect(story.eventSummaries).toEqual([]);
    story.after(1).expire();
    expect(story.eventSummaries).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
    expect(story.user.lastSeenAt).toBe(lastSeenAt);
  });

  it('extends a timeout only by its length, however many pauses follow', () => {
    const story = new UserScenario();
    story.login('WEB');
    for (let pauseSpans = 0; pauseSpans < 6; pauseSpans++)
      story
        .after(9 * SECOND)
        .pause(50 * SECOND)
        .expire();
    expect(story.eventSummaries).toEqual([]);
    story.after(6 * SECOND).expire();
    expect(story.eventSummaries).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('extends the background timeout', () => {
    const story = new UserScenario();
    const id = story.login('MINI_PROGRAM');
    story.heartbeat(id, 'BACKGROUND');
    story
      .after(20 * SECOND)
      .pause(DAY)
      .heartbeat(id);
    story.after(10 * SECOND - 1).expire();
    expect(story.eventSummaries).toEqual([]);
    story.after(1).expire();
    expect(story.eventSummaries).toEqual(['BACKGROUND_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('extends the disconnect grace period', () => {
    const story = new UserScenario({ platforms: [{ platform: 'WEB', disconnectGraceMs: 5 * SECOND }] });
    const id = story.login('WEB');
    story.detach(story.attach(id));
    story.after(SECOND).pause(DAY);
    story.after(4 * SECOND - 1).expire();
    expect(story.eventSummaries).toEqual([]);
    story.after(1).expire();
    expect(story.eventSummaries).toEqual(['DISCONNECT ONLINE>OFFLINE v2']);
  });

  it('does not prevent a timeout that was due before it', () => {
    const story = new UserScenario();
    story.login('WEB');
    story
      .after(60 * SECOND)
      .pause(DAY)
      .expire();
    expect(story.eventSummaries).toEqual(['HEARTBEAT_TIMEOUT ONLINE>OFFLINE v2']);
  });

  it('does not extend an expiry date', () => {
    const story = new UserScenario();
    story.loginPushOnline('IPHONE');
    story.after(DAY).pause(6 * DAY);
    expect(story.nextDeadline).toBe(PUSH_EXPIRY);
    story.expire();
    expect(story.eventSummaries).toEqual(['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3']);
  });

  it('does not extend a timeout that starts after it', () => {
    const story = new UserScenario();
    const id = story.login('WEB');
    story
      .after(20 * SECOND)
      .pause(DAY)
      .heartbeat(id);
    expect(story.nextDeadline).toBe(DAY + 80 * SECOND);
  });
});

const pauses = (...pairs: readonly (readonly [number, number])[]): ProcessPauses =>
  pairs.reduce((all, [from, until]) => addPause(all, { from: toMillis(from), until: toMillis(until) }), NO_PAUSES);

describe('the list of pauses', () => {
  it('counts the paused time since a moment, also within a pause', () => {
    const pauseSpans = pauses([10, 20], [30, 35], [50, 51]);
    expect(
      [0, 10, 15, 20, 25, 34, 35, 50, 51, 99].map((moment) => pausedMsSince(pauseSpans, toMillis(moment))),
    ).toEqual([16, 16, 11, 6, 6, 2, 1, 1, 0, 0]);
  });

  it('merges pauses that touch or overlap', () => {
    expect(pauses([10, 20], [20, 30], [31, 32])).toEqual([
      { from: 10, until: 30 },
      { from: 31, until: 32 },
    ]);
  });

  it('merges the oldest pauses above the maximum, so that timeouts become later, never earlier', () => {
    const pairs = Array.from({ length: MAX_PAUSES + 100 }, (_, index) => [10 * index, 10 * index + 3] as const);
    const few = pauses(...pairs);
    expect(few).toHaveLength(MAX_PAUSES);
    const exactly = (moment: number): number =>
      pairs.reduce((pauseSpans, [from, until]) => pauseSpans + Math.max(0, until - Math.max(from, moment)), 0);
    fc.assert(
      fc.property(fc.nat(10 * pairs.length), (moment) => {
        expect(pausedMsSince(few, toMillis(moment))).toBeGreaterThanOrEqual(exactly(moment));
        if (moment >= 1_010) expect(pausedMsSince(few, toMillis(moment))).toBe(exactly(moment));
      }),
    );
  });
});
