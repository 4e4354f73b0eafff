import { expect, it } from 'vitest';
import { Histogram } from '../../../../src/app/shared/histogram.ts';

it('counts a value in the first bucket whose bound it does not exceed, and adds all values', () => {
  const tally = new Histogram([1, 10]);
  for (const value of [0, 1, 1.5, 10, 10.5, 1_000]) tally.recordValue(value);
  expect([...tally.counts]).toEqual([2, 2, 2]);
  expect(tally.sum).toBe(1_023);
});
