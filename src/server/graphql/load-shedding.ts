/**
 * Rejects deferrable operations while the server lags behind its work or is short of memory. Operations that keep a
 * session online or end something, and cheap ones, are never rejected.
 */
import type { WriteBacklog } from '../../app/ports/presence-store.ts';
import { DomainError } from '../../core/errors.ts';
import type { OperationInfo } from './operation.ts';

/** Root fields that bring new work. Rejecting them makes no status wrong. */
const DEFERRABLE_FIELDS: ReadonlySet<string> = new Set(['login', 'statusChanges', 'presenceEvents']);
/** Root fields that read a lot. They do not wait for writes, so a slow disk is no reason to reject them. */
const HEAVY_READ_FIELDS: ReadonlySet<string> = new Set(['userStatuses', 'onlineUsers', 'events', 'webhookDeliveries']);

/** With a small lag, a client that retries at once still retries too early. */
const MIN_RETRY_MS = 500;
/** A login waits no longer than this, even after a long lag. */
const MAX_RETRY_MS = 10_000;

/**
 * Whether a lag is too long. Once it is, it stays so until the lag falls below half of the limit. Without this
 * hysteresis each admitted operation would cause the next to be rejected.
 */
export const isLagExcessive = (wasExcessive: boolean, lagMs: number, maxLagMs: number): boolean =>
  lagMs > (wasExcessive ? maxLagMs / 2 : maxLagMs);

/** Grows with the lag, with a jitter of ±50 % so that clients do not retry together. @param random from 0 to below 1. */
export const computeRetryAfterMs = (lagMs: number, random: number): number =>
  Math.round(Math.min(MIN_RETRY_MS + 2 * lagMs, MAX_RETRY_MS) * (0.5 + random));

/**
 * Logins that may be in progress however late the event loop is. Without them, the rejections alone could keep the
 * loop late, and no login would succeed again. They cost one turn of the loop a few milliseconds.
 */
const MIN_CONCURRENT_LOGINS = 64;

/** Prepared errors, reused in turn. Creating an error costs more than the rest of a rejection. */
const PREPARED_REJECTIONS = 32;

export interface LoadShedderOptions {
  readonly maxLagMs: number;
  /** The delay of the event loop in milliseconds. */
  readonly readLoopLagMs: () => number;
  readonly readWriteBacklog: () => WriteBacklog;
  readonly isMemoryLow: () => boolean;
}

export class LoadShedder {
  readonly #options: LoadShedderOptions;
  #wasLagExcessive = false;
  /** Reused in turn, each with a jitter of its own. */
  #preparedRejections: DomainError[] = [];
  #rejectionCount = 0;
  /** The lag that the prepared rejections were made for. */
  #preparedForLagMs = 0;

  constructor(options: LoadShedderOptions) {
    this.#options = options;
  }

  /** False if no operation would be rejected now. True does not mean that every operation is. */
  get isOverloaded(): boolean {
    const options = this.#options;
    if (options.isMemoryLow()) return true;
    const lagMs = Math.max(options.readLoopLagMs(), options.readWriteBacklog().oldestPendingMs);
    return isLagExcessive(this.#wasLagExcessive, lagMs, options.maxLagMs);
  }

  /** The OVERLOADED error if this operation is to be rejected now, otherwise null. */
  getRejection({ rootFields }: OperationInfo): DomainError | null {
    let isDeferrable = false;
    let isHeavyRead = false;
    for (const field of rootFields) {
      isDeferrable ||= DEFERRABLE_FIELDS.has(field);
      isHeavyRead ||= HEAVY_READ_FIELDS.has(field);
    }
    if (!isDeferrable && !isHeavyRead) return null;
    const options = this.#options;
    const { pendingChanges, oldestPendingMs } = options.readWriteBacklog();
    const loopLagMs = options.readLoopLagMs();
    const lagMs = Math.max(loopLagMs, oldestPendingMs);
    this.#wasLagExcessive = isLagExcessive(this.#wasLagExcessive, lagMs, options.maxLagMs);
    if (options.isMemoryLow()) return this.#takePreparedRejection(lagMs);
    if (!this.#wasLagExcessive) return null;
    const isLoopLate = loopLagMs > options.maxLagMs / 2;
    const isAdmitted = rootFields.has('login')
      ? isLoopLate && pendingChanges < MIN_CONCURRENT_LOGINS
      : !isDeferrable && !isLoopLate;
    return isAdmitted ? null : this.#takePreparedRejection(lagMs);
  }

  #takePreparedRejection(lagMs: number): DomainError {
    if (lagMs > 1.5 * this.#preparedForLagMs || lagMs < this.#preparedForLagMs / 1.5) {
      this.#preparedRejections = [];
      this.#preparedForLagMs = lagMs;
    }
    const index = this.#rejectionCount++ % PREPARED_REJECTIONS;
    return (this.#preparedRejections[index] ??= new DomainError(
      { code: 'OVERLOADED', retryAfterMs: computeRetryAfterMs(lagMs, Math.random()) },
      'The server is overloaded. Try again later.',
    ));
  }
}
