/**
 * Pages in hidden tabs of Chromium, whose timers the browser fires once a minute. This file takes some 90 s, mostly
 * waiting. `npm run hidden-pages` observes the platform table and the grace period of the browser for 15 minutes.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { observeHiddenPages, type Observation } from '../../support/hidden-pages/observe-hidden-pages.ts';
import type { HeartbeatKind } from '../../support/hidden-pages/page-scripts.ts';
import { isMissing } from '../../support/optional-tools.ts';

const LACKS_CHROMIUM = isMissing('chromium', 'sessions of hidden pages in a browser');

/** The timeout is shorter than a minute, so a page that sends a heartbeat once a minute always times out. */
const TIMINGS = { heartbeatIntervalMs: 2_000, heartbeatTimeoutMs: 20_000 };

describe.skipIf(LACKS_CHROMIUM)('a hidden page in Chromium whose timers fire once a minute', () => {
  let observation: Observation;
  beforeAll(async () => {
    observation = await observeHiddenPages({
      kinds: ['keepAlive', 'worker', 'setInterval'],
      timings: TIMINGS,
      gracePeriodS: 5,
      isComplete: (page) =>
        page.longestTickGap > TIMINGS.heartbeatTimeoutMs &&
        (page.kind !== 'setInterval' || page.closeReasons.includes('HEARTBEAT_TIMEOUT')),
      completeWithinMs: 240_000,
    });
  }, 400_000);

  const pageOf = (kind: HeartbeatKind) => {
    const page = observation.pages.find((candidate) => candidate.kind === kind);
    if (page === undefined) throw new Error(`There is no page ${kind}.`);
    return page;
  };

  it.each(['keepAlive', 'worker', 'setInterval'] as const)(
    'is hidden all the time and has throttled timers: %s',
    (kind) => {
      expect(pageOf(kind).wasShownAgain).toBe(false);
      expect(pageOf(kind).longestTickGap).toBeGreaterThan(TIMINGS.heartbeatTimeoutMs);
    },
  );

  it('stays ONLINE by docs/examples/web.mjs, because graphql-ws sends a ping after each pong', () => {
    expect(pageOf('keepAlive')).toMatchObject({ status: 'ONLINE', eventReasons: ['LOGIN'], closeReasons: [] });
  });

  it('logs in again by docs/examples/web.mjs after a restart of the server, while it is hidden', () => {
    expect(observation.wereHiddenAtReconnect).toEqual([true]);
  });

  it('stays ONLINE by heartbeats that a worker starts', () => {
    expect(pageOf('worker')).toMatchObject({ status: 'ONLINE', eventReasons: ['LOGIN'], closeReasons: [] });
  });

  it('times out if setInterval starts its heartbeats', () => {
    expect(pageOf('setInterval').eventReasons).toContain('HEARTBEAT_TIMEOUT');
  });
});
