/**
 * How late the event loop is, by the lateness of a timer: a turn of it that takes long is seen while it
 * lasts, and is forgotten with the next one that does not. What a process did not live through (a
 * SIGSTOP, a laptop's sleep) is lateness too, until its first turn afterwards.
 */
import { performance } from 'node:perf_hooks';

/** Short beside any lag that matters, and rare enough to cost nothing. */
const TICK_MS = 20;

export class LoopLag {
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  /** When the timer is to come next. */
  #due: number;
  /** How late it came the last time. */
  #last = 0;

  /** Holds no process open. @param now milliseconds, never set back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#due = now() + TICK_MS;
    this.#timer = setInterval(() => this.#ticked(), TICK_MS);
    this.#timer.unref();
  }

  /** Milliseconds, as of now. */
  get ms(): number {
    return Math.max(this.#last, this.#now() - this.#due, 0);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #ticked(): void {
    const now = this.#now();
    this.#last = now - this.#due;
    this.#due = now + TICK_MS;
  }
}
