/** Work that is done every so often, for as long as the store is open. Nobody waits for it but `settled`. */
export class Background {
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #onWarning: (error: Error) => void;
  #stopped = false;

  /** @param onWarning hears of work that failed; it is done again when its time comes. */
  constructor(onWarning: (error: Error) => void) {
    this.#onWarning = onWarning;
  }

  /** Does `work` every `periodMs`, and soon after now; skips a turn while the last one runs. */
  every(periodMs: number, work: () => Promise<void>): void {
    let busy = false;
    const run = async (): Promise<void> => {
      busy = true;
      try {
        await work();
      } catch (error) {
        this.#onWarning(error instanceof Error ? error : new Error(String(error)));
      } finally {
        busy = false;
      }
    };
    const turn = (): void => {
      if (busy || this.#stopped) return;
      const running = run().finally(() => this.#running.delete(running));
      this.#running.add(running);
    };
    this.#timers.push(setInterval(turn, periodMs).unref());
    setImmediate(turn);
  }

  /** Nothing is begun from now on. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** Resolves when nothing is running; to be awaited after `stop`. */
  async settled(): Promise<void> {
    await Promise.all(this.#running);
  }
}
