/**
 * How much of the heap is used. V8 ends the process when there is no room left, so nothing that takes more of it for
 * long is let in before. What is garbage already counts too: it is seen only once a second, and gone with the next
 * collection, which comes the sooner the less room there is.
 */
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';

const LOOK_EVERY_MS = 1_000;

/** What V8 sets aside for the young, and counts as part of its limit: it ends the process when the old have no room. */
const YOUNG_BYTES = 48 << 20;
const YOUNG = ['new_space', 'new_large_object_space'];

/** Of what there may be of old objects, from 0 to 1, as of now. */
const usedShare = (): number => {
  let used = 0;
  for (const space of getHeapSpaceStatistics()) if (!YOUNG.includes(space.space_name)) used += space.space_used_size;
  return used / (getHeapStatistics().heap_size_limit - YOUNG_BYTES);
};

/** Above the first it is short of room, and from then on until it is below the second. */
const SHORT_ABOVE = 0.9;
const ENOUGH_BELOW = 0.85;

export class HeapRoom {
  readonly #used: () => number;
  readonly #timer: NodeJS.Timeout;
  #short = false;

  /** Holds no process open. */
  constructor(used: () => number = usedShare) {
    this.#used = used;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** As of the last second. */
  get isShort(): boolean {
    return this.#short;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#short = this.#used() > (this.#short ? ENOUGH_BELOW : SHORT_ABOVE);
  }
}
