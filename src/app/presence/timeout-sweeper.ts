/** Lets time pass: wakes the users whose deadline has come. The one thing that happens by itself. */
import { DomainError } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import type { Tracker } from './tracker.ts';

export interface SweeperLimits {
  /**
   * Users taken at once. More than one portion of them are woken in the order of their ids, so that those
   * in one commit are neighbours on the disk: 16,384 of a million in a random order take less than half
   * the time. What many more would gain, others would wait for: sorting these takes about 10 ms.
   */
  readonly claim: number;
  /** Users woken without a pause, so that a million due at once do not stall everybody else: a few ms. */
  readonly portion: number;
  /**
   * Portions whose changes are not yet on disk; at this many, no more are taken. Enough to keep the disk
   * busy, few enough that whoever logs in meanwhile does not wait behind many.
   */
  readonly underWay: number;
}

export const SWEEPER_LIMITS: SweeperLimits = { claim: 16_384, portion: 256, underWay: 3 };

export class Sweeper {
  readonly #store: PresenceStore;
  readonly #tracker: Tracker;
  readonly #onFailure: (userId: UserId, error: unknown) => void;
  readonly #limits: SweeperLimits;
  #sweep: Promise<void> | undefined;
  #stopped = false;
  #backlog = 0;

  /** @param onFailure hears of a wake that failed; the store hands the user out again after a while. */
  constructor(
    store: PresenceStore,
    tracker: Tracker,
    onFailure: (userId: UserId, error: unknown) => void,
    limits: SweeperLimits = SWEEPER_LIMITS,
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
  tick(): Promise<void> {
    this.#sweep ??= this.#work().finally(() => (this.#sweep = undefined));
    return this.#sweep;
  }

  /** Nobody is taken from now on. Those taken before are woken. */
  stop(): void {
    this.#stopped = true;
  }

  async #work(): Promise<void> {
    await Promise.all([this.#wakeAllDue(), this.#tracker.detachAgain()]);
  }

  async #wakeAllDue(): Promise<void> {
    const underWay: Promise<boolean>[] = [];
    try {
      while (!this.#stopped) {
        const due = await this.#store.claimDue(this.#limits.claim);
        if (due.length === 0) break;
        this.#backlog = due.length;
        for (const portion of this.#portions(due)) {
          this.#backlog -= portion.length;
          underWay.push(this.#wake(portion));
          // Where nobody at all can be woken (the disk is full), the others need not be tried: all are handed out again.
          if (underWay.length >= this.#limits.underWay && !(await underWay.shift())) return;
        }
      }
    } finally {
      await Promise.all(underWay);
    }
  }

  *#portions(due: readonly UserId[]): Iterable<readonly UserId[]> {
    const size = this.#limits.portion;
    const inOrder = due.length > size ? due.toSorted() : due;
    for (let start = 0; start < inOrder.length && !this.#stopped; start += size) {
      yield inOrder.slice(start, start + size);
    }
  }

  /** @returns false when all of them were refused. */
  async #wake(due: readonly UserId[]): Promise<boolean> {
    try {
      const failed = await this.#tracker.wake(due);
      for (const { userId, error } of failed) this.#onFailure(userId, error);
      return failed.length < due.length || !failed.every(({ error }) => error instanceof DomainError);
    } catch (error) {
      for (const userId of due) this.#onFailure(userId, error);
      return true;
    }
  }
}
