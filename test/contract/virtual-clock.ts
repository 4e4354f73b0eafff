import { toMillis, type Millis } from '../../src/core/ids.ts';
import { NO_PAUSES, addPause, type ProcessPauses } from '../../src/core/process-pauses.ts';

/** A clock whose time changes only when a test changes it. */
export class VirtualClock {
  #now: Millis;
  #pauses: ProcessPauses = NO_PAUSES;

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = toMillis(now);
  }

  readonly now = (): Millis => this.#now;

  readonly getProcessPauses = (): ProcessPauses => this.#pauses;

  advance(ms: number): void {
    this.#now = toMillis(this.#now + ms);
  }

  /** Advances the time as one process pause. */
  pause(ms: number): void {
    const from = this.#now;
    this.advance(ms);
    this.#pauses = addPause(this.#pauses, { from, until: this.#now });
  }
}
