import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toMillis } from '../../../../src/core/ids.ts';
import { setTimerAt } from '../../../../src/server/auth/set-timer-at.ts';

const DAY_MS = 86_400_000;
const now = () => toMillis(Date.now());

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('a moment comes once and not before, however far away, without a look in between', () => {
  const looks = vi.fn(now);
  const act = vi.fn();
  setTimerAt(looks, toMillis(Date.now() + 60 * DAY_MS), act);
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
  setTimerAt(() => toMillis(Date.now() - behind), toMillis(Date.now() + 1_000), act);
  vi.advanceTimersByTime(1_049);
  expect(act).not.toHaveBeenCalled();
  behind = 1;
  vi.advanceTimersByTime(1);
  expect(act).toHaveBeenCalledTimes(1);
});

test('a moment that has gone by comes at once, but not before it can be called off', () => {
  const act = vi.fn();
  setTimerAt(now, toMillis(0), act);
  const callOff = setTimerAt(now, toMillis(0), act);
  expect(act).not.toHaveBeenCalled();
  callOff();
  vi.advanceTimersByTime(1);
  expect(act).toHaveBeenCalledTimes(1);
});
