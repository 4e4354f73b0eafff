/**
 * Watches how much of the heap is used. V8 ends the process when the heap is full, so the server sheds load before.
 * Uncollected garbage counts as used. That is acceptable: usage is sampled once a second, and V8 collects more often
 * the less room is left.
 */
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8';

const SAMPLE_INTERVAL_MS = 1_000;

/**
 * The size of the young generation, which V8 includes in the heap limit. The process ends when the old generation is
 * full, so the young one is subtracted.
 */
const YOUNG_GENERATION_BYTES = 48 << 20;
const YOUNG_GENERATION_SPACES = ['new_space', 'new_large_object_space'];

/** Returns the used share of the old generation, from 0 to 1. */
const readUsedShare = (): number => {
  let usedBytes = 0;
  for (const space of getHeapSpaceStatistics())
    if (!YOUNG_GENERATION_SPACES.includes(space.space_name)) usedBytes += space.space_used_size;
  return usedBytes / (getHeapStatistics().heap_size_limit - YOUNG_GENERATION_BYTES);
};

/** Memory becomes low above the first share, and stays low until usage is below the second. */
const LOW_ABOVE = 0.9;
const RECOVERED_BELOW = 0.85;

export class HeapMonitor {
  readonly #readUsedShare: () => number;
  readonly #timer: NodeJS.Timeout;
  #isMemoryLow = false;

  /** Starts sampling. Its timer does not keep the process alive. */
  constructor(usedShare: () => number = readUsedShare) {
    this.#readUsedShare = usedShare;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS);
    this.#timer.unref();
  }

  /** As of the last sample, at most a second ago. */
  get isMemoryLow(): boolean {
    return this.#isMemoryLow;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    this.#isMemoryLow = this.#readUsedShare() > (this.#isMemoryLow ? RECOVERED_BELOW : LOW_ABOVE);
  }
}
