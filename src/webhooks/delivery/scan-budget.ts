/**
 * Looking at the log takes the event loop a few ms each time, and hundreds may want to at once: together they get 5 ms
 * of each of its rounds, the rest is for everybody else.
 */
export class Turns {
  readonly #roundMs: number;
  #spentMs = 0;
  #nextRound: Promise<void> | null = null;

  constructor(roundMs = 5) {
    this.#roundMs = roundMs;
  }

  /** Calls `work` now or in one of the next rounds, first come, first served. @throws what it throws. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    while (this.#spentMs >= this.#roundMs) await this.#round();
    void this.#round();
    const startedAt = performance.now();
    const working = work();
    this.#spentMs += performance.now() - startedAt;
    return working;
  }

  #round(): Promise<void> {
    this.#nextRound ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#nextRound = null;
        this.#spentMs = 0;
        resolve();
      });
    });
    return this.#nextRound;
  }
}
