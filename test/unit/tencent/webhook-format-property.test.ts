/** For any events, each event with a callback is in exactly one request, in order. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { LoggedEvent } from '../../../src/app/ports/presence-store.ts';
import { toMillis, parseUserId } from '../../../src/core/ids.ts';
import { EVENT_REASONS, PLATFORMS, type EventReason } from '../../../src/core/enums.ts';
import { createTestEvent } from '../webhooks/support/webhooks.ts';
import { parseCallback, createCallbackRequests } from './callbacks.ts';

const WITHOUT_A_WORD: readonly EventReason[] = ['KICKED', 'REPLACED', 'PUSH_EXPIRED', 'CUSTOM_STATUS'];

const oneEvent = fc.record({
  reason: fc.constantFrom(...EVENT_REASONS),
  platform: fc.constantFrom(...PLATFORMS),
  user: fc.constantFrom('alice', 'bob'),
  /** Belongs to the same change as the previous event. */
  goesOn: fc.boolean(),
});

const log = fc.array(oneEvent, { maxLength: 30 }).map((drawn) => {
  let change = 0;
  return drawn.map(({ reason, platform, user, goesOn }, at): LoggedEvent => {
    if (!goesOn) change++;
    return {
      ...createTestEvent(at),
      changeId: `change ${change}`,
      userId: parseUserId(user),
      platform,
      reason,
      // Distinguishes the requests.
      occurredAt: toMillis(at),
    };
  });
});

it('each event with a callback is in exactly one request, and deliveredEventCount increases past it', () => {
  let requestsMade = 0;
  fc.assert(
    fc.property(log, (events) => {
      const requests = createCallbackRequests(events);
      requestsMade += requests.length;
      const spoken = events.filter(({ reason }) => !WITHOUT_A_WORD.includes(reason));
      expect(requests.map((request) => parseCallback(request).EventTime)).toEqual(
        spoken.map(({ occurredAt }) => occurredAt),
      );
      let done = 0;
      for (const { deliveredEventCount, ...request } of requests) {
        const at = parseCallback({ deliveredEventCount, ...request }).EventTime;
        // Delivered with this request: all events before it and itself, but no later event with a callback.
        expect(deliveredEventCount).toBeGreaterThan(Math.max(done, at));
        const also = events.slice(at + 1, deliveredEventCount).map(({ reason }) => reason);
        expect(also.filter((reason) => !WITHOUT_A_WORD.includes(reason))).toEqual([]);
        done = deliveredEventCount;
      }
      expect(done).toBe(requests.length === 0 ? 0 : events.length);
    }),
    { numRuns: 500 },
  );
  expect(requestsMade).toBeGreaterThan(500);
});

it('the remaining events after any accepted request create the remaining requests', () => {
  fc.assert(
    fc.property(log, fc.nat(), (events, drawn) => {
      const requests = createCallbackRequests(events);
      if (requests.length === 0) return;
      const taken = drawn % requests.length;
      const left = createCallbackRequests(events.slice(requests[taken]!.deliveredEventCount));
      expect(left.map(({ body }) => body)).toEqual(requests.slice(taken + 1).map(({ body }) => body));
    }),
    { numRuns: 500 },
  );
});

it('a kicked device is in KickedDevice of exactly one Login, the one of its change', () => {
  let kicks = 0;
  fc.assert(
    fc.property(log, (events) => {
      const named = createCallbackRequests(events).flatMap((request) => parseCallback(request).KickedDevice ?? []);
      const kicked = events.filter(
        ({ reason, changeId }, at) =>
          reason === 'KICKED' &&
          events.slice(0, at).some((before) => before.reason === 'LOGIN' && before.changeId === changeId),
      );
      // Only counted for valid logs: a change has at most one login, which is its first event.
      const isLog = events.every(
        (event, at) => event.reason !== 'LOGIN' || events[at - 1]?.changeId !== event.changeId,
      );
      if (!isLog) return;
      kicks += kicked.length;
      expect(named).toHaveLength(kicked.length);
    }),
    { numRuns: 2_000 },
  );
  expect(kicks).toBeGreaterThan(0);
});
