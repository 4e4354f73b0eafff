/** Tasks that run periodically while the store is open. */
export class PeriodicTasks {
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #onWarning: (error: Error) => void;
  #isStopped = false;

  /** @param onWarning called with the error of a failed run. The task runs again at its next time. */
  constructor(onWarning: (error: Error) => void) {
    this.#onWarning = onWarning;
  }

  /** Runs `work` soon and then every `periodMs`. Skips a run while the previous one is still running. */
  runEvery(periodMs: number, work: () => Promise<void>): void {
    let isRunning = false;
    const run = async (): Promise<void> => {
      isRunning = true;
      try {
        await work();
      } catch (error) {
        this.#onWarning(error instanceof Error ? error : new Error(String(error)));
      } finally {
        isRunning = false;
      }
    };
    const runUnlessRunning = (): void => {
      if (isRunning || this.#isStopped) return;
      const running = run().finally(() => this.#running.delete(running));
      this.#running.add(running);
    };
    this.#timers.push(setInterval(runUnlessRunning, periodMs).unref());
    setImmediate(runUnlessRunning);
  }

  /** Starts no further runs. */
  stopScheduling(): void {
    this.#isStopped = true;
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** Resolves when no task is running. Call it after `stopScheduling`. */
  async waitUntilIdle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
