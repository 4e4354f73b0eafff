import { toMillis, type Millis } from '../../src/core/ids.ts';
import { NO_PAUSES, addPause, type ProcessPauses } from '../../src/core/process-pauses.ts';

/** A clock that stands still until told otherwise. */
export class VirtualClock {
  #now: Millis;
  #sleeps: ProcessPauses = NO_PAUSES;

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = toMillis(now);
  }

  readonly now = (): Millis => this.#now;

  readonly sleeps = (): ProcessPauses => this.#sleeps;

  advance(ms: number): void {
    this.#now = toMillis(this.#now + ms);
  }

  /** Time passes, and the server sleeps through it. */
  sleep(ms: number): void {
    const from = this.#now;
    this.advance(ms);
    this.#sleeps = addPause(this.#sleeps, { from, until: this.#now });
  }
}
