// Numbers that a seed repeats.

/** A source of random choices; the same seed makes the same ones, in the same order. */
export class Random {
  #state;

  /** @param {number | string} seed */
  constructor(seed) {
    this.#state = typeof seed === 'number' ? seed >>> 0 : hashOf(seed);
    // Seeds that differ by little begin alike.
    for (let turn = 0; turn < 4; turn++) this.next();
  }

  /** 0 ≤ r < 1 (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number, 0 ≤ n < below. @param {number} below */
  int(below) {
    return Math.floor(this.next() * below);
  }

  /** A whole number of both ends and what is between. @param {number} from @param {number} to */
  between(from, to) {
    return from + this.int(to - from + 1);
  }

  /** @param {number} probability */
  chance(probability) {
    return this.next() < probability;
  }

  /**
   * @template T
   * @param {readonly T[]} list not empty
   * @returns {T}
   */
  pick(list) {
    return /** @type {T} */ (list[this.int(list.length)]);
  }

  /**
   * One of the names, each as often as its weight says.
   * @template {string} K
   * @param {Readonly<Record<K, number>>} weights
   * @returns {K}
   */
  weighted(weights) {
    const entries = /** @type {[K, number][]} */ (Object.entries(weights));
    let left = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) if ((left -= weight) < 0) return name;
    return /** @type {[K, number]} */ (entries[0])[0];
  }

  /** @template T @param {readonly T[]} list @param {number} count @returns {T[]} that many different ones */
  some(list, count) {
    const rest = [...list];
    /** @type {T[]} */
    const chosen = [];
    while (chosen.length < count && rest.length > 0)
      chosen.push(.../** @type {T[]} */ (rest.splice(this.int(rest.length), 1)));
    return chosen;
  }
}

/** FNV-1a. @param {string} text */
export function hashOf(text) {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}
