import { millis, type Millis } from '../../src/core/ids.ts';
import { NO_SLEEPS, withSleep, type ProcessPauses } from '../../src/core/process-pauses.ts';

/** A clock that stands still until told otherwise. */
export class VirtualClock {
  #now: Millis;
  #sleeps: ProcessPauses = NO_SLEEPS;

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = millis(now);
  }

  readonly now = (): Millis => this.#now;

  readonly sleeps = (): ProcessPauses => this.#sleeps;

  advance(ms: number): void {
    this.#now = millis(this.#now + ms);
  }

  /** Time passes, and the server sleeps through it. */
  sleep(ms: number): void {
    const from = this.#now;
    this.advance(ms);
    this.#sleeps = withSleep(this.#sleeps, { from, until: this.#now });
  }
}
