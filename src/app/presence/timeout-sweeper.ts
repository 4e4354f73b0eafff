/** Applies timeouts and expiries: finds the users whose deadline has passed and expires their sessions. */
import { DomainError } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import type { PresenceTracker } from './tracker.ts';

export interface TimeoutSweeperLimits {
  /**
   * Users claimed at once. If they are more than one batch, they are sorted by id, so that the users of one commit are
   * neighbours on the disk: 16,384 of a million users in random order take less than half the time. A larger number
   * would delay other work: sorting these takes about 10 ms.
   */
  readonly claimSize: number;
  /** Users expired without a pause for other work: a few ms. A million users due at once must not block the server. */
  readonly batchSize: number;
  /**
   * The maximum number of batches that are not durable yet. It keeps the disk busy, but a login meanwhile does not wait
   * behind many of them.
   */
  readonly maxPendingBatches: number;
}

export const DEFAULT_TIMEOUT_SWEEPER_LIMITS: TimeoutSweeperLimits = {
  claimSize: 16_384,
  batchSize: 256,
  maxPendingBatches: 3,
};

export class TimeoutSweeper {
  readonly #store: PresenceStore;
  readonly #tracker: PresenceTracker;
  readonly #onFailure: (userId: UserId, error: unknown) => void;
  readonly #limits: TimeoutSweeperLimits;
  #currentSweep: Promise<void> | undefined;
  #isStopped = false;
  #backlog = 0;

  /** @param onFailure is called for each user whose timeouts could not be applied. The store returns the user again later. */
  constructor(
    store: PresenceStore,
    tracker: PresenceTracker,
    onFailure: (userId: UserId, error: unknown) => void,
    limits: TimeoutSweeperLimits = DEFAULT_TIMEOUT_SWEEPER_LIMITS,
  ) {
    this.#store = store;
    this.#tracker = tracker;
    this.#onFailure = onFailure;
    this.#limits = limits;
  }

  /** The number of users that are claimed and not yet processed. */
  get backlog(): number {
    return this.#backlog;
  }

  /**
   * Expires all users that are due, and retries failed detaches. Must be called several times a second. A call during
   * a sweep returns the promise of that sweep.
   * @throws the error of `claimDueUsers`, after the users claimed before are processed.
   */
  sweep(): Promise<void> {
    this.#currentSweep ??= this.#runSweep().finally(() => (this.#currentSweep = undefined));
    return this.#currentSweep;
  }

  /** Claims no more users. Batches that have started are completed. */
  stop(): void {
    this.#isStopped = true;
  }

  async #runSweep(): Promise<void> {
    await Promise.all([this.#expireAllDue(), this.#tracker.retryFailedDetaches()]);
  }

  async #expireAllDue(): Promise<void> {
    const pendingBatches: Promise<boolean>[] = [];
    try {
      while (!this.#isStopped) {
        const due = await this.#store.claimDueUsers(this.#limits.claimSize);
        if (due.length === 0) break;
        this.#backlog = due.length;
        for (const batch of this.#splitIntoBatches(due)) {
          this.#backlog -= batch.length;
          pendingBatches.push(this.#expireBatch(batch));
          // If no user of a batch can be written (the disk is full), trying the others is useless. The store returns
          // all of them again later.
          if (pendingBatches.length >= this.#limits.maxPendingBatches && !(await pendingBatches.shift())) return;
        }
      }
    } finally {
      await Promise.all(pendingBatches);
    }
  }

  *#splitIntoBatches(due: readonly UserId[]): Iterable<readonly UserId[]> {
    const size = this.#limits.batchSize;
    const ordered = due.length > size ? due.toSorted() : due;
    for (let start = 0; start < ordered.length && !this.#isStopped; start += size) {
      yield ordered.slice(start, start + size);
    }
  }

  /** @returns false when the store rejected all of them. */
  async #expireBatch(userIds: readonly UserId[]): Promise<boolean> {
    try {
      const failed = await this.#tracker.expireDueUsers(userIds);
      for (const { userId, error } of failed) this.#onFailure(userId, error);
      return failed.length < userIds.length || !failed.every(({ error }) => error instanceof DomainError);
    } catch (error) {
      for (const userId of userIds) this.#onFailure(userId, error);
      return true;
    }
  }
}
