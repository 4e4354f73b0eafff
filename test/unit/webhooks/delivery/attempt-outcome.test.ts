import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttemptReport } from '../../../../src/app/ports/webhook-store.ts';
import { addMs, toMillis } from '../../../../src/core/ids.ts';
import { applyAttemptToDelivery } from '../../../../src/webhooks/delivery/attempt-outcome.ts';
import { delivery as failing, loggedEvent } from '../../../contract/webhook-records.ts';

const NOW = toMillis(1_700_000_000_000);
const STARTED = addMs(NOW, -40);

const EVENTS = [1, 2, 3].map((number) => loggedEvent(number));

const delivery = failing('msg_1', {
  events: EVENTS,
  eventCount: 3,
  createdAt: addMs(NOW, -5_000),
  attempts: 4,
  lastAttemptAt: addMs(NOW, -4_000),
  nextAttemptAt: STARTED,
  giveUpAt: addMs(NOW, 60_000),
});

const circumstances = { startedAt: STARTED, now: NOW, consecutiveFailures: 4, random: 0.5 };
const failed: AttemptReport = { status: 503, error: 'It answered 503.', deliveredEventCount: 0, retryAfterMs: null };

describe('an attempt', () => {
  it('makes an accepted delivery DELIVERED and removes its events', () => {
    const attempt = { status: 204, error: null, deliveredEventCount: 3, retryAfterMs: null };
    expect(applyAttemptToDelivery(delivery, attempt, circumstances)).toEqual({
      delivery: {
        ...delivery,
        status: 'DELIVERED',
        events: [],
        attempts: 5,
        lastAttemptAt: STARTED,
        lastStatus: 204,
        lastError: null,
        nextAttemptAt: null,
      },
      consecutiveFailures: 0,
      isReceiverGone: false,
      asksForPause: false,
      cooldownMs: 0,
    });
  });

  it('keeps a failed delivery RETRYING with the same events and a later attempt', () => {
    expect(applyAttemptToDelivery(delivery, failed, circumstances)).toEqual({
      delivery: {
        ...delivery,
        attempts: 5,
        lastAttemptAt: STARTED,
        lastStatus: 503,
        lastError: 'It answered 503.',
        // The fifth in a row: half of 16 s.
        nextAttemptAt: NOW + 8_000,
      },
      consecutiveFailures: 5,
      isReceiverGone: false,
      asksForPause: false,
      cooldownMs: 0,
    });
  });

  it('retries only the remaining events soon after a partial success', () => {
    const settled = applyAttemptToDelivery(delivery, { ...failed, deliveredEventCount: 2 }, circumstances);
    expect(settled).toMatchObject({
      consecutiveFailures: 1,
      delivery: { status: 'RETRYING', nextAttemptAt: NOW + 500 },
    });
    expect(settled.delivery.events).toEqual([EVENTS[2]]);
    expect(settled.delivery.eventCount).toBe(3);
  });

  it('makes a delivery DEAD with its remaining events when its last attempt fails', () => {
    const late = { ...delivery, giveUpAt: NOW };
    const settled = applyAttemptToDelivery(
      late,
      { ...failed, deliveredEventCount: 1, retryAfterMs: 7_000 },
      circumstances,
    );
    expect(settled).toMatchObject({ isReceiverGone: false, asksForPause: true, cooldownMs: 7_000 });
    expect(settled.delivery).toMatchObject({ status: 'DEAD', nextAttemptAt: null, lastError: 'It answered 503.' });
    expect(settled.delivery.events).toEqual(EVENTS.slice(1));
  });

  it('keeps a delivery RETRYING after status 410, even after its last attempt', () => {
    for (const giveUpAt of [addMs(NOW, 60_000), addMs(NOW, -60_000)]) {
      const settled = applyAttemptToDelivery({ ...delivery, giveUpAt }, { ...failed, status: 410 }, circumstances);
      expect(settled).toMatchObject({ isReceiverGone: true, delivery: { status: 'RETRYING', events: EVENTS } });
      expect(settled.delivery.nextAttemptAt).not.toBeNull();
    }
  });

  it('loses no event and is RETRYING exactly when a next attempt is scheduled', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 2 }),
        fc.constantFrom(null, 302, 410, 429, 500),
        fc.option(fc.nat({ max: 100_000 })),
        fc.integer({ min: -1_000, max: 1_000 }),
        fc.nat({ max: 50 }),
        (deliveredEventCount, status, retryAfterMs, leftMs, failures) => {
          const settled = applyAttemptToDelivery(
            { ...delivery, giveUpAt: addMs(NOW, leftMs) },
            { status, error: 'No.', deliveredEventCount, retryAfterMs },
            { ...circumstances, consecutiveFailures: failures },
          );
          expect(settled.delivery.events).toEqual(EVENTS.slice(deliveredEventCount));
          expect(settled.delivery.status === 'RETRYING').toBe(settled.delivery.nextAttemptAt !== null);
          expect(settled.delivery.status === 'DEAD').toBe(leftMs <= 0 && status !== 410);
          expect(settled.consecutiveFailures).toBeGreaterThan(0);
        },
      ),
    );
  });
});
