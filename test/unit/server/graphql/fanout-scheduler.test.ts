/** Who is told when. */
import { expect, test } from 'vitest';
import { Rounds } from '../../../../src/server/graphql/fanout-scheduler.ts';

const immediate = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Takes so long of the processor. */
const work = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until;);
};

test('what comes within one turn is one round, after which what was kept for it is forgotten', async () => {
  const rounds = new Rounds();
  const log: string[] = [];
  const told = (name: string) => ({ tell: () => void log.push(name) });
  rounds.add(told('a'));
  rounds.keeps({ forget: () => void log.push('forgotten') });
  rounds.add(told('b'));
  expect(log).toEqual([]);
  await immediate();
  expect(log).toEqual(['a', 'b', 'forgotten']);
  await immediate();
  rounds.add(told('c'));
  await immediate();
  expect(log).toEqual(['a', 'b', 'forgotten', 'c']);
});

test('what is kept is forgotten, though nobody is to be told', async () => {
  const rounds = new Rounds();
  let forgotten = 0;
  rounds.keeps({ forget: () => forgotten++ });
  await immediate();
  expect(forgotten).toBe(1);
});

test('what comes while a round goes on is told in the next one', async () => {
  const rounds = new Rounds();
  const log: string[] = [];
  const done = new Promise<void>((resolve) => {
    rounds.add({
      tell: () => {
        log.push('first');
        rounds.add({ tell: () => (log.push('next'), resolve()) });
        // Long enough for the next one to be put off.
        work(2);
      },
    });
  });
  rounds.keeps({ forget: () => void log.push('end of the first') });
  await done;
  expect(log).toEqual(['first', 'end of the first', 'next']);
});

test('a round of very many lets others have their turn in between', async () => {
  const rounds = new Rounds();
  let told = 0;
  for (let count = 0; count < 100; count++) {
    rounds.add({
      tell: () => {
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
