import { toMillis, type Millis } from '../core/ids.ts';
import { NO_PAUSES, addPause, type ProcessPauses } from '../core/process-pauses.ts';

/** Returns the wall clock in milliseconds since 1970 (UTC). Nothing else in the program reads the wall clock. */
export const readWallClock = (): number => Date.now();

/** A longer gap than this counts as a process pause. A timeout may be late by at most this much. */
const PAUSE_THRESHOLD_MS = 1_000;

/**
 * The clock of a store: the wall clock as read at construction, advanced by monotonic time. It returns whole
 * milliseconds, never goes back, and ignores later changes of the wall clock.
 *
 * It also detects process pauses (the process was stopped, or its event loop was blocked): no call of `detectPause`
 * for more than 1 s. Reading the time records the pause first, so no deadline is judged by a time that includes an
 * unknown pause.
 */
export class StoreClock {
  readonly #offset = readWallClock() - performance.now();
  #lastReadAt = performance.now();
  #lastTickAt = performance.now();
  #pauses: ProcessPauses = NO_PAUSES;

  readonly now = (): Millis => {
    const at = performance.now();
    if (at - this.#lastReadAt > PAUSE_THRESHOLD_MS) this.#recordPauseUntil(at);
    return this.#toWallTime(at);
  };

  /** Returns the pauses known at the last call of `now` or `detectPause`. */
  readonly getProcessPauses = (): ProcessPauses => this.#pauses;

  /**
   * Checks for a pause. Call it many times a second from a timer of the event loop.
   * @returns the length of the pause since the last call in ms; 0 if there was none.
   */
  detectPause(): number {
    const at = performance.now();
    const gap = at - this.#lastTickAt;
    this.#lastTickAt = at;
    this.now();
    this.#lastReadAt = performance.now();
    return gap > PAUSE_THRESHOLD_MS ? gap : 0;
  }

  #recordPauseUntil(at: number): void {
    this.#pauses = addPause(this.#pauses, { from: this.#toWallTime(this.#lastReadAt), until: this.#toWallTime(at) });
    this.#lastReadAt = at;
  }

  #toWallTime(at: number): Millis {
    return toMillis(Math.floor(this.#offset + at));
  }
}
