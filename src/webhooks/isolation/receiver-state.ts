/**
 * What this server knows about the receiver of one webhook: whether it accepts requests, and how many users are isolated.
 * A refused delivery is evidence against its content only if the receiver accepts other requests.
 */
import type { AttemptReport } from '../../app/ports/webhook-store.ts';
import { addMs, toMillis, type Millis, type WebhookId } from '../../core/ids.ts';
import { randomBackoffMs } from '../delivery/backoff.ts';

/** For each webhook. Further users wait with their shard. */
export const MAX_ISOLATED_USERS = 100;
/** For each webhook, so that a hanging receiver does not hold a connection for each isolated user. */
const MAX_CONCURRENT_ATTEMPTS = 4;
/** After so many failures without an accepted request between them, the isolated users share one backoff. */
const FAILURES_BEFORE_SHARED_BACKOFF = 4;

export class ReceiverState {
  #acceptedAttempts = 0;
  #isolatedUsers = 0;
  #attemptsInProgress = 0;
  /** Failed attempts of isolated users since the last accepted request. */
  #failuresInARow = 0;
  #pausedUntil: Millis = toMillis(0);
  readonly #waiters = new Set<AbortController>();

  /** Attempts of any delivery that the receiver accepted, at least in part. Only grows. */
  get acceptedAttempts(): number {
    return this.#acceptedAttempts;
  }

  get isolatedUsers(): number {
    return this.#isolatedUsers;
  }

  /** Isolated users wait until then, because the receiver refuses everything. */
  get pausedUntil(): Millis {
    return this.#pausedUntil;
  }

  /** Registers the result of an attempt of any delivery. An attempt without a request proves nothing. */
  recordAttempt({ status, error, deliveredEventCount }: AttemptReport): void {
    if (deliveredEventCount === 0 && (error !== null || status === null)) return;
    this.#acceptedAttempts++;
    this.endPause();
  }

  /** The receiver may accept requests again: isolated users follow their own backoff. */
  endPause(): void {
    this.#failuresInARow = 0;
    if (this.#pausedUntil === 0) return;
    this.#pausedUntil = toMillis(0);
    this.#wakeWaiters();
  }

  /** Reserves all of these places or none. @returns false when the limit would be exceeded. */
  reserveIsolation(users = 1): boolean {
    if (this.#isolatedUsers + users > MAX_ISOLATED_USERS) return false;
    this.#isolatedUsers += users;
    return true;
  }

  /** Counts users who are isolated already, even beyond the limit. */
  restoreIsolation(users: number): void {
    this.#isolatedUsers += users;
  }

  releaseIsolation(users = 1): void {
    this.#isolatedUsers -= users;
  }

  /** @returns false when too many attempts of isolated users are in progress. */
  startIsolatedAttempt(): boolean {
    const limit = this.#failuresInARow > FAILURES_BEFORE_SHARED_BACKOFF ? 1 : MAX_CONCURRENT_ATTEMPTS;
    if (this.#attemptsInProgress >= limit) return false;
    this.#attemptsInProgress++;
    return true;
  }

  endIsolatedAttempt(): void {
    this.#attemptsInProgress--;
    this.#wakeWaiters();
  }

  /**
   * Registers a failed attempt of an isolated user. While nothing is accepted, all isolated users together get the
   * requests of one delivery that backs off.
   */
  recordIsolatedFailure(now: Millis, random: number): void {
    this.#failuresInARow++;
    const excess = this.#failuresInARow - FAILURES_BEFORE_SHARED_BACKOFF;
    if (excess > 0) this.#pausedUntil = addMs(now, randomBackoffMs(excess, random));
  }

  /** `waiter` is aborted when an attempt may have become possible, until `removeWaiter`. */
  addWaiter(waiter: AbortController): void {
    this.#waiters.add(waiter);
  }

  removeWaiter(waiter: AbortController): void {
    this.#waiters.delete(waiter);
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters) waiter.abort();
  }
}

/** The receivers of all webhooks of one engine. */
export class ReceiverStates {
  readonly #byWebhook = new Map<WebhookId, ReceiverState>();

  getState(id: WebhookId): ReceiverState {
    const known = this.#byWebhook.get(id);
    if (known !== undefined) return known;
    const state = new ReceiverState();
    this.#byWebhook.set(id, state);
    return state;
  }

  /** Forgets the webhooks for which `exists` returns false. */
  retainWebhooks(exists: (id: WebhookId) => boolean): void {
    for (const id of this.#byWebhook.keys()) if (!exists(id)) this.#byWebhook.delete(id);
  }

  countIsolatedUsers(): number {
    let count = 0;
    for (const { isolatedUsers } of this.#byWebhook.values()) count += isolatedUsers;
    return count;
  }
}
