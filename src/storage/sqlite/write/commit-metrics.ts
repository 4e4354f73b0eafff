import { LATENCY_BUCKETS_MS, Histogram } from '../../../app/shared/histogram.ts';

/** Metrics of the commits since startup. */
export class CommitMetrics {
  /** Time from sending a commit to the writer thread until its reply, in ms. Includes failed commits. */
  readonly durations = new Histogram(LATENCY_BUCKETS_MS);
  /** Number of entries per commit. Includes failed commits. */
  readonly entryCounts = new Histogram([1, 2, 4, 8, 16, 32, 64, 128, 256]);
  #failedCount = 0;

  /** Number of commits that the disk rejected or that ended with the writer. */
  get failedCount(): number {
    return this.#failedCount;
  }

  /** @returns a function to call with the result of the commit. */
  recordCommitStart(entries: number): (isDurable: boolean) => void {
    const startedAt = performance.now();
    return (isDurable) => {
      this.durations.recordValue(performance.now() - startedAt);
      this.entryCounts.recordValue(entries);
      if (!isDurable) this.#failedCount++;
    };
  }
}
