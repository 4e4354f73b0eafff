/**
 * Measures how late the event loop is, by how late a timer fires. A long turn of the loop is visible while it lasts, and
 * until the next tick that is on time. A process pause (SIGSTOP, a suspended laptop) also counts as lag, until the
 * first turn after it.
 */
import { performance } from 'node:perf_hooks';

/** Much shorter than any lag of interest, and long enough to cost nothing measurable. */
const TICK_MS = 20;

export class EventLoopLagMonitor {
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  /** When the next tick is due. */
  #dueAt: number;
  /** The lateness of the last tick. */
  #lastLagMs = 0;

  /**
   * Starts measuring. Its timer does not keep the process alive.
   * @param now a monotonic clock in milliseconds.
   */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#dueAt = now() + TICK_MS;
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** The present lag in milliseconds; at least 0. */
  get lagMs(): number {
    return Math.max(this.#lastLagMs, this.#now() - this.#dueAt, 0);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    const now = this.#now();
    this.#lastLagMs = now - this.#dueAt;
    this.#dueAt = now + TICK_MS;
  }
}
