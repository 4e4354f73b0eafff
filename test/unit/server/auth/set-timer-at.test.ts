import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toMillis } from '../../../../src/core/ids.ts';
import { setTimerAt } from '../../../../src/server/auth/set-timer-at.ts';

const DAY_MS = 86_400_000;
const now = () => toMillis(Date.now());

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('calls back once at a moment 60 days ahead, without polling the clock', () => {
  const readClock = vi.fn(now);
  const callback = vi.fn();
  setTimerAt(readClock, toMillis(Date.now() + 60 * DAY_MS), callback);
  vi.advanceTimersByTime(60 * DAY_MS - 1);
  expect(callback).not.toHaveBeenCalled();
  // The longest timer of node is about 24 days, so a few intermediate timers are needed.
  expect(readClock.mock.calls.length).toBeLessThan(10);
  vi.advanceTimersByTime(DAY_MS);
  expect(callback).toHaveBeenCalledTimes(1);
});

test('does not call back early when the store’s clock is behind the timer', () => {
  let behindMs = 50;
  const callback = vi.fn();
  setTimerAt(() => toMillis(Date.now() - behindMs), toMillis(Date.now() + 1_000), callback);
  vi.advanceTimersByTime(1_049);
  expect(callback).not.toHaveBeenCalled();
  behindMs = 1;
  vi.advanceTimersByTime(1);
  expect(callback).toHaveBeenCalledTimes(1);
});

test('calls back asynchronously for a moment in the past, so that it can still be cancelled', () => {
  const callback = vi.fn();
  setTimerAt(now, toMillis(0), callback);
  const cancel = setTimerAt(now, toMillis(0), callback);
  expect(callback).not.toHaveBeenCalled();
  cancel();
  vi.advanceTimersByTime(1);
  expect(callback).toHaveBeenCalledTimes(1);
});
