import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { millis } from '../../../../src/core/ids.ts';
import { atMoment } from '../../../../src/server/auth/set-timer-at.ts';

const DAY_MS = 86_400_000;
const now = () => millis(Date.now());

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a moment comes once and not before, however far away, without a look in between', () => {
  const looks = vi.fn(now);
  const act = vi.fn();
  atMoment(looks, millis(Date.now() + 60 * DAY_MS), act);
  vi.advanceTimersByTime(60 * DAY_MS - 1);
  expect(act).not.toHaveBeenCalled();
  // Node knows no timer of more than 24 days.
  expect(looks.mock.calls.length).toBeLessThan(10);
  vi.advanceTimersByTime(DAY_MS);
  expect(act).toHaveBeenCalledTimes(1);
});

test('a timer that runs ahead of the store’s clock is too early', () => {
  let behind = 50;
  const act = vi.fn();
  atMoment(() => millis(Date.now() - behind), millis(Date.now() + 1_000), act);
  vi.advanceTimersByTime(1_049);
  expect(act).not.toHaveBeenCalled();
  behind = 1;
  vi.advanceTimersByTime(1);
  expect(act).toHaveBeenCalledTimes(1);
});

test('a moment that has gone by comes at once, but not before it can be called off', () => {
  const act = vi.fn();
  atMoment(now, millis(0), act);
  const callOff = atMoment(now, millis(0), act);
  expect(act).not.toHaveBeenCalled();
  callOff();
  vi.advanceTimersByTime(1);
  expect(act).toHaveBeenCalledTimes(1);
});
