/**
 * Which slot a user has: a small whole number, the least that is free, by which everything else about
 * her is found in arrays of numbers. A hash table with open addressing, in segments that grow one by
 * one, so that no growth is long enough to be noticed.
 */
import { randomBytes } from 'node:crypto';

const SEGMENTS = 256;
const FIRST_SIZE = 16;
/** Fuller than this, a segment is doubled. */
const FULL = 0.7;

/** Not known outside, so that nobody can choose ids that meet in one place. */
const SEED = randomBytes(4).readInt32LE();

export const hashOf = (id: string): number => {
  let hash = SEED;
  for (let index = 0; index < id.length; index++) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 0x5bd1e995);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0x2c1b3c6d);
  return hash ^ (hash >>> 16);
};

export class SlotTable {
  readonly #is: (slot: number, id: string) => boolean;
  readonly #hash: (id: string) => number;
  /** Slots plus one, by the low bits of the hash, or as near behind as there was a place; 0: nothing. */
  readonly #segments: Int32Array[] = Array.from({ length: SEGMENTS }, () => new Int32Array(FIRST_SIZE));
  readonly #used = new Int32Array(SEGMENTS);
  /** By slot; for one that is free, the next that is. */
  #hashes = new Int32Array(1_024);
  #free = -1;
  #slots = 0;
  #size = 0;

  /** @param is is this the id of the user in that slot? */
  constructor(is: (slot: number, id: string) => boolean, hash: (id: string) => number = hashOf) {
    this.#is = is;
    this.#hash = hash;
  }

  get size(): number {
    return this.#size;
  }

  /** Slots there were at most so far: every slot is below it. */
  get slots(): number {
    return this.#slots;
  }

  /** @returns -1 when there is no such user. */
  find(id: string): number {
    const hash = this.#hash(id);
    const segment = this.#segments[hash >>> 24] as Int32Array;
    const mask = segment.length - 1;
    for (let index = hash & mask; ; index = (index + 1) & mask) {
      const slot = (segment[index] as number) - 1;
      if (slot < 0) return -1;
      if (this.#hashes[slot] === hash && this.#is(slot, id)) return slot;
    }
  }

  /** @param id of a user who has no slot. */
  add(id: string): number {
    const hash = this.#hash(id);
    const number = hash >>> 24;
    let segment = this.#segments[number] as Int32Array;
    const used = (this.#used[number] as number) + 1;
    this.#used[number] = used;
    if (used > segment.length * FULL) this.#segments[number] = segment = this.#doubled(segment);
    const slot = this.#newSlot();
    this.#hashes[slot] = hash;
    put(segment, hash, slot);
    this.#size++;
    return slot;
  }

  remove(slot: number): void {
    const hash = this.#hashes[slot] as number;
    const segment = this.#segments[hash >>> 24] as Int32Array;
    const mask = segment.length - 1;
    let gap = hash & mask;
    while (segment[gap] !== slot + 1) gap = (gap + 1) & mask;
    // Whoever stands behind the gap because her own place was taken moves up: no search may end before her.
    for (let index = (gap + 1) & mask; segment[index] !== 0; index = (index + 1) & mask) {
      const home = (this.#hashes[(segment[index] as number) - 1] as number) & mask;
      if (((index - home) & mask) < ((index - gap) & mask)) continue;
      segment[gap] = segment[index] as number;
      gap = index;
    }
    segment[gap] = 0;
    this.#used[hash >>> 24] = (this.#used[hash >>> 24] as number) - 1;
    this.#hashes[slot] = this.#free;
    this.#free = slot;
    this.#size--;
  }

  #newSlot(): number {
    const slot = this.#free;
    if (slot >= 0) {
      this.#free = this.#hashes[slot] as number;
      return slot;
    }
    if (this.#slots === this.#hashes.length) this.#hashes = longer(this.#hashes, this.#slots + 1);
    return this.#slots++;
  }

  #doubled(segment: Int32Array): Int32Array {
    const doubled = new Int32Array(segment.length * 2);
    for (const entry of segment) if (entry > 0) put(doubled, this.#hashes[entry - 1] as number, entry - 1);
    return doubled;
  }
}

const put = (segment: Int32Array, hash: number, slot: number): void => {
  const mask = segment.length - 1;
  let index = hash & mask;
  while (segment[index] !== 0) index = (index + 1) & mask;
  segment[index] = slot + 1;
};

/** The same numbers with room for `least` and half as many again. */
export const longer = <Numbers extends Int32Array | Uint32Array | Float64Array>(
  numbers: Numbers,
  least: number,
): Numbers => {
  const length = Math.max(least, Math.ceil(numbers.length * 1.5));
  const copy = new (numbers.constructor as new (length: number) => Numbers)(length);
  copy.set(numbers);
  return copy;
};
