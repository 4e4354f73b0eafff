/** The platform table, every row of every preset: what the platform becomes, and when to the millisecond. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY, PRESET_TABLES } from '../../../src/core/policy.ts';
import { Story } from './harness.ts';
import { ALL, PUSH_EXPIRY, TABLE } from './tables.ts';
import { PLATFORMS, PLATFORM_PRESETS } from '../../../src/core/enums.ts';

const seconds = (ms: number | null): string => (ms === null ? 'never' : `${ms / 1_000} s`);

it('has eight platforms and three presets, CURRENT being the default', () => {
  expect([...PLATFORMS]).toEqual(ALL);
  expect([...PLATFORM_PRESETS]).toEqual(['CURRENT', 'MOBILE_ONLY', 'CLASSIC']);
  expect(DEFAULT_POLICY.platforms).toEqual(PRESET_TABLES.CURRENT);
  expect(DEFAULT_POLICY.pushOnlineExpiryMs).toBe(604_800_000);
});

describe.each(PLATFORM_PRESETS)('preset %s', (preset) => {
  describe.each(ALL)('%s', (platform) => {
    const row = TABLE[preset][platform];
    const becomes = row.push ? 'PUSH_ONLINE' : 'OFFLINE';
    const start = () => {
      const story = new Story({ preset });
      return { story, id: story.login(platform) };
    };

    it(`is told to beat every ${seconds(row.every)}, within ${seconds(row.silent)}; grace 0, one instance`, () => {
      const { story, id } = start();
      expect(story.session(id)?.timings).toEqual({
        heartbeatIntervalMs: row.every,
        heartbeatTimeoutMs: row.silent,
        backgroundTimeoutMs: row.background,
        disconnectGraceMs: 0,
      });
      expect(PRESET_TABLES[preset][platform]).toMatchObject({ platform, canBePushOnline: row.push, maxInstances: 1 });
    });

    it(`last socket closed: ${becomes} at once`, () => {
      const { story, id } = start();
      story.detach(story.attach(id));
      expect(story.told).toEqual([`DISCONNECT ONLINE>${becomes} v2`]);
      expect(story.statusOf(id)).toBe(becomes);
    });

    it(`silent for ${seconds(row.silent)}: ${becomes}, not a millisecond earlier`, () => {
      const { story, id } = start();
      expect(story.nextLook).toBe(row.silent);
      story.after(row.silent - 1).wake();
      expect([story.statusOf(id), story.told]).toEqual(['ONLINE', []]);
      story.after(1).wake();
      expect([story.statusOf(id), story.told]).toEqual([becomes, [`HEARTBEAT_TIMEOUT ONLINE>${becomes} v2`]]);
    });

    it(`in background for ${seconds(row.background)}: ${row.background === null ? 'stays ONLINE' : becomes}`, () => {
      const { story, id } = start();
      story.beat(id, 'BACKGROUND');
      const beats = row.silent / row.every;
      if (row.background === null) {
        // An app kept alive: a day of beating on.
        for (let beat = 0; beat < 24 * 60 * beats; beat++) story.after(row.every).beat(id);
        story.after(row.silent - 1).wake();
        expect(story.statusOf(id)).toBe('ONLINE');
        return;
      }
      story.after(row.background - 1).wake();
      expect([story.statusOf(id), story.told]).toEqual(['ONLINE', []]);
      story.after(1).wake();
      expect([story.statusOf(id), story.told]).toEqual([becomes, [`BACKGROUND_TIMEOUT ONLINE>${becomes} v2`]]);
    });

    if (row.push) {
      it('PUSH_ONLINE for 7 days: ended, not a millisecond earlier', () => {
        const { story, id } = start();
        story.detach(story.attach(id));
        expect(story.nextLook).toBe(PUSH_EXPIRY);
        story.after(PUSH_EXPIRY - 1).wake();
        expect([story.statusOf(id), story.told]).toEqual(['PUSH_ONLINE', []]);
        story.after(1).wake();
        expect([story.statusOf(id), story.told]).toEqual(['OFFLINE', ['PUSH_EXPIRED PUSH_ONLINE>OFFLINE v3']]);
      });
    }
  });
});
