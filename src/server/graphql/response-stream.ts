/**
 * The results of a subscription as an async iterator. Every error becomes a result, and the stream can be ended from
 * outside with a final error.
 */
import type { ExecutionResult } from 'graphql';

export interface ResponseStreamOptions {
  readonly source: AsyncIterator<unknown>;
  /** Converts an event of the source to the result that the client receives. */
  readonly toResult: (event: unknown) => ExecutionResult | Promise<ExecutionResult>;
  /** Converts an error of the source, or the error given to `endWithError`. */
  readonly toErrorResult: (error: unknown) => ExecutionResult;
  /** Called once when the stream ends, for any reason. */
  readonly onClosed: () => void;
}

type StreamItem = IteratorResult<ExecutionResult, undefined>;

/**
 * Serves one `next` call at a time. It ends when its source ends, with `return`, or with `endWithError`. In the last
 * case the error is the final result, also for a reader that calls `next` later.
 */
export class ResponseStream implements AsyncIterableIterator<ExecutionResult, undefined> {
  readonly #options: ResponseStreamOptions;
  #isClosed = false;
  #finalResult: ExecutionResult | null = null;
  /** Resolves the `next` call that waits for the source. */
  #resolveNext: ((item: StreamItem) => void) | null = null;

  constructor(options: ResponseStreamOptions) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<StreamItem> {
    if (this.#isClosed) return Promise.resolve(this.#takeFinalItem());
    return new Promise((resolve) => {
      this.#resolveNext = resolve;
      void this.#pullFromSource();
    });
  }

  /** Stops the source and makes this error the final result. */
  endWithError(error: unknown): void {
    if (this.#isClosed) return;
    this.#close(this.#options.toErrorResult(error));
    this.#stopSource();
    if (this.#resolveNext !== null) this.#emit(this.#takeFinalItem());
  }

  return(): Promise<StreamItem> {
    if (!this.#isClosed) {
      this.#close(null);
      this.#stopSource();
    }
    this.#finalResult = null;
    this.#emit({ done: true, value: undefined });
    return Promise.resolve({ done: true, value: undefined });
  }

  async #pullFromSource(): Promise<void> {
    const { source, toResult, toErrorResult } = this.#options;
    try {
      const event = await source.next();
      if (event.done !== true) return this.#emit({ done: false, value: await toResult(event.value) });
      this.#close(null);
    } catch (error) {
      if (!this.#isClosed) {
        this.#close(toErrorResult(error));
        this.#stopSource();
      }
    }
    this.#emit(this.#takeFinalItem());
  }

  /** Does nothing if `endWithError` or `return` has answered the waiting `next` call already. */
  #emit(item: StreamItem): void {
    const resolve = this.#resolveNext;
    this.#resolveNext = null;
    resolve?.(item);
  }

  #takeFinalItem(): StreamItem {
    const value = this.#finalResult;
    this.#finalResult = null;
    return value === null ? { done: true, value: undefined } : { done: false, value };
  }

  #close(finalResult: ExecutionResult | null): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#finalResult = finalResult;
    this.#options.onClosed();
  }

  #stopSource(): void {
    // The stream is closed, so an error of the source has no receiver.
    this.#options.source.return?.().then(undefined, () => undefined);
  }
}
