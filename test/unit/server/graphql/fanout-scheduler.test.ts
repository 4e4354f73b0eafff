/** Who is told when. */
import { expect, test } from 'vitest';
import { FanoutScheduler } from '../../../../src/server/graphql/fanout-scheduler.ts';

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Takes so long of the processor. */
const work = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until;);
};

test('what comes within one turn is one round, after which what was kept for it is forgotten', async () => {
  const rounds = new FanoutScheduler();
  const log: string[] = [];
  const told = (name: string) => ({ deliverPending: () => void log.push(name) });
  rounds.scheduleDelivery(told('a'));
  rounds.clearAfterRound({ clearRoundCache: () => void log.push('forgotten') });
  rounds.scheduleDelivery(told('b'));
  expect(log).toEqual([]);
  await immediate();
  expect(log).toEqual(['a', 'b', 'forgotten']);
  await immediate();
  rounds.scheduleDelivery(told('c'));
  await immediate();
  expect(log).toEqual(['a', 'b', 'forgotten', 'c']);
});

test('what is kept is forgotten, though nobody is to be told', async () => {
  const rounds = new FanoutScheduler();
  let forgotten = 0;
  rounds.clearAfterRound({ clearRoundCache: () => forgotten++ });
  await immediate();
  expect(forgotten).toBe(1);
});

test('what comes while a round goes on is told in the next one', async () => {
  const rounds = new FanoutScheduler();
  const log: string[] = [];
  const done = new Promise<void>((resolve) => {
    rounds.scheduleDelivery({
      deliverPending: () => {
        log.push('first');
        rounds.scheduleDelivery({ deliverPending: () => (log.push('next'), resolve()) });
        // Long enough for the next one to be put off.
        work(2);
      },
    });
  });
  rounds.clearAfterRound({ clearRoundCache: () => void log.push('end of the first') });
  await done;
  expect(log).toEqual(['first', 'end of the first', 'next']);
});

test('a round of very many lets others have their turn in between', async () => {
  const rounds = new FanoutScheduler();
  let told = 0;
  for (let count = 0; count < 100; count++) {
    rounds.scheduleDelivery({
      deliverPending: () => {
        told++;
        work(1);
      },
    });
  }
  const seen: number[] = [];
  while (told < 100) {
    await immediate();
    seen.push(told);
  }
  expect(seen.length).toBeGreaterThan(5);
});
