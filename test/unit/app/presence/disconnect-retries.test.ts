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
let reported: ClosedSocket[];
let all: DisconnectRetries;

beforeEach(() => {
  [refusal, tried, reported] = [null, [], []];
  all = new DisconnectRetries(async (departure) => {
    tried.push(departure);
    if (refusal !== null) throw refusal;
    reported.push(departure);
  });
});

it('a closed socket that is stored is reported once', async () => {
  for (const each of departures(2)) await all.detachOrRetryLater(each);
  await all.retryPending();
  expect(reported).toEqual(departures(2));
});

it('closed sockets that are refused are retried until they are stored, and then no more', async () => {
  refusal = FULL;
  for (const each of departures(300)) await all.detachOrRetryLater(each);
  expect(reported).toEqual([]);
  tried = [];
  await all.retryPending();
  // When one is refused, the others are not tried.
  expect(tried).toEqual(departures(1));
  refusal = null;
  await all.retryPending();
  expect(reported).toEqual(departures(300));
  tried = [];
  await all.retryPending();
  expect(tried).toEqual([]);
});

it('an error of the store is passed to the caller and not retried', async () => {
  const [one] = departures(1);
  if (one === undefined) throw new Error('There is one.');
  refusal = new Error('The store is closed.');
  expect(await errorOf(all.detachOrRetryLater(one))).toBe(refusal);
  refusal = null;
  await all.retryPending();
  expect(reported).toEqual([]);
});
