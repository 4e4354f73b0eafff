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
import { growArray } from './packed/hash-table.ts';

export interface TimerWheelOptions {
  /** How late a slot may be handed out, apart from how often `take` is called. */
  readonly tickMs?: number;
  /** Deadlines further away than `ticks * tickMs` are looked at once in that time. */
  readonly tickCount?: number;
  /** How long a slot that was handed out stays away, unless it is armed again. */
  readonly retryMs?: number;
}

export interface DueSlots {
  readonly slots: readonly number[];
  /** How many were looked at, due or not. */
  readonly examinedCount: number;
  /** Is there anything left to look at by now? */
  readonly hasMore: boolean;
}

const NONE = -1;
/** After a long sleep all that are overdue by more ticks than this are equally late: a day, at 50 ms. */
const MAX_OVERDUE_TICKS = 2 ** 21 - 1;

export class TimerWheel {
  readonly #tickMs: number;
  readonly #retryMs: number;
  /** Ticks are counted from here, so that they are small. */
  readonly #origin: number;
  /** By tick, modulo the ring: the first and the last of its list. */
  readonly #firstSlots: Int32Array;
  readonly #lastSlots: Int32Array;
  /** By slot: its deadline, the tick in whose list it stands, and its neighbours there. */
  #deadlines = new Float64Array(1_024);
  #tickOfSlot = new Int32Array(1_024).fill(NONE);
  #nextSlots = new Int32Array(1_024);
  #previousSlots = new Int32Array(1_024);
  /** Slots handed out and not armed since, and until when they stay away. */
  readonly #claimedUntil = new Map<number, number>();
  /** The first tick that was not looked through to its end. */
  #currentTick = 0;
  #scheduledCount = 0;

  constructor(now: Millis, { tickMs = 50, tickCount: ticks = 16_384, retryMs = 1_000 }: TimerWheelOptions = {}) {
    this.#tickMs = tickMs;
    this.#retryMs = retryMs;
    this.#origin = Math.floor(now / tickMs);
    this.#firstSlots = new Int32Array(ticks).fill(NONE);
    this.#lastSlots = new Int32Array(ticks).fill(NONE);
  }

  /** How many slots are armed. */
  get scheduledCount(): number {
    return this.#scheduledCount;
  }

