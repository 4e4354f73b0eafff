/** Lets time pass: wakes the users whose deadline has come. The one thing that happens by itself. */
import { DomainError } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import type { PresenceTracker } from './tracker.ts';

export interface TimeoutSweeperLimits {
  /**
   * Users taken at once. More than one portion of them are woken in the order of their ids, so that those
   * in one commit are neighbours on the disk: 16,384 of a million in a random order take less than half
   * the time. What many more would gain, others would wait for: sorting these takes about 10 ms.
   */
  readonly claimSize: number;
  /** Users woken without a pause, so that a million due at once do not stall everybody else: a few ms. */
  readonly batchSize: number;
  /**
   * Portions whose changes are not yet on disk; at this many, no more are taken. Enough to keep the disk
   * busy, few enough that whoever logs in meanwhile does not wait behind many.
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
  #stopped = false;
  #backlog = 0;

  /** @param onFailure hears of a wake that failed; the store hands the user out again after a while. */
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

  /** How many were taken and are not yet woken. */
  get backlog(): number {
    return this.#backlog;
  }

  /**
   * To be called several times a second. Resolves when everybody who is due has been woken; a tick that
   * comes while another is at work is that one.
   * @throws what the store says when it is asked who is due, after those taken before were woken.
   */
  sweep(): Promise<void> {
    this.#currentSweep ??= this.#runSweep().finally(() => (this.#currentSweep = undefined));
    return this.#currentSweep;
  }

  /** Nobody is taken from now on. Those taken before are woken. */
  stop(): void {
    this.#stopped = true;
  }

  async #runSweep(): Promise<void> {
    await Promise.all([this.#expireAllDue(), this.#tracker.retryFailedDetaches()]);
  }

  async #expireAllDue(): Promise<void> {
    const underWay: Promise<boolean>[] = [];
    try {
      while (!this.#stopped) {
        const due = await this.#store.claimDueUsers(this.#limits.claimSize);
        if (due.length === 0) break;
        this.#backlog = due.length;
        for (const portion of this.#splitIntoBatches(due)) {
          this.#backlog -= portion.length;
          underWay.push(this.#expireBatch(portion));
          // Where nobody at all can be woken (the disk is full), the others need not be tried: all are handed out again.
          if (underWay.length >= this.#limits.maxPendingBatches && !(await underWay.shift())) return;
        }
      }
    } finally {
      await Promise.all(underWay);
    }
  }

  *#splitIntoBatches(due: readonly UserId[]): Iterable<readonly UserId[]> {
    const size = this.#limits.batchSize;
    const inOrder = due.length > size ? due.toSorted() : due;
    for (let start = 0; start < inOrder.length && !this.#stopped; start += size) {
      yield inOrder.slice(start, start + size);
    }
  }

  /** @returns false when all of them were refused. */
  async #expireBatch(due: readonly UserId[]): Promise<boolean> {
    try {
      const failed = await this.#tracker.expireDueUsers(due);
      for (const { userId, error } of failed) this.#onFailure(userId, error);
      return failed.length < due.length || !failed.every(({ error }) => error instanceof DomainError);
    } catch (error) {
      for (const userId of due) this.#onFailure(userId, error);
      return true;
    }
  }
}
