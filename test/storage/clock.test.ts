import { afterEach, expect, it, vi } from 'vitest';
import { storeClock } from '../../src/storage/clock.ts';

afterEach(() => vi.restoreAllMocks());

it('the store’s time is the wall clock read once, and monotonic time from then on', () => {
  const wall = vi.spyOn(Date, 'now').mockReturnValue(1_767_225_600_000);
  const monotonic = vi.spyOn(performance, 'now').mockReturnValue(500.25);
  const now = storeClock();
  expect(now()).toBe(1_767_225_600_000);
  monotonic.mockReturnValue(1_500.75);
  expect(now()).toBe(1_767_225_601_000);
  // Somebody sets the wall clock, a year ahead and then back.
  wall.mockReturnValue(1_798_761_600_000);
  expect(now()).toBe(1_767_225_601_000);
  wall.mockReturnValue(0);
  monotonic.mockReturnValue(1_501.25);
  expect(now()).toBe(1_767_225_601_001);
});
