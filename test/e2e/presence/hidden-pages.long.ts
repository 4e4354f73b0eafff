/**
 * Pages that are hidden for 15 minutes, with the platform table and the grace period of the browser. `npm run
 * hidden-pages` runs this file, and prints the figures.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { observeHiddenPages, type Observation } from '../../support/hidden-pages/observe-hidden-pages.ts';
import type { ObservedPage } from '../../support/hidden-pages/observed-page.ts';

const HIDDEN_FOR_MS = 15 * 60_000;
const WEB_TIMEOUT_MS = 60_000;
/** Chromium fires chained timers once a minute. The grace period before that is shorter than the observation. */
const THROTTLED_GAP_MS = 59_000;

describe('pages that are hidden in Chromium for 15 minutes', () => {
  let observation: Observation;
  beforeAll(async () => {
    observation = await observeHiddenPages({
      kinds: ['keepAlive', 'keepAlive', 'worker', 'setInterval', 'setInterval', 'setInterval', 'setInterval'],
      timings: null,
      gracePeriodS: null,
      isComplete: ({ hiddenForMs }) => hiddenForMs >= HIDDEN_FOR_MS,
      completeWithinMs: HIDDEN_FOR_MS + 180_000,
    });
    console.log(`Chromium ${observation.browserVersion}`);
    console.table(observation.pages.map(summarizePage));
  }, HIDDEN_FOR_MS + 500_000);

  it('keeps every page hidden, and fires their timers once a minute at the end', () => {
    for (const page of observation.pages) {
      expect(page.wasShownAgain).toBe(false);
      expect(page.hiddenForMs).toBeGreaterThanOrEqual(HIDDEN_FOR_MS);
      expect(page.longestTickGap).toBeGreaterThan(THROTTLED_GAP_MS);
    }
  });

  it('keeps pages ONLINE that send pings by keepAlive, or heartbeats by a worker', () => {
    const pages = observation.pages.filter(({ kind }) => kind !== 'setInterval');
    expect(pages).toHaveLength(3);
    for (const page of pages) {
      expect(page).toMatchObject({ status: 'ONLINE', eventReasons: ['LOGIN'], closeReasons: [] });
      expect(page.longestBeatGap).toBeLessThan(WEB_TIMEOUT_MS);
    }
  });

  it('receives logins of pages with keepAlive after a restart of the server, while they are hidden', () => {
    expect(observation.wereHiddenAtReconnect).toEqual([true, true]);
  });

  it('receives heartbeats by setInterval only once a minute, so that nothing but a timeout ends these sessions', () => {
    for (const page of observation.pages.filter(({ kind }) => kind === 'setInterval')) {
      expect(page.longestBeatGap).toBeGreaterThan(THROTTLED_GAP_MS);
      const others = page.eventReasons.filter((reason) => reason !== 'LOGIN' && reason !== 'HEARTBEAT_TIMEOUT');
      expect(others).toEqual([]);
    }
  });
});

const summarizePage = (page: ObservedPage) => ({
  page: page.userId,
  'hidden (s)': toSeconds(page.hiddenForMs),
  beats: page.beatGaps.length,
  'longest gap (s)': toSeconds(page.longestBeatGap),
  'longest tick gap (s)': toSeconds(page.longestTickGap),
  'gaps over 59 s': page.tickGaps.filter((gap) => gap > THROTTLED_GAP_MS).length,
  timeouts: page.eventReasons.filter((reason) => reason === 'HEARTBEAT_TIMEOUT').length,
  status: page.status,
});

const toSeconds = (ms: number): number => Math.round(ms / 10) / 100;
