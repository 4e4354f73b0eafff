import { millis, type Millis } from '../core/ids.ts';
import { NO_SLEEPS, withSleep, type ProcessPauses } from '../core/process-pauses.ts';

/** The wall clock, in milliseconds since 1970, UTC. The only place of the program that reads it. */
export const wallClock = (): number => Date.now();

/** By so much a timeout may be late at most, so whoever is kept from ticking for longer has slept. */
const ASLEEP_AFTER_MS = 1_000;

/**
 * A store's time: the wall clock as read now, and monotonic time from then on. Whole milliseconds,
 * never set back, and deaf to whatever happens to the wall clock later.
 *
 * It also notices when the process was asleep (stopped, or its event loop blocked): nobody called `tick`
 * for more than a second. Whoever reads the time knows of it, so that nothing can be judged by a time
 * of which a part was slept through.
 */
export class StoreClock {
  readonly #offset = wallClock() - performance.now();
  #awakeAt = performance.now();
  #tickedAt = performance.now();
  #sleeps: ProcessPauses = NO_SLEEPS;

  readonly now = (): Millis => {
    const at = performance.now();
    if (at - this.#awakeAt > ASLEEP_AFTER_MS) this.#sleptUntil(at);
    return this.#momentOf(at);
  };

  /** As known by the last look at the time. */
  readonly sleeps = (): ProcessPauses => this.#sleeps;

  /**
   * To be called many times a second by whoever only gets to it while the event loop turns.
   * @returns how long it was asleep, in ms; 0: it was not.
   */
  tick(): number {
    const at = performance.now();
    const gap = at - this.#tickedAt;
    this.#tickedAt = at;
    this.now();
    this.#awakeAt = performance.now();
    return gap > ASLEEP_AFTER_MS ? gap : 0;
  }

  #sleptUntil(at: number): void {
    this.#sleeps = withSleep(this.#sleeps, { from: this.#momentOf(this.#awakeAt), until: this.#momentOf(at) });
    this.#awakeAt = at;
  }

  #momentOf(at: number): Millis {
    return millis(Math.floor(this.#offset + at));
  }
}
