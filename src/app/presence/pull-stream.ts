/**
 * A stream without a queue. Whoever has news wakes it; what the news is, it asks only when its
 * reader pulls, so a slow reader costs nothing but her own delay.
 */
export interface StreamSource<T> {
  /** What there is to tell now; null when nothing is. Called by one pull at a time. */
  takeNext(): Promise<T | null> | T | null;
  /** The stream is over, whoever ended it. Called once. */
  onClosed(): void;
}

/**
 * Ends when the reader returns (`return()`), or when `end()` is called: a pull that waits is then
 * resolved as done, or rejected with the error that `end` was given. Nothing is told after that.
 */
export class PullStream<T> implements AsyncIterableIterator<T> {
  readonly #source: StreamSource<T>;
  /** Set by `wake` so that news which come during `take` are not slept over. */
  #mayHaveMore = false;
  #resumePull: (() => void) | null = null;
  #isPulling = false;
  #hasEnded = false;
  #error: Error | null = null;
  #pulls: Promise<unknown> = Promise.resolve();

  constructor(source: StreamSource<T>) {
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** There may be news. */
  notifyAvailable(): void {
    this.#mayHaveMore = true;
    this.#resumePull?.();
  }

  /** Is a pull unanswered? What happens then, the reader is not late for. */
  get isPullPending(): boolean {
    return this.#isPulling;
  }

  end(error: Error | null = null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#error = error;
    this.#source.onClosed();
    this.#resumePull?.();
  }

  /** Pulls are answered one after another, also when several are made at once. */
  next(): Promise<IteratorResult<T>> {
    const pull = this.#pulls.then(() => this.#pull());
    this.#pulls = pull.catch(() => undefined);
    return pull;
  }

  return(): Promise<IteratorResult<T>> {
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(error: unknown): Promise<IteratorResult<T>> {
    this.end();
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }

  async #pull(): Promise<IteratorResult<T>> {
    this.#isPulling = true;
    try {
      while (!this.#hasEnded) {
        this.#mayHaveMore = false;
        const value = await this.#source.takeNext();
        // Ended meanwhile: what was taken is not told any more.
        if (this.#isEnded()) break;
        if (value !== null) return { done: false, value };
        if (!this.#mayHaveMore) await this.#waitForNotification();
      }
    } catch (error) {
      // Ended meanwhile: whoever ended it has said how, and nothing else is told.
      if (!this.#isEnded()) {
        this.end();
        throw error;
      }
    } finally {
      this.#isPulling = false;
    }
    const error = this.#error;
    this.#error = null;
    if (error !== null) throw error;
    return { done: true, value: undefined };
  }

  /** Read through a call: the flag changes while a pull awaits, which narrowing does not see. */
  #isEnded(): boolean {
    return this.#hasEnded;
  }

  async #waitForNotification(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#resumePull = resolve;
    });
    this.#resumePull = null;
  }
}