  /** `slot` is to be looked at when `at` has come, or soon after. Ends a claim. */
  schedule(slot: number, at: Millis): void {
    if (slot >= this.#tickOfSlot.length) this.#growArrays(slot + 1);
    if (this.#claimedUntil.size > 0) this.#claimedUntil.delete(slot);
    this.#deadlines[slot] = at;
    const armed = this.#tickOfSlot[slot] as number;
    const tick = this.#clampedTickOf(at);
    if (armed === NONE) this.#scheduledCount++;
    else if (tick >= armed) return;
    else this.#removeFromTick(slot);
    this.#appendToTick(slot, tick);
  }

  /** Arms a slot that may be armed already, unless it is for an earlier moment. */
  scheduleEarliest(slot: number, at: Millis): void {
    const armed = slot < this.#tickOfSlot.length && this.#tickOfSlot[slot] !== NONE;
    if (!armed || at < (this.#deadlines[slot] as number)) this.schedule(slot, at);
  }

  cancel(slot: number): void {
    if (slot >= this.#tickOfSlot.length || this.#tickOfSlot[slot] === NONE) return;
    this.#removeFromTick(slot);
    this.#tickOfSlot[slot] = NONE;
    this.#claimedUntil.delete(slot);
    this.#scheduledCount--;
  }

  /**
   * Takes slots whose deadline has come by `now`, the earliest tick first. Never one before its deadline.
   * @param maxExamined how many to look at, at most, due or not: bounds the time this call takes.
   */
  takeDueSlots(now: Millis, limit: number, maxExamined: number): DueSlots {
    // Only ticks that are wholly past are looked at, so a slot is looked at once.
    const end = Math.floor(now / this.#tickMs) - this.#origin;
    if (end - this.#currentTick > this.#firstSlots.length) this.#rebuildRing(end, now);
    const slots: number[] = [];
    let examined = 0;
    for (; this.#currentTick < end; this.#currentTick++) {
      const list = this.#currentTick % this.#firstSlots.length;
      for (let slot = this.#firstSlots[list] as number; slot !== NONE; slot = this.#firstSlots[list] as number) {
        if (slots.length >= limit || examined >= maxExamined) return { slots, examinedCount: examined, hasMore: true };
        examined++;
        this.#removeFromTick(slot);
        const at = this.#effectiveDeadline(slot);
        if (at > now) this.#appendToTick(slot, this.#clampedTickOf(at));
        else {
          slots.push(slot);
          const retryAt = now + this.#retryMs;
          this.#claimedUntil.set(slot, retryAt);
          this.#appendToTick(slot, this.#clampedTickOf(retryAt));
        }
      }
    }
    return { slots, examinedCount: examined, hasMore: false };
  }

  #effectiveDeadline(slot: number): number {
    const at = this.#deadlines[slot] as number;
    const retry = this.#claimedUntil.size > 0 ? this.#claimedUntil.get(slot) : undefined;
    return retry !== undefined && retry > at ? retry : at;
  }

  /** The tick to look at `at` in, as near as the ring has it. */
  #clampedTickOf(at: number): number {
    const tick = Math.floor(at / this.#tickMs) - this.#origin;
    return Math.min(Math.max(tick, this.#currentTick), this.#currentTick + this.#firstSlots.length - 1);
  }

  /** Puts it last into the list of a tick. */
  #appendToTick(slot: number, tick: number): void {
    const list = tick % this.#firstSlots.length;
    const last = this.#lastSlots[list] as number;
    this.#tickOfSlot[slot] = tick;
    this.#nextSlots[slot] = NONE;
    this.#previousSlots[slot] = last;
    if (last === NONE) this.#firstSlots[list] = slot;
    else this.#nextSlots[last] = slot;
    this.#lastSlots[list] = slot;
  }

  #removeFromTick(slot: number): void {
    const list = (this.#tickOfSlot[slot] as number) % this.#firstSlots.length;
    const next = this.#nextSlots[slot] as number;
    const previous = this.#previousSlots[slot] as number;
    if (previous === NONE) this.#firstSlots[list] = next;
    else this.#nextSlots[previous] = next;
    if (next === NONE) this.#lastSlots[list] = previous;
    else this.#previousSlots[next] = previous;
  }

  /** After a sleep longer than the ring: everybody is put in again, those due in the order of their deadlines. */
  #rebuildRing(end: number, now: Millis): void {
    this.#firstSlots.fill(NONE);
    this.#lastSlots.fill(NONE);
    this.#currentTick = end - 1;
    /** How late and who, as one number each, which is sorted faster than pairs. */
    const due = new Float64Array(this.#scheduledCount);
    let count = 0;
    for (let slot = 0; slot < this.#tickOfSlot.length; slot++) {
      if (this.#tickOfSlot[slot] === NONE) continue;
      const at = this.#effectiveDeadline(slot);
      const tick = Math.floor(at / this.#tickMs) - this.#origin;
      if (at > now) this.#appendToTick(slot, this.#clampedTickOf(at));
      else due[count++] = Math.max(0, tick - end + MAX_OVERDUE_TICKS) * 2 ** 32 + slot;
    }
    // Whoever was put in before them stands in a later tick.
    for (const each of due.subarray(0, count).sort()) this.#appendToTick(each % 2 ** 32, this.#currentTick);
  }

  #growArrays(least: number): void {
    const before = this.#tickOfSlot.length;
    this.#deadlines = growArray(this.#deadlines, least);
    this.#tickOfSlot = growArray(this.#tickOfSlot, least).fill(NONE, before);
    this.#nextSlots = growArray(this.#nextSlots, least);
    this.#previousSlots = growArray(this.#previousSlots, least);
  }
}
