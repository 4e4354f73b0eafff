/**
 * Limits the time that log scans take from the event loop. One scan takes a few ms, and hundreds may start at once:
 * together they get `budgetMs` of each loop iteration.
 */
export class ScanBudget {
  readonly #budgetMs: number;
  #spentMs = 0;
  #nextIteration: Promise<void> | null = null;

  constructor(budgetMs = 5) {
    this.#budgetMs = budgetMs;
  }

  /** Calls `scan` in this loop iteration, or in a later one when the budget is spent; in order. @throws what it throws. */
  async runWithinBudget<T>(scan: () => Promise<T>): Promise<T> {
    while (this.#spentMs >= this.#budgetMs) await this.#waitForNextIteration();
    void this.#waitForNextIteration();
    const startedAt = performance.now();
    const result = scan();
    this.#spentMs += performance.now() - startedAt;
    return result;
  }

  #waitForNextIteration(): Promise<void> {
    this.#nextIteration ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#nextIteration = null;
        this.#spentMs = 0;
        resolve();
      });
    });
    return this.#nextIteration;
  }
}
