/** When `FanoutScheduler` delivers to recipients and clears round caches. */
import { expect, test } from 'vitest';
import { FanoutScheduler } from '../../../../src/server/graphql/fanout-scheduler.ts';

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Keeps the processor busy. */
const work = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until;);
};

test('serves all recipients of one loop turn in one round and clears the round caches after it', async () => {
  const scheduler = new FanoutScheduler();
  const log: string[] = [];
  const recipient = (name: string) => ({ deliverPending: () => void log.push(name) });
  scheduler.scheduleDelivery(recipient('a'));
  scheduler.clearAfterRound({ clearRoundCache: () => void log.push('cleared') });
  scheduler.scheduleDelivery(recipient('b'));
  expect(log).toEqual([]);
  await immediate();
  expect(log).toEqual(['a', 'b', 'cleared']);
  await immediate();
  scheduler.scheduleDelivery(recipient('c'));
  await immediate();
  expect(log).toEqual(['a', 'b', 'cleared', 'c']);
});

test('clears a round cache when the round has no recipients', async () => {
  const scheduler = new FanoutScheduler();
  let cleared = 0;
  scheduler.clearAfterRound({ clearRoundCache: () => cleared++ });
  await immediate();
  expect(cleared).toBe(1);
});

test('serves a recipient that is scheduled during a round in the next round', async () => {
  const scheduler = new FanoutScheduler();
  const log: string[] = [];
  const done = new Promise<void>((resolve) => {
    scheduler.scheduleDelivery({
      deliverPending: () => {
        log.push('first round');
        scheduler.scheduleDelivery({ deliverPending: () => (log.push('second round'), resolve()) });
        // Long enough for a pause before the next round.
        work(2);
      },
    });
  });
  scheduler.clearAfterRound({ clearRoundCache: () => void log.push('end of the first round') });
  await done;
  expect(log).toEqual(['first round', 'end of the first round', 'second round']);
});

test('yields to the event loop during a long round', async () => {
  const scheduler = new FanoutScheduler();
  let served = 0;
  for (let count = 0; count < 100; count++) {
    scheduler.scheduleDelivery({
      deliverPending: () => {
        served++;
        work(1);
      },
    });
  }
  const seen: number[] = [];
  while (served < 100) {
    await immediate();
    seen.push(served);
  }
  expect(seen.length).toBeGreaterThan(5);
});
