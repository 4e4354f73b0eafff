/**
 * The answers of a subscription on their way to a client: every error is told as such, and the stream
 * can be ended with a last word from outside, because what allowed it is over.
 */
import type { ExecutionResult } from 'graphql';

export interface ResponseStreamOptions {
  readonly source: AsyncIterator<unknown>;
  /** What the client is told of an event of the source. */
  readonly toResult: (event: unknown) => ExecutionResult | Promise<ExecutionResult>;
  /** What the client is told when the source, or whoever ends the stream, throws this. */
  readonly toErrorResult: (error: unknown) => ExecutionResult;
  /** The stream is over, whoever ended it. Called once. */
  readonly onClosed: () => void;
}

type Answer = IteratorResult<ExecutionResult, undefined>;

/**
 * Read by one pull at a time. Ends when its source does, when its reader returns, or with `end`, whose
 * error is its last answer, told also to a reader who comes for it later.
 */
export class ResponseStream implements AsyncIterableIterator<ExecutionResult, undefined> {
  readonly #options: ResponseStreamOptions;
  #over = false;
  #lastWord: ExecutionResult | null = null;
  /** The pull that waits for the source. */
  #waiting: ((answer: Answer) => void) | null = null;

  constructor(options: ResponseStreamOptions) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Answer> {
    if (this.#over) return Promise.resolve(this.#final());
    return new Promise((resolve) => {
      this.#waiting = resolve;
      void this.#pull();
    });
  }

  /** Nothing of the source is told any more; the error is. */
  endWithError(error: unknown): void {
    if (this.#over) return;
    this.#close(this.#options.toErrorResult(error));
    this.#stopSource();
    if (this.#waiting !== null) this.#answer(this.#final());
  }

  return(): Promise<Answer> {
    if (!this.#over) {
      this.#close(null);
      this.#stopSource();
    }
    this.#lastWord = null;
    this.#answer({ done: true, value: undefined });
    return Promise.resolve({ done: true, value: undefined });
  }

  async #pull(): Promise<void> {
    const { source, toResult: answer, toErrorResult: failure } = this.#options;
    try {
      const event = await source.next();
      if (event.done !== true) return this.#answer({ done: false, value: await answer(event.value) });
      this.#close(null);
    } catch (error) {
      if (!this.#over) {
        this.#close(failure(error));
        this.#stopSource();
      }
    }
    this.#answer(this.#final());
  }

  /** Resolves the waiting pull, if `end` or `return` has not done so before the source did. */
  #answer(answer: Answer): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(answer);
  }

  #final(): Answer {
    const value = this.#lastWord;
    this.#lastWord = null;
    return value === null ? { done: true, value: undefined } : { done: false, value };
  }

  #close(lastWord: ExecutionResult | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#lastWord = lastWord;
    this.#options.onClosed();
  }

  #stopSource(): void {
    // A source that fails to stop has nobody left to tell: the stream is closed already.
    this.#options.source.return?.().then(undefined, () => undefined);
  }
}
