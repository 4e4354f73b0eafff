import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toMillis } from '../../../../src/core/ids.ts';
import { LeakyBucketLimit } from '../../../../src/server/limits/leaky-bucket.ts';

/** The burst, in seconds' worth of messages. */
const BURST_S = 10;

const perSecond = fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.constantFrom(3, 7, 300, 1_000_000, 10_000_000));
const start = fc.constantFrom(0, 1_767_225_600_000);
/** The pause between messages, in ms. */
const pause = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 3 }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 2_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 60_000 }) },
);

describe('LeakyBucketLimit', () => {
  test('allows a burst of ten seconds’ worth at once, and rejects the next message', () => {
    const limit = new LeakyBucketLimit(3);
    const now = toMillis(1_000_000);
    const waits = Array.from({ length: 32 }, () =>
      limit.tryAddMessage(limit.findOrCreateBucket('alice', null, now), now),
    );
    expect(waits).toEqual([...Array.from({ length: 30 }, () => 0), 334, 334]);
  });

  test('never allows more than the burst plus the rate in any period', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        start,
        fc.array(fc.record({ pause, messages: fc.integer({ min: 1, max: 60 }) }), { minLength: 1, maxLength: 40 }),
        (rate, since, steps) => {
          const limit = new LeakyBucketLimit(rate);
          const allowed: number[] = [];
          let now = since;
          for (const step of steps) {
            now += step.pause;
            for (let count = 0; count < step.messages; count++) {
              const bucket = limit.findOrCreateBucket('alice', null, toMillis(now));
              if (limit.tryAddMessage(bucket, toMillis(now)) === 0) allowed.push(now);
            }
          }
          for (let from = 0; from < allowed.length; from++) {
            for (let to = from; to < allowed.length; to++) {
              const ms = (allowed[to] ?? 0) - (allowed[from] ?? 0);
              if (to - from + 1 > rate * BURST_S + (rate * ms) / 1_000) return false;
            }
          }
          return true;
        },
      ),
      { numRuns: 300 },
    );
  });

  test('returns the exact number of milliseconds until the next message is allowed', () => {
    fc.assert(
      fc.property(perSecond, start, fc.array(pause, { maxLength: 20 }), (rate, since, pauses) => {
        const limit = new LeakyBucketLimit(rate);
        const bucket = limit.createAnonymousBucket();
        let now = since;
        for (const ms of pauses) {
          now += ms;
          // Fills the bucket directly instead of adding millions of messages.
          bucket.level = Math.max(bucket.level, rate * BURST_S * 1_000 - 500);
          bucket.levelAt = now;
          const waitMs = limit.waitUntilAllowedMs(bucket, toMillis(now));
          if (waitMs < 1 || !Number.isSafeInteger(waitMs)) return false;
          if (limit.waitUntilAllowedMs(bucket, toMillis(now + waitMs - 1)) !== 1) return false;
          now += waitMs;
          if (limit.tryAddMessage(bucket, toMillis(now)) !== 0) return false;
        }
        return true;
      }),
    );
  });

  test('does not count rejected messages', () => {
    const limit = new LeakyBucketLimit(1);
    const now = toMillis(1_000_000);
    const bucket = limit.findOrCreateBucket('alice', null, now);
    for (let count = 0; count < 100; count++) limit.tryAddMessage(bucket, now);
    expect(limit.waitUntilAllowedMs(bucket, now)).toBe(1_000);
    expect(limit.tryAddMessage(bucket, toMillis(now + 1_000))).toBe(0);
  });

  test('behaves after a refund as if the message had never been sent, however late the refund is', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ pause, held: pause, counts: fc.boolean() }), { maxLength: 60 }), (steps) => {
        const limit = new LeakyBucketLimit(2);
        const model = new LeakyBucketLimit(2);
        const bucket = limit.createAnonymousBucket();
        const modelBucket = model.createAnonymousBucket();
        let now = 0;
        for (const step of steps) {
          now += step.pause;
          const waitMs = limit.tryAddMessage(bucket, toMillis(now));
          if (
            waitMs !==
            (step.counts
              ? model.tryAddMessage(modelBucket, toMillis(now))
              : model.waitUntilAllowedMs(modelBucket, toMillis(now)))
          )
            return false;
          if (step.counts || waitMs > 0) continue;
          now += step.held;
          limit.refundMessage(bucket, toMillis(now));
        }
        return true;
      }),
    );
  });

  test('limits each key separately', () => {
    const limit = new LeakyBucketLimit(1);
    const now = toMillis(1_000_000);
    for (let count = 0; count < 11; count++) limit.tryAddMessage(limit.findOrCreateBucket('alice', null, now), now);
    expect(limit.waitUntilAllowedMs(limit.findOrCreateBucket('alice', null, now), now)).toBe(1_000);
    expect(limit.waitUntilAllowedMs(limit.findOrCreateBucket('bob', null, now), now)).toBe(0);
  });

  test('returns the same results with a cached bucket as with a lookup, after any pause', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ pause, held: fc.boolean(), messages: fc.integer({ min: 0, max: 30 }) }), {
          minLength: 1,
          maxLength: 40,
        }),
        (steps) => {
          const limit = new LeakyBucketLimit(2);
          const model = new LeakyBucketLimit(2);
          const modelBucket = model.createAnonymousBucket();
          let held = limit.findOrCreateBucket('alice', null, toMillis(0));
          let now = 0;
          for (const step of steps) {
            now += step.pause;
            const at = toMillis(now);
            for (let count = 0; count < step.messages; count++) {
              const bucket = step.held
                ? (held = limit.findOrCreateBucket('alice', held, at))
                : limit.findOrCreateBucket('alice', null, at);
              if (limit.tryAddMessage(bucket, at) !== model.tryAddMessage(modelBucket, at)) return false;
            }
          }
          return true;
        },
      ),
      { numRuns: 500 },
    );
  });

  test('drops keys that were idle for twice the burst period', () => {
    const limit = new LeakyBucketLimit(5);
    for (let user = 0; user < 10_000; user++)
      limit.findOrCreateBucket(`user ${user}`, null, toMillis(1_000_000 + user));
    expect(limit.bucketCount).toBe(10_000);
    limit.findOrCreateBucket('alice', null, toMillis(1_021_000));
    expect(limit.bucketCount).toBeLessThanOrEqual(1_001);
    limit.findOrCreateBucket('alice', null, toMillis(1_032_000));
    expect(limit.bucketCount).toBe(1);
  });

  test('keeps a bounded number of keys, and does not drop one that stays active', () => {
    const limit = new LeakyBucketLimit(1, 1_000);
    const now = toMillis(1_000_000);
    for (let count = 0; count < 10; count++) limit.tryAddMessage(limit.findOrCreateBucket('mallory', null, now), now);
    for (let user = 0; user < 10_000; user++) {
      limit.findOrCreateBucket(String(user), null, now);
      if (user % 500 === 0)
        expect(limit.tryAddMessage(limit.findOrCreateBucket('mallory', null, now), now)).toBe(1_000);
    }
    expect(limit.bucketCount).toBeLessThanOrEqual(2_000);
  });
});
