/** Time that passes when a test says so, and stops at every moment at which somebody wanted to be woken. */
import type { Timers } from '../../../../src/webhooks/delivery/timers.ts';
import { settled } from '../../app/support/waiting.ts';

interface Wait {
  readonly at: number;
  readonly end: () => void;
}

export class VirtualTimers implements Timers {
  readonly #clock: { now(): number; passes(ms: number): void };
  readonly #waits = new Set<Wait>();
  /** How many waits were begun. */
  startedWaits = 0;

  constructor(clock: { now(): number; passes(ms: number): void }) {
    this.#clock = clock;
  }

  /** How many wait. */
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

  /** So much time passes, and whoever waits for a moment in it is woken then and does what there is to do. */
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

/** All that can go on without time has gone on; some of it gives way to others once in between. */
export const settleEngines = async (): Promise<void> => {
  for (let rounds = 0; rounds < 3; rounds++) await settled();
};
