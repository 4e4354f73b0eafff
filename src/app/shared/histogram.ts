/**
 * How large values were, in as many numbers as it has bounds: counted where something happens, for a few
 * nanoseconds each, and read by whoever wants to know. What it is shown as is not its business.
 */
export class Histogram {
  /** Ascending. A value belongs to the first bound that it does not exceed. */
  readonly bounds: readonly number[];
  /** By bound; the last one is of values above every bound. */
  readonly counts: Float64Array;
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  /** Of all values. */
  get sum(): number {
    return this.#sum;
  }

  recordValue(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at++;
    counts[at] = (counts[at] as number) + 1;
    this.#sum += value;
  }
}

/** For times in ms, from one to a minute: what is faster is no matter here, what is slower is too late anyway. */
export const LATENCY_BUCKETS_MS: readonly number[] = [
  1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 60_000,
];
