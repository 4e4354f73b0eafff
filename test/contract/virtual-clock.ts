import { millis, type Millis } from '../../src/core/ids.ts';

/** A clock that stands still until told otherwise. */
export class VirtualClock {
  #now: Millis;

  constructor(now = Date.UTC(2026, 0, 1)) {
    this.#now = millis(now);
  }

  readonly now = (): Millis => this.#now;

  advance(ms: number): void {
    this.#now = millis(this.#now + ms);
  }
}
