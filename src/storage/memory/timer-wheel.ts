/**
 * Wakes a million users for the price of a few bytes each: a ring of ticks, each with the list of the
 * slots to look at when it has passed. A slot is a whole number from 0 on, the smaller the better:
 * what is known of it stands in arrays.
 *
 * Re-arming is lazy. A deadline that moves later costs one number: when the old tick comes up, the slot
 * is moved on to the deadline as it is by then. One that moves earlier moves the slot at once. The same
 * holds for deadlines beyond the ring: they wait at its far end and are moved on from there.
 */
import type { Millis } from '../../core/ids.ts';
import { longer } from './packed/hash-table.ts';

export interface TimerWheelOptions {
  /** How late a slot may be handed out, apart from how often `take` is called. */
  readonly tickMs?: number;
  /** Deadlines further away than `ticks * tickMs` are looked at once in that time. */
  readonly ticks?: number;
  /** How long a slot that was handed out stays away, unless it is armed again. */
  readonly retryMs?: number;
}

export interface Taken {
  readonly slots: readonly number[];
  /** How many were looked at, due or not. */
  readonly examined: number;
  /** Is there anything left to look at by now? */
  readonly more: boolean;
}

const NONE = -1;
/** After a long sleep all that are overdue by more ticks than this are equally late: a day, at 50 ms. */
const OLDEST = 2 ** 21 - 1;

export class TimerWheel {
  readonly #tickMs: number;
  readonly #retryMs: number;
  /** Ticks are counted from here, so that they are small. */
  readonly #origin: number;
  /** By tick, modulo the ring: the first and the last of its list. */
  readonly #first: Int32Array;
  readonly #last: Int32Array;
  /** By slot: its deadline, the tick in whose list it stands, and its neighbours there. */
  #deadlines = new Float64Array(1_024);
  #ticks = new Int32Array(1_024).fill(NONE);
  #next = new Int32Array(1_024);
  #previous = new Int32Array(1_024);
  /** Slots handed out and not armed since, and until when they stay away. */
  readonly #claimed = new Map<number, number>();
  /** The first tick that was not looked through to its end. */
  #tick = 0;
  #size = 0;

  constructor(now: Millis, { tickMs = 50, ticks = 16_384, retryMs = 1_000 }: TimerWheelOptions = {}) {
    this.#tickMs = tickMs;
    this.#retryMs = retryMs;
    this.#origin = Math.floor(now / tickMs);
    this.#first = new Int32Array(ticks).fill(NONE);
    this.#last = new Int32Array(ticks).fill(NONE);
  }

  /** How many slots are armed. */
  get size(): number {
    return this.#size;
  }

  /** `slot` is to be looked at when `at` has come, or soon after. Ends a claim. */
  arm(slot: number, at: Millis): void {
    if (slot >= this.#ticks.length) this.#lengthen(slot + 1);
    if (this.#claimed.size > 0) this.#claimed.delete(slot);
    this.#deadlines[slot] = at;
    const armed = this.#ticks[slot] as number;
    const tick = this.#tickOf(at);
    if (armed === NONE) this.#size++;
    else if (tick >= armed) return;
    else this.#unlink(slot);
    this.#link(slot, tick);
  }

  /** Arms a slot that may be armed already, unless it is for an earlier moment. */
  armFor(slot: number, at: Millis): void {
    const armed = slot < this.#ticks.length && this.#ticks[slot] !== NONE;
    if (!armed || at < (this.#deadlines[slot] as number)) this.arm(slot, at);
  }

  disarm(slot: number): void {
    if (slot >= this.#ticks.length || this.#ticks[slot] === NONE) return;
    this.#unlink(slot);
    this.#ticks[slot] = NONE;
    this.#claimed.delete(slot);
    this.#size--;
  }

  /**
   * Takes slots whose deadline has come by `now`, the earliest tick first. Never one before its deadline.
   * @param budget how many to look at, at most, due or not: bounds the time this call takes.
   */
  take(now: Millis, limit: number, budget: number): Taken {
    // Only ticks that are wholly past are looked at, so a slot is looked at once.
    const end = Math.floor(now / this.#tickMs) - this.#origin;
    if (end - this.#tick > this.#first.length) this.#startOver(end, now);
    const slots: number[] = [];
    let examined = 0;
    for (; this.#tick < end; this.#tick++) {
      const list = this.#tick % this.#first.length;
      for (let slot = this.#first[list] as number; slot !== NONE; slot = this.#first[list] as number) {
        if (slots.length >= limit || examined >= budget) return { slots, examined, more: true };
        examined++;
        this.#unlink(slot);
        const at = this.#dueAt(slot);
        if (at > now) this.#link(slot, this.#tickOf(at));
        else {
          slots.push(slot);
          const retry = now + this.#retryMs;
          this.#claimed.set(slot, retry);
          this.#link(slot, this.#tickOf(retry));
        }
      }
    }
    return { slots, examined, more: false };
  }

  #dueAt(slot: number): number {
    const at = this.#deadlines[slot] as number;
    const retry = this.#claimed.size > 0 ? this.#claimed.get(slot) : undefined;
    return retry !== undefined && retry > at ? retry : at;
  }

  /** The tick to look at `at` in, as near as the ring has it. */
  #tickOf(at: number): number {
    const tick = Math.floor(at / this.#tickMs) - this.#origin;
    return Math.min(Math.max(tick, this.#tick), this.#tick + this.#first.length - 1);
  }

  /** Puts it last into the list of a tick. */
  #link(slot: number, tick: number): void {
    const list = tick % this.#first.length;
    const last = this.#last[list] as number;
    this.#ticks[slot] = tick;
    this.#next[slot] = NONE;
    this.#previous[slot] = last;
    if (last === NONE) this.#first[list] = slot;
    else this.#next[last] = slot;
    this.#last[list] = slot;
  }

  #unlink(slot: number): void {
    const list = (this.#ticks[slot] as number) % this.#first.length;
    const next = this.#next[slot] as number;
    const previous = this.#previous[slot] as number;
    if (previous === NONE) this.#first[list] = next;
    else this.#next[previous] = next;
    if (next === NONE) this.#last[list] = previous;
    else this.#previous[next] = previous;
  }

  /** After a sleep longer than the ring: everybody is put in again, those due in the order of their deadlines. */
  #startOver(end: number, now: Millis): void {
    this.#first.fill(NONE);
    this.#last.fill(NONE);
    this.#tick = end - 1;
    /** How late and who, as one number each, which is sorted faster than pairs. */
    const due = new Float64Array(this.#size);
    let count = 0;
    for (let slot = 0; slot < this.#ticks.length; slot++) {
      if (this.#ticks[slot] === NONE) continue;
      const at = this.#dueAt(slot);
      const tick = Math.floor(at / this.#tickMs) - this.#origin;
      if (at > now) this.#link(slot, this.#tickOf(at));
      else due[count++] = Math.max(0, tick - end + OLDEST) * 2 ** 32 + slot;
    }
    // Whoever was put in before them stands in a later tick.
    for (const each of due.subarray(0, count).sort()) this.#link(each % 2 ** 32, this.#tick);
  }

  #lengthen(least: number): void {
    const before = this.#ticks.length;
    this.#deadlines = longer(this.#deadlines, least);
    this.#ticks = longer(this.#ticks, least).fill(NONE, before);
    this.#next = longer(this.#next, least);
    this.#previous = longer(this.#previous, least);
  }
}
