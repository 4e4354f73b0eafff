/** Work that is done every so often, for as long as the store is open. Nobody waits for it but `settled`. */
export class PeriodicTasks {
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #onWarning: (error: Error) => void;
  #isStopped = false;

  /** @param onWarning hears of work that failed; it is done again when its time comes. */
  constructor(onWarning: (error: Error) => void) {
    this.#onWarning = onWarning;
  }

  /** Does `work` every `periodMs`, and soon after now; skips a turn while the last one runs. */
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

  /** Nothing is begun from now on. */
  stopScheduling(): void {
    this.#isStopped = true;
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** Resolves when nothing is running; to be awaited after `stop`. */
  async waitUntilIdle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
