/**
 * A timer wheel for millions of deadlines at a few bytes each: a ring of ticks, each with the list of slots to
 * examine when the tick has passed. A slot is a small whole number from 0; its data is kept in typed arrays.
 *
 * Rescheduling is lazy. A later deadline costs one write: when the old tick comes up, the slot moves to the current
 * deadline. An earlier deadline moves the slot at once. A deadline beyond the ring waits at its far end and is moved
 * from there.
 */
import type { Millis } from '../../core/ids.ts';
import { growArray } from './packed/hash-table.ts';

export interface TimerWheelOptions {
  /** Largest delay of a due slot in ms, in addition to the interval at which `takeDueSlots` is called. */
  readonly tickMs?: number;
  /** Length of the ring. A deadline further away than `tickCount * tickMs` is examined once in that time. */
  readonly tickCount?: number;
  /** How long a taken slot is held back in ms unless it is scheduled again. */
  readonly retryMs?: number;
}

export interface DueSlots {
  readonly slots: readonly number[];
  /** Number of slots examined, due or not. */
  readonly examinedCount: number;
  /** Are there more slots to examine at this time? */
  readonly hasMore: boolean;
}

const NONE = -1;
/**
 * After a long process pause, all slots overdue by more ticks than this count as equally late: about 29 h at 50 ms a
 * tick.
 */
const MAX_OVERDUE_TICKS = 2 ** 21 - 1;

export class TimerWheel {
  readonly #tickMs: number;
  readonly #retryMs: number;
  /** The tick that counts as 0, so that tick numbers stay small. */
  readonly #origin: number;
  /** Per ring position: the first and the last slot of its list. */
  readonly #firstSlots: Int32Array;
  readonly #lastSlots: Int32Array;
  /** Per slot: its deadline, the tick whose list it is in, and its neighbours in that list. */
  #deadlines = new Float64Array(1_024);
  #tickOfSlot = new Int32Array(1_024).fill(NONE);
  #nextSlots = new Int32Array(1_024);
  #previousSlots = new Int32Array(1_024);
  /** Slots that were taken and not scheduled since, and the time until which each is held back. */
  readonly #claimedUntil = new Map<number, number>();
  /** The first tick whose list is not fully examined. */
  #currentTick = 0;
  #scheduledCount = 0;

  constructor(now: Millis, { tickMs = 50, tickCount: ticks = 16_384, retryMs = 1_000 }: TimerWheelOptions = {}) {
    this.#tickMs = tickMs;
    this.#retryMs = retryMs;
    this.#origin = Math.floor(now / tickMs);
    this.#firstSlots = new Int32Array(ticks).fill(NONE);
    this.#lastSlots = new Int32Array(ticks).fill(NONE);
  }

  /** Number of scheduled slots. */
  get scheduledCount(): number {
    return this.#scheduledCount;
  }

  /** Sets the deadline of `slot` and ends the claim on it. */
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

  /** Sets the deadline of `slot` unless it already has an earlier one. */
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
   * Takes slots whose deadline is at or before `now`, the earliest tick first. A slot is never taken before its
   * deadline.
   * @param maxExamined most slots to examine, due or not; it bounds the time of this call.
   */
  takeDueSlots(now: Millis, limit: number, maxExamined: number): DueSlots {
    // Only ticks that have passed completely are examined, so each slot is examined once.
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

  /** Returns the tick for the time `at`, limited to the range of the ring. */
  #clampedTickOf(at: number): number {
    const tick = Math.floor(at / this.#tickMs) - this.#origin;
    return Math.min(Math.max(tick, this.#currentTick), this.#currentTick + this.#firstSlots.length - 1);
  }

  /** Appends the slot to the list of a tick. */
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

  /** Fills the ring anew after a process pause longer than the ring. Due slots are sorted by deadline. */
  #rebuildRing(end: number, now: Millis): void {
    this.#firstSlots.fill(NONE);
    this.#lastSlots.fill(NONE);
    this.#currentTick = end - 1;
    /** Lateness and slot combined in one number each, because numbers sort faster than pairs. */
    const due = new Float64Array(this.#scheduledCount);
    let count = 0;
    for (let slot = 0; slot < this.#tickOfSlot.length; slot++) {
      if (this.#tickOfSlot[slot] === NONE) continue;
      const at = this.#effectiveDeadline(slot);
      const tick = Math.floor(at / this.#tickMs) - this.#origin;
      if (at > now) this.#appendToTick(slot, this.#clampedTickOf(at));
      else due[count++] = Math.max(0, tick - end + MAX_OVERDUE_TICKS) * 2 ** 32 + slot;
    }
    // Slots appended above have a later deadline and are in a later tick.
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
