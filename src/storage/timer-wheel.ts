/**
 * Wakes a million users for the price of a few bytes each: a ring of slots, one per tick, that hold
 * the ids to look at when their tick has passed.
 *
 * Re-arming is lazy. A deadline that moves later costs nothing: when the old slot comes up, the wheel
 * asks for the deadline as it is by then and moves the id on. One that moves earlier puts the id into
 * the earlier slot as well; the entry left behind is recognised by its tick and dropped. The same
 * holds for deadlines beyond the ring: they wait at its far end and are moved on from there.
 */
import { later, millis, type Millis } from '../core/ids.ts';

export interface TimerWheelOptions {
  /** How late an id may be handed out, apart from how often `take` is called. */
  readonly tickMs?: number;
  /** Deadlines further away than `slots * tickMs` are looked at once in that time. */
  readonly slots?: number;
  /** How long an id that was handed out stays away, unless it is armed again. */
  readonly retryMs?: number;
}

export interface Taken<Id> {
  readonly ids: readonly Id[];
  /** Is there anything left to look at by now? */
  readonly more: boolean;
}

export class TimerWheel<Id> {
  readonly #tickMs: number;
  readonly #retryMs: number;
  readonly #slots: Id[][];
  /** Ticks are counted from here, so that they are small integers, which cost no memory of their own. */
  readonly #origin: number;
  /** The one tick of each id that counts; always in [#tick, #tick + slots). */
  readonly #armed = new Map<Id, number>();
  /** Ids handed out and not armed since: they stay away until then. */
  readonly #claimed = new Map<Id, Millis>();
  /** The first tick that was not looked through to its end, and how far it was. */
  #tick = 0;
  #position = 0;

  constructor(now: Millis, { tickMs = 50, slots = 16_384, retryMs = 1_000 }: TimerWheelOptions = {}) {
    this.#tickMs = tickMs;
    this.#retryMs = retryMs;
    this.#origin = Math.floor(now / tickMs);
    this.#slots = Array.from({ length: slots }, () => []);
  }

  /** How many ids are armed. */
  get size(): number {
    return this.#armed.size;
  }

  /** `id` is to be looked at when `at` has come, or soon after. Ends a claim. */
  arm(id: Id, at: Millis): void {
    if (this.#claimed.size > 0) this.#claimed.delete(id);
    const armed = this.#armed.get(id);
    const tick = this.#tickOf(at);
    if (armed === undefined || tick < armed) this.#put(id, tick);
  }

  disarm(id: Id): void {
    this.#armed.delete(id);
    this.#claimed.delete(id);
  }

  /**
   * Takes ids whose deadline has come by `now`, the earliest tick first. Never one before its deadline.
   * @param budget how many entries to look at, at most, due or not: bounds the time this call takes.
   * @param deadlineOf the present deadline of an id; null when it need not be looked at any more.
   */
  take(now: Millis, limit: number, budget: number, deadlineOf: (id: Id) => Millis | null): Taken<Id> {
    // Only ticks that are wholly past are looked at, so an entry is looked at once.
    const end = Math.floor(now / this.#tickMs) - this.#origin;
    if (end - this.#tick > this.#slots.length) this.#startOver(end, now, deadlineOf);
    const ids: Id[] = [];
    let examined = 0;
    for (; this.#tick < end; this.#tick++, this.#position = 0) {
      const index = this.#tick % this.#slots.length;
      const slot = this.#slots[index] ?? [];
      for (; this.#position < slot.length; this.#position++) {
        if (ids.length >= limit || examined >= budget) return { ids, more: true };
        examined++;
        const id = slot[this.#position] as Id;
        if (this.#armed.get(id) !== this.#tick) continue;
        const at = this.#dueAt(id, deadlineOf);
        if (at === null) this.disarm(id);
        else if (at > now) this.#put(id, this.#tickOf(at));
        else {
          ids.push(id);
          const retry = later(now, this.#retryMs);
          this.#claimed.set(id, retry);
          this.#put(id, this.#tickOf(retry));
        }
      }
      if (slot.length > 0) this.#slots[index] = [];
    }
    return { ids, more: false };
  }

  #dueAt(id: Id, deadlineOf: (id: Id) => Millis | null): Millis | null {
    const at = deadlineOf(id);
    const retry = this.#claimed.get(id);
    return at !== null && retry !== undefined && retry > at ? retry : at;
  }

  /** The tick to look at `at` in, as near as the ring has it. */
  #tickOf(at: Millis): number {
    const tick = Math.floor(at / this.#tickMs) - this.#origin;
    return Math.min(Math.max(tick, this.#tick), this.#tick + this.#slots.length - 1);
  }

  #put(id: Id, tick: number): void {
    this.#armed.set(id, tick);
    this.#slots[tick % this.#slots.length]?.push(id);
  }

  /** After a sleep longer than the ring: everybody is put in again, those due in the order of their deadlines. */
  #startOver(end: number, now: Millis, deadlineOf: (id: Id) => Millis | null): void {
    const all: { id: Id; at: Millis }[] = [];
    for (const id of this.#armed.keys()) {
      const at = this.#dueAt(id, deadlineOf);
      if (at !== null) all.push({ id, at });
      else this.#claimed.delete(id);
    }
    all.sort((one, other) => one.at - other.at);
    this.#armed.clear();
    for (const slot of this.#slots) slot.length = 0;
    this.#tick = end - 1;
    this.#position = 0;
    for (const { id, at } of all) this.#put(id, this.#tickOf(at > now ? at : millis(0)));
  }
}
