import { beforeEach, expect, it } from 'vitest';
import { DisconnectRetries, type ClosedSocket } from '../../../../src/app/presence/disconnect-retries.ts';
import { DomainError } from '../../../../src/core/errors.ts';
import { asSocketId, parseUserId } from '../../../../src/core/ids.ts';
import { errorOf } from '../support/waiting.ts';

const FULL = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
const departures = (count: number): readonly ClosedSocket[] =>
  Array.from({ length: count }, (_, index) => ({
    userId: parseUserId(`user ${index}`),
    socketId: asSocketId(`link ${index}`),
    closedByServer: index % 2 === 0,
  }));

let refusal: Error | null;
let tried: ClosedSocket[];
let told: ClosedSocket[];
let all: DisconnectRetries;

beforeEach(() => {
  [refusal, tried, told] = [null, [], []];
  all = new DisconnectRetries(async (departure) => {
    tried.push(departure);
    if (refusal !== null) throw refusal;
    told.push(departure);
  });
});

it('one that is heard is told once', async () => {
  for (const each of departures(2)) await all.detachOrRetryLater(each);
  await all.retryPending();
  expect(told).toEqual(departures(2));
});

it('those that are refused are told again until they are heard, and then no more', async () => {
  refusal = FULL;
  for (const each of departures(300)) await all.detachOrRetryLater(each);
  expect(told).toEqual([]);
  tried = [];
  await all.retryPending();
  // Where one is refused, the others need not be tried.
  expect(tried).toEqual(departures(1));
  refusal = null;
  await all.retryPending();
  expect(told).toEqual(departures(300));
  tried = [];
  await all.retryPending();
  expect(tried).toEqual([]);
});

it('a fault of the store is the caller’s, and nothing to be told again', async () => {
  const [one] = departures(1);
  if (one === undefined) throw new Error('There is one.');
  refusal = new Error('The store is closed.');
  expect(await errorOf(all.detachOrRetryLater(one))).toBe(refusal);
  refusal = null;
  await all.retryPending();
  expect(told).toEqual([]);
});
