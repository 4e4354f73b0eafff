import { SOON_MS, Tally } from '../../../app/shared/histogram.ts';

/** How the commits went since the start. */
export class CommitMetrics {
  /** From when a commit was sent to the writer's thread until its answer was heard, in ms; those that failed too. */
  readonly durations = new Tally(SOON_MS);
  /** Changes that went to the disk in one commit, failed ones too. */
  readonly entryCounts = new Tally([1, 2, 4, 8, 16, 32, 64, 128, 256]);
  #failedCount = 0;

  /** Commits that the disk refused, or that the writer's end cut off. */
  get failedCount(): number {
    return this.#failedCount;
  }

  /** @returns what is to be called when it is answered. */
  startCommit(entries: number): (isDurable: boolean) => void {
    const startedAt = performance.now();
    return (isDurable) => {
      this.durations.add(performance.now() - startedAt);
      this.entryCounts.add(entries);
      if (!isDurable) this.#failedCount++;
    };
  }
}
