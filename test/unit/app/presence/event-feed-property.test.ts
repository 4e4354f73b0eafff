/** Replay and live events are one stream: whatever is committed between reads, no event is missed or repeated. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventFeed } from '../../../../src/app/presence/event-feed.ts';
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import { DomainError } from '../../../../src/core/errors.ts';
import { parseDeviceId, type Cursor } from '../../../../src/core/ids.ts';
import { FakeStore } from '../support/fake-store.ts';
import { ALICE, BOB, CAROL, AppHarness } from '../support/app-harness.ts';
import { nextOf } from '../support/waiting.ts';
import { PLATFORMS } from '../../../../src/core/enums.ts';

const USERS = [ALICE, BOB, CAROL] as const;

const login = fc.record({
  user: fc.constantFrom(...USERS),
  // Every platform kicks every other, so a login is a change of one event or of two.
  platform: fc.constantFrom(...PLATFORMS),
});
type Login = typeof login extends fc.Arbitrary<infer T> ? T : never;

const limits = fc.record({
  batchSize: fc.integer({ min: 1, max: 4 }),
  maxUnreadEvents: fc.integer({ min: 1, max: 6 }),
  maxUnreadMs: fc.constant(1_000),
});

interface Reading {
  readonly received: LoggedEvent[];
  readonly lists: (readonly LoggedEvent[])[];
  resumed: number;
}

/** A follower that receives it has received all events. */
const LAST = parseDeviceId('last');

/**
 * Reads until LAST has been received. Pauses make the follower too slow now and then; it resumes
 * with the cursor of the last event that it received.
 */
const readAll = async (feed: EventFeed, start: Cursor, pause: () => Promise<void>): Promise<Reading> => {
  const reading: Reading = { received: [], lists: [], resumed: 0 };
  const isAll = () => reading.received.some((event) => event.deviceId === LAST);
  let from = start;
  while (!isAll()) {
    const stream = await feed.subscribe(from, () => reading.resumed++);
    try {
      while (!isAll()) {
        const events = await nextOf(stream);
        reading.lists.push(events);
        reading.received.push(...events);
        from = events.at(-1)!.cursor;
        await pause();
      }
      await stream.return();
    } catch (error) {
      if (!(error instanceof DomainError && error.details.code === 'OVERLOADED')) throw error;
    }
  }
  return reading;
};

const eventsAfter = (store: FakeStore, position: number) => store.events.slice(position);

describe('a follower receives every event of the log once, in order, with no change split', () => {
  it('also when the follower is too slow now and then, and resumes', async () => {
    let resumed = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(login, { maxLength: 5 }),
        fc.array(login, { minLength: 1, maxLength: 25 }),
        limits,
        fc.array(fc.nat({ max: 12 }), { minLength: 1, maxLength: 10 }),
        async (scheduler, earlier, later, feedLimits, pauses) => {
          let atOnce = true;
          const turn = (label: string) => (atOnce ? Promise.resolve() : scheduler.schedule(Promise.resolve(), label));
          const store = new FakeStore(turn);
          const harness = new AppHarness(store);
          const logIn = ({ user, platform }: Login) => harness.login(user, platform, null);
          for (const one of earlier) await logIn(one);
          atOnce = false;

          const start = Math.floor(store.events.length / 2);
          const feed = new EventFeed(store, feedLimits);
          const committing = Promise.all(later.map(logIn)).then(() => harness.login(BOB, 'WEB', LAST));
          let lists = 0;
          const reading = readAll(feed, await store.cursorAt(start), async () => {
            const turns = pauses[lists++ % pauses.length]!;
            for (let done = 0; done < turns; done++) await turn('a slow reader');
          });
          await scheduler.waitFor(committing);
          const { received, lists: delivered, resumed: times } = await scheduler.waitFor(reading);
          resumed += times;

          expect(received).toEqual(eventsAfter(store, start));
          for (const list of delivered) {
            const next = store.events[store.events.indexOf(list.at(-1)!) + 1];
            expect(next?.changeId).not.toBe(list.at(-1)!.changeId);
          }
          expect(feed.subscriberCount).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
    // Otherwise the property would check less than its name says.
    expect(resumed).toBeGreaterThan(0);
  });

  it('from the moment of the request on, without a cursor', () =>
    fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(login, { maxLength: 20 }), async (scheduler, logins) => {
        const store = new FakeStore((place) => scheduler.schedule(Promise.resolve(), place));
        const harness = new AppHarness(store);
        const feed = new EventFeed(store);
        const committing = Promise.all(logins.map(({ user, platform }) => harness.login(user, platform, null)));
        const before = store.events.length;
        const following = feed
          .subscribe(null, () => expect.unreachable())
          .then((stream) => ({
            stream,
            after: store.events.length,
          }));
        const { stream, after } = await scheduler.waitFor(following);
        await scheduler.waitFor(committing);
        // One more, so that there is an event to receive.
        await scheduler.waitFor(harness.login(BOB, 'WEB', LAST));

        const received = await scheduler.waitFor(nextOf(stream));
        const first = store.events.indexOf(received[0]!);
        expect(first).toBeGreaterThanOrEqual(before);
        expect(first).toBeLessThanOrEqual(after);
        expect(received).toEqual(eventsAfter(store, first));
      }),
      { numRuns: 200 },
    ));
});
