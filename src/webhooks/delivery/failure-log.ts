/** Reports a repeated failure once, and its recovery once, however many callers retry it and however often. */
import { DomainError } from '../../core/errors.ts';

export interface FailureListener {
  onFailure(error: unknown, message: string): void;
  /** @param message the one given to `onFailure`. */
  onRecovery(message: string): void;
}

export class FailureLog {
  readonly #listener: FailureListener;
  /** The callers that retry, by message. */
  readonly #retriersByMessage = new Map<string, Set<object>>();

  constructor(listener: FailureListener) {
    this.#listener = listener;
  }

  /** `retrier` failed and will retry. OVERLOADED errors are ignored, because the store reports them itself. */
  recordFailure(error: unknown, message: string, retrier: object): void {
    if (isOverloadedError(error)) return;
    const retriers = this.#retriersByMessage.get(message);
    if (retriers !== undefined) {
      retriers.add(retrier);
      return;
    }
    this.#retriersByMessage.set(message, new Set([retrier]));
    this.#listener.onFailure(error, message);
  }

  /** Reports the recovery if `retrier` was the last that failed. */
  recordSuccess(message: string, retrier: object): void {
    if (this.#removeRetrier(message, retrier)) this.#listener.onRecovery(message);
  }

  /** `retrier` stops without a result, so no recovery is reported. */
  abandonRetry(message: string, retrier: object): void {
    this.#removeRetrier(message, retrier);
  }

  /** @returns whether it was the last one. */
  #removeRetrier(message: string, retrier: object): boolean {
    const retriers = this.#retriersByMessage.get(message);
    if (retriers?.delete(retrier) !== true || retriers.size > 0) return false;
    return this.#retriersByMessage.delete(message);
  }
}

/** The store rejects writes for a while; it has already logged that itself. */
export const isOverloadedError = (error: unknown): boolean =>
  error instanceof DomainError && error.details.code === 'OVERLOADED';
