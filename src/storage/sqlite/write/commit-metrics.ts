import { SOON_MS, Tally } from '../../../app/shared/histogram.ts';

/** How the commits went since the start. */
export class Commits {
  /** From when a commit was sent to the writer's thread until its answer was heard, in ms; those that failed too. */
  readonly took = new Tally(SOON_MS);
  /** Changes that went to the disk in one commit, failed ones too. */
  readonly entries = new Tally([1, 2, 4, 8, 16, 32, 64, 128, 256]);
  #failed = 0;

  /** Commits that the disk refused, or that the writer's end cut off. */
  get failed(): number {
    return this.#failed;
  }

  /** @returns what is to be called when it is answered. */
  begin(entries: number): (isDurable: boolean) => void {
    const began = performance.now();
    return (isDurable) => {
      this.took.add(performance.now() - began);
      this.entries.add(entries);
      if (!isDurable) this.#failed++;
    };
  }
}
