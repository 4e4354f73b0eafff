/**
 * The source of a `PullStream`. The stream has no queue: the source notifies it that values are available, and the
 * stream takes a value only when its reader pulls. A slow reader therefore delays only itself.
 */
export interface StreamSource<T> {
  /** Returns the next value; null: there is none yet. Never called by two pulls at the same time. */
  takeNext(): Promise<T | null> | T | null;
  /** Called once, when the stream has ended for any reason. */
  onClosed(): void;
}

/**
 * Ends when the reader calls `return()`, or when `end()` is called. A pending pull is then resolved as done, or rejected
 * with the error passed to `end()`. No value is delivered after that.
 */
export class PullStream<T> implements AsyncIterableIterator<T> {
  readonly #source: StreamSource<T>;
  /** Set by `notifyAvailable`, so that a notification during `takeNext` is not lost. */
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

  /** Notifies the stream that the source may have values. */
  notifyAvailable(): void {
    this.#mayHaveMore = true;
    this.#resumePull?.();
  }

  /** Whether the reader waits for a value. */
  get isPullPending(): boolean {
    return this.#isPulling;
  }

  /** Ends the stream. Later calls do nothing. @param error rejects the pending or the next pull; null: it is done. */
  end(error: Error | null = null): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#error = error;
    this.#source.onClosed();
    this.#resumePull?.();
  }

  /** Concurrent pulls are answered one after another. */
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
        // The stream ended during the await: the value must not be delivered.
        if (this.#isEnded()) break;
        if (value !== null) return { done: false, value };
        if (!this.#mayHaveMore) await this.#waitForNotification();
      }
    } catch (error) {
      // If the stream ended during the await, the result that `end()` has set wins.
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

  /** A call, because the flag changes during an await, which type narrowing does not see. */
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
