import { millis, type Millis } from '../core/ids.ts';

/** The wall clock, in milliseconds since 1970, UTC. The only place of the program that reads it. */
export const wallClock = (): number => Date.now();

/**
 * A store's time: the wall clock as read now, and monotonic time from then on. Whole milliseconds,
 * never set back, and deaf to whatever happens to the wall clock later.
 */
export const storeClock = (): (() => Millis) => {
  const offset = wallClock() - performance.now();
  return () => millis(Math.floor(offset + performance.now()));
};
