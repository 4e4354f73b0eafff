/** Timers over a virtual clock: `advance` stops at every moment at which a wait ends. */
import type { Timers } from '../../../../src/webhooks/delivery/timers.ts';
import { settled } from '../../app/support/waiting.ts';

interface Wait {
  readonly at: number;
  readonly end: () => void;
}

export class VirtualTimers implements Timers {
  readonly #clock: { now(): number; passes(ms: number): void };
  readonly #waits = new Set<Wait>();
  /** Number of waits that were started. */
  startedWaits = 0;

  constructor(clock: { now(): number; passes(ms: number): void }) {
    this.#clock = clock;
  }

  /** Number of waits that have not ended. */
  get pendingWaits(): number {
    return this.#waits.size;
  }

  readonly wait = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const wait = {
        at: this.#clock.now() + ms,
        end: () => {
          this.#waits.delete(wait);
          signal.removeEventListener('abort', wait.end);
          resolve();
        },
      };
      this.startedWaits++;
      if (signal.aborted) return resolve();
      this.#waits.add(wait);
      signal.addEventListener('abort', wait.end);
    });

  /** Advances the clock by `ms`. Waits end in order, and each continuation runs before the next one ends. */
  async advance(ms: number): Promise<void> {
    const until = this.#clock.now() + ms;
    await settleEngines();
    for (;;) {
      const next = Math.min(...[...this.#waits].map(({ at }) => at));
      if (next > until) break;
      this.#clock.passes(Math.max(0, next - this.#clock.now()));
      for (const wait of [...this.#waits]) if (wait.at <= next) wait.end();
      await settleEngines();
    }
    this.#clock.passes(until - this.#clock.now());
    await settleEngines();
  }
}

/** Resolves when everything that does not wait for time has run. */
export const settleEngines = async (): Promise<void> => {
  for (let rounds = 0; rounds < 3; rounds++) await settled();
};
