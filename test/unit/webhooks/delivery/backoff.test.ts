import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addMs, toMillis } from '../../../../src/core/ids.ts';
import {
  randomBackoffMs,
  computeCooldownAfterDeadMs,
  computeNextAttemptAt,
} from '../../../../src/webhooks/delivery/backoff.ts';

const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const NOW = toMillis(1_700_000_000_000);
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('the backoff', () => {
  it.each([
    [1, 500],
    [2, 1_000],
    [3, 2_000],
    [12, 1_024 * SECOND],
    [13, HOUR / 2],
    [5_000, HOUR / 2],
  ])('is %i failures in a row → %i ms for a random value of 0.5', (failures, ms) => {
    expect(randomBackoffMs(failures, 0.5)).toBe(ms);
  });

  it('covers the whole range from 0 to its maximum, so that retries do not coincide', () => {
    expect(randomBackoffMs(4, 0)).toBe(0);
    expect(randomBackoffMs(4, 0.25)).toBe(2_000);
    expect(randomBackoffMs(4, 0.999)).toBe(7_992);
  });
});

describe('the next attempt', () => {
  const failed = { now: NOW, consecutiveFailures: 1, random: 0.5, retryAfterMs: null, giveUpAt: addMs(NOW, 3 * DAY) };

  it('waits for Retry-After if that is longer than the backoff', () => {
    expect(computeNextAttemptAt({ ...failed, retryAfterMs: 90 * SECOND })).toBe(NOW + 90 * SECOND);
    expect(computeNextAttemptAt({ ...failed, consecutiveFailures: 13, retryAfterMs: 90 * SECOND })).toBe(
      NOW + HOUR / 2,
    );
  });

  it('waits for at most one day, whatever Retry-After says', () => {
    expect(computeNextAttemptAt({ ...failed, retryAfterMs: 365 * DAY })).toBe(NOW + DAY);
    expect(computeNextAttemptAt({ ...failed, retryAfterMs: Infinity })).toBe(NOW + DAY);
  });

  it('is scheduled no later than giveUpAt', () => {
    expect(computeNextAttemptAt({ ...failed, retryAfterMs: 5 * SECOND, giveUpAt: addMs(NOW, 2 * SECOND) })).toBe(
      NOW + 2 * SECOND,
    );
  });

  it('is not scheduled once giveUpAt has passed', () => {
    expect(computeNextAttemptAt({ ...failed, giveUpAt: NOW })).toBeNull();
    expect(computeNextAttemptAt({ ...failed, giveUpAt: addMs(NOW, -DAY) })).toBeNull();
  });

  it('is in whole milliseconds, not before now and not after giveUpAt', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        chance,
        fc.option(fc.oneof(fc.double({ noNaN: true }), fc.integer({ min: -10, max: 2 * DAY }))),
        fc.integer({ min: 1, max: 30 * DAY }),
        (failures, random, retryAfterMs, leftMs) => {
          const at = computeNextAttemptAt({
            now: NOW,
            consecutiveFailures: failures,
            random,
            retryAfterMs,
            giveUpAt: addMs(NOW, leftMs),
          });
          expect(Number.isSafeInteger(at)).toBe(true);
          expect(at).toBeGreaterThanOrEqual(NOW);
          expect(at).toBeLessThanOrEqual(NOW + leftMs);
        },
      ),
    );
  });
});

it('waits after a DEAD delivery for 1 s, or for Retry-After up to one day', () => {
  expect(computeCooldownAfterDeadMs(null)).toBe(SECOND);
  expect(computeCooldownAfterDeadMs(20)).toBe(SECOND);
  expect(computeCooldownAfterDeadMs(5 * SECOND)).toBe(5 * SECOND);
  expect(computeCooldownAfterDeadMs(9 * DAY)).toBe(DAY);
});
