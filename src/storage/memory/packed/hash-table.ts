/**
 * Maps user ids to slots. A slot is the smallest free whole number; it indexes the typed arrays with all other data
 * of the user. The table uses open addressing in segments that grow one at a time, so no single growth causes a long
 * pause.
 */
import { randomBytes } from 'node:crypto';

const SEGMENT_COUNT = 256;
const INITIAL_SEGMENT_LENGTH = 16;
/** A segment is doubled when more of it than this is used. */
const MAX_LOAD_FACTOR = 0.7;

/** Random per process, so that a client cannot choose ids that collide. */
const HASH_SEED = randomBytes(4).readInt32LE();

export const hashId = (id: string): number => {
  let hash = HASH_SEED;
  for (let index = 0; index < id.length; index++) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 0x5bd1e995);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0x2c1b3c6d);
  return hash ^ (hash >>> 16);
};

export class HashTable {
  readonly #slotHasId: (slot: number, id: string) => boolean;
  readonly #hashId: (id: string) => number;
  /** Entries are slot + 1; 0 is free. An entry is at the low bits of its hash, or at the next free position behind. */
  readonly #segments: Int32Array[] = Array.from(
    { length: SEGMENT_COUNT },
    () => new Int32Array(INITIAL_SEGMENT_LENGTH),
  );
  readonly #segmentCounts = new Int32Array(SEGMENT_COUNT);
  /** Per slot: the hash of its id. A free slot holds the next free slot instead. */
  #hashOfSlot = new Int32Array(1_024);
  #firstFreeSlot = -1;
  #slotCount = 0;
  #size = 0;

  /** @param slotHasId returns whether the user in this slot has this id. */
  constructor(slotHasId: (slot: number, id: string) => boolean, hash: (id: string) => number = hashId) {
    this.#slotHasId = slotHasId;
    this.#hashId = hash;
  }

  get size(): number {
    return this.#size;
  }

  /** Number of slots ever used at the same time. Every slot is below it. */
  get slotCount(): number {
    return this.#slotCount;
  }

  /** @returns the slot of the user, or -1 if the id is unknown. */
  findSlot(id: string): number {
    const hash = this.#hashId(id);
    const segment = this.#segments[hash >>> 24] as Int32Array;
    const mask = segment.length - 1;
    for (let index = hash & mask; ; index = (index + 1) & mask) {
      const slot = (segment[index] as number) - 1;
      if (slot < 0) return -1;
      if (this.#hashOfSlot[slot] === hash && this.#slotHasId(slot, id)) return slot;
    }
  }

  /** Assigns a slot to an id that has none. */
  assignSlot(id: string): number {
    const hash = this.#hashId(id);
    const segmentIndex = hash >>> 24;
    let segment = this.#segments[segmentIndex] as Int32Array;
    const count = (this.#segmentCounts[segmentIndex] as number) + 1;
    this.#segmentCounts[segmentIndex] = count;
    if (count > segment.length * MAX_LOAD_FACTOR) this.#segments[segmentIndex] = segment = this.#doubleSegment(segment);
    const slot = this.#takeFreeSlot();
    this.#hashOfSlot[slot] = hash;
    insertEntry(segment, hash, slot);
    this.#size++;
    return slot;
  }

  freeSlot(slot: number): void {
    const hash = this.#hashOfSlot[slot] as number;
    const segment = this.#segments[hash >>> 24] as Int32Array;
    const mask = segment.length - 1;
    let gap = hash & mask;
    while (segment[gap] !== slot + 1) gap = (gap + 1) & mask;
    // Entries behind the gap that were displaced move up. Otherwise a search would end at the gap.
    for (let index = (gap + 1) & mask; segment[index] !== 0; index = (index + 1) & mask) {
      const home = (this.#hashOfSlot[(segment[index] as number) - 1] as number) & mask;
      if (((index - home) & mask) < ((index - gap) & mask)) continue;
      segment[gap] = segment[index] as number;
      gap = index;
    }
    segment[gap] = 0;
    this.#segmentCounts[hash >>> 24] = (this.#segmentCounts[hash >>> 24] as number) - 1;
    this.#hashOfSlot[slot] = this.#firstFreeSlot;
    this.#firstFreeSlot = slot;
    this.#size--;
  }

  #takeFreeSlot(): number {
    const slot = this.#firstFreeSlot;
    if (slot >= 0) {
      this.#firstFreeSlot = this.#hashOfSlot[slot] as number;
      return slot;
    }
    if (this.#slotCount === this.#hashOfSlot.length)
      this.#hashOfSlot = growArray(this.#hashOfSlot, this.#slotCount + 1);
    return this.#slotCount++;
  }

  #doubleSegment(segment: Int32Array): Int32Array {
    const doubled = new Int32Array(segment.length * 2);
    for (const entry of segment) if (entry > 0) insertEntry(doubled, this.#hashOfSlot[entry - 1] as number, entry - 1);
    return doubled;
  }
}

const insertEntry = (segment: Int32Array, hash: number, slot: number): void => {
  const mask = segment.length - 1;
  let index = hash & mask;
  while (segment[index] !== 0) index = (index + 1) & mask;
  segment[index] = slot + 1;
};

/** Returns a copy with room for at least `minLength` numbers, and at least 1.5 times the current length. */
export const growArray = <Numbers extends Int32Array | Uint32Array | Float64Array>(
  numbers: Numbers,
  minLength: number,
): Numbers => {
  const length = Math.max(minLength, Math.ceil(numbers.length * 1.5));
  const copy = new (numbers.constructor as new (length: number) => Numbers)(length);
  copy.set(numbers);
  return copy;
};
