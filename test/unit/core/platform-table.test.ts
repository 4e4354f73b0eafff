/** The platform table: for every row of every preset, the next status and its time to the millisecond. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, PRESET_TABLES } from '../../../src/core/policy.ts';
import { UserScenario } from './harness.ts';
import { ALL, PUSH_EXPIRY, TABLE } from './tables.ts';
import { PLATFORMS, PLATFORM_PRESETS } from '../../../src/core/enums.ts';

const seconds = (ms: number | null): string => (ms === null ? 'never' : `${ms / 1_000} s`);

it('there are eight platforms and three presets, and CURRENT is the default', () => {
  expect([...PLATFORMS]).toEqual(ALL);
  expect([...PLATFORM_PRESETS]).toEqual(['CURRENT', 'MOBILE_ONLY', 'CLASSIC']);
  expect(DEFAULT_POLICY.platforms).toEqual(PRESET_TABLES.CURRENT);
  expect(DEFAULT_POLICY.pushOnlineExpiryMs).toBe(604_800_000);
});

describe.each(PLATFORM_PRESETS)('preset %s', (preset) => {
  describe.each(ALL)('%s', (platform) => {
    const row = TABLE[preset][platform];
    const becomes = row.canBePushOnline ? 'PUSH_ONLINE' : 'OFFLINE';
    const start = () => {
      const story = new UserScenario({ preset });
      return { story, id: story.login(platform) };
    };

    it(`receives a heartbeat interval of ${seconds(row.heartbeatMs)}, a timeout of ${seconds(row.timeoutMs)}, no grace period and one instance`, () => {
      const { story, id } = start();
      expect(story.session(id)?.timings).toEqual({
        heartbeatIntervalMs: row.heartbeatMs,
        heartbeatTimeoutMs: row.timeoutMs,
        backgroundTimeoutMs: row.backgroundMs,
        disconnectGraceMs: 0,
      });
      expect(PRESET_TABLES[preset][platform]).toMatchObject({
        platform,
        canBePushOnline: row.canBePushOnline,
        maxInstances: 1,
      });
    });

    it(`last socket closed: ${becomes} at once`, () => {
      const { story, id } = start();
      story.detach(story.attach(id));
      expect(story.eventSummaries).toEqual([`DISCONNECT ONLINE>${becomes} v2`]);
      expect(story.statusOf(id)).toBe(becomes);
    });

    it(`no activity for ${seconds(row.timeoutMs)}: ${becomes}, not a millisecond earlier`, () => {
      const { story, id } = start();
      expect(story.nextDeadline).toBe(row.timeoutMs);
      story.after(row.timeoutMs - 1).expire();
      expect([story.statusOf(id), story.eventSummaries]).toEqual(['ONLINE', []]);
      story.after(1).expire();
      expect([story.statusOf(id), story.eventSummaries]).toEqual([becomes, [`HEARTBEAT_TIMEOUT ONLINE>${becomes} v2`]]);
    });

    it(`in background for ${seconds(row.backgroundMs)}: ${row.backgroundMs === null ? 'stays ONLINE' : becomes}`, () => {
      const { story, id } = start();
      story.heartbeat(id, 'BACKGROUND');
      const beats = row.timeoutMs / row.heartbeatMs;
      if (row.backgroundMs === null) {
        // The app stays active: heartbeats for a day.
        for (let beat = 0; beat < 24 * 60 * beats; beat++) story.after(row.heartbeatMs).heartbeat(id);
        story.after(row.timeoutMs - 1).expire();
        expect(story.statusOf(id)).toBe('ONLINE');
        return;
      }
      story.after(row.backgroundMs - 1).expire();
      expect([story.statusOf(id), story.eventSummaries]).toEqual(['ONLINE', []]);
      story.after(1).expire();
      expect([story.statusOf(id), story.eventSummaries]).toEqual([
        becomes,
        [`BACKGROUND_TIMEOUT ONLINE>${becomes} v2`],
      ]);
    });

    if (row.canBePushOnline) {
      it('PUSH_ONLINE for 7 days: ended, not a millisecond earlier', () => {
        const { story, id } = start();
        story.detach(story.attach(id));
        expect(story.nextDeadline).toBe(PUSH_EXPIRY);
        story.after(PUSH_EXPIRY - 1).expire();
        expect([story.statusOf(id), story.eventSummaries]).toEqual(['PUSH_ONLINE', []]);
        story.after(1).expire();
        expect([story.statusOf(id), story.eventSummaries]).toEqual([
          'OFFLINE',
          ['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3'],
        ]);
      });
    }
  });
});
