import { millis, type Millis } from '../core/ids.ts';
import { NO_SLEEPS, withSleep, type ProcessPauses } from '../core/process-pauses.ts';

/** The wall clock, in milliseconds since 1970, UTC. The only place of the program that reads it. */
export const readWallClock = (): number => Date.now();

/** By so much a timeout may be late at most, so whoever is kept from ticking for longer has slept. */
const PAUSE_THRESHOLD_MS = 1_000;

/**
 * A store's time: the wall clock as read now, and monotonic time from then on. Whole milliseconds,
 * never set back, and deaf to whatever happens to the wall clock later.
 *
 * It also notices when the process was asleep (stopped, or its event loop blocked): nobody called `tick`
 * for more than a second. Whoever reads the time knows of it, so that nothing can be judged by a time
 * of which a part was slept through.
 */
export class StoreClock {
  readonly #offset = readWallClock() - performance.now();
  #lastReadAt = performance.now();
  #lastTickAt = performance.now();
  #pauses: ProcessPauses = NO_SLEEPS;

  readonly now = (): Millis => {
    const at = performance.now();
    if (at - this.#lastReadAt > PAUSE_THRESHOLD_MS) this.#recordPauseUntil(at);
    return this.#toWallTime(at);
  };

  /** As known by the last look at the time. */
  readonly getProcessPauses = (): ProcessPauses => this.#pauses;

  /**
   * To be called many times a second by whoever only gets to it while the event loop turns.
   * @returns how long it was asleep, in ms; 0: it was not.
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
    this.#pauses = withSleep(this.#pauses, { from: this.#toWallTime(this.#lastReadAt), until: this.#toWallTime(at) });
    this.#lastReadAt = at;
  }

  #toWallTime(at: number): Millis {
    return millis(Math.floor(this.#offset + at));
  }
}
