/** Counts values by size, in one bucket per bound. Recording costs a few nanoseconds. */
export class Histogram {
  /** Ascending upper bounds. A value is counted in the first bucket whose bound it does not exceed. */
  readonly bounds: readonly number[];
  /** One count per bound, and a last one for values above every bound. */
  readonly counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** The sum of all recorded values. */
  get sum(): number {
    return this.#sum;
  }

  recordValue(value: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    counts[bucket] = (counts[bucket] as number) + 1;
    this.#sum += value;
  }
}

/** Bounds for latencies in ms, from 1 ms to a minute. */
export const LATENCY_BUCKETS_MS: readonly number[] = [
  1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000,
];
