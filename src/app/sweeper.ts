/** Lets time pass: wakes the users whose deadline has come. The one thing that happens by itself. */
import type { UserId } from '../core/ids.ts';
import type { PresenceStore } from './ports.ts';
import type { Tracker } from './tracker.ts';

export interface SweeperLimits {
  /** Users taken at one tick, so that a million due at once do not stall everybody else. */
  readonly perTick: number;
  /** Users whose change is not yet on disk; at this many, no more are taken. */
  readonly underWay: number;
}

export const SWEEPER_LIMITS: SweeperLimits = { perTick: 2_000, underWay: 20_000 };

export class Sweeper {
  readonly #store: PresenceStore;
  readonly #tracker: Tracker;
  readonly #onFailure: (userId: UserId, error: unknown) => void;
  readonly #limits: SweeperLimits;
  #underWay = 0;

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

  /** To be called several times a second. Resolves when those taken are woken; ticks may overlap. */
  async tick(): Promise<void> {
    const room = Math.min(this.#limits.perTick, this.#limits.underWay - this.#underWay);
    if (room <= 0) return;
    const due = await this.#claim(room);
    await Promise.all(
      due.map(async (userId) => {
        try {
          await this.#tracker.wake(userId);
        } catch (error) {
          this.#onFailure(userId, error);
        } finally {
          this.#underWay--;
        }
      }),
    );
  }

  /** What is taken counts from the asking, so that ticks that overlap do not take too many together. */
  async #claim(room: number): Promise<readonly UserId[]> {
    this.#underWay += room;
    let taken = 0;
    try {
      const due = await this.#store.claimDue(room);
      taken = due.length;
      return due;
    } finally {
      this.#underWay -= room - taken;
    }
  }
}
