/** A timer for a moment of the store's clock, however far in the future. */
import type { Millis } from '../../core/ids.ts';

/** Node runs a timer with a longer delay at once. */
const MAX_TIMER_DELAY_MS = 2 ** 31 - 1;

/**
 * Calls `callback` once, at `moment` or shortly after, never before. Returns the function that cancels it. The timer
 * does not keep the process alive.
 */
export const setTimerAt = (now: () => Millis, moment: Millis, callback: () => void): (() => void) => {
  let timer: NodeJS.Timeout;
  const schedule = (): void => {
    timer = setTimeout(onTimer, Math.min(Math.max(0, moment - now()), MAX_TIMER_DELAY_MS));
    timer.unref();
  };
  const onTimer = (): void => {
    if (now() >= moment) callback();
    else schedule();
  };
  schedule();
  return () => clearTimeout(timer);
};
