/** A timer for a moment of the store's clock, however far away. */
import type { Millis } from '../../core/ids.ts';

/** Node runs a longer timer at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Calls `act` once at `moment` or right after, never before. Returns the function that calls it off. */
export const atMoment = (now: () => Millis, moment: Millis, act: () => void): (() => void) => {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    timer = setTimeout(look, Math.min(Math.max(0, moment - now()), LONGEST_TIMER_MS));
    // What waits for it has a socket that keeps the process running.
    timer.unref();
  };
  const look = (): void => {
    if (now() >= moment) act();
    else arm();
  };
  arm();
  return () => clearTimeout(timer);
};
