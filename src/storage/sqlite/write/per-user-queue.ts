/**
 * One lane per user whose change is being written: who comes later for the same user waits there, in
 * the order of arrival, those who yield behind all others, and readers find what held before.
 */
import type { Millis, UserId } from '../../../core/ids.ts';
import type { Outcome } from '../../../core/commands.ts';
import type { Policy } from '../../../core/policy.ts';
import type { UserRecord } from '../../../core/records.ts';

export type Decide = (user: UserRecord, policy: Policy, now: Millis) => Outcome;

/** One call of `update`; all the users of one `updateAll` share one. */
export interface Job {
  readonly decide: Decide;
  /** It goes after all who wait for the same change and do not yield, whenever they came. */
  readonly yields: boolean;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown, id: UserId) => void;
}

interface Lane {
  /** The user as last committed. */
  readonly before: UserRecord;
  /** Null while nobody waits, as nearly always: a lane of its own is opened for every change. */
  jobs: Job[] | null;
}

export class Lanes {
  readonly #lanes = new Map<UserId, Lane>();
  #whenEmpty: (() => void)[] = [];

  /** The user as last committed, while a change of hers is being written. */
  before(id: UserId): UserRecord | undefined {
    return this.#lanes.get(id)?.before;
  }

  has(id: UserId): boolean {
    return this.#lanes.has(id);
  }

  /** @returns false when nothing of this user is being written: then the job need not wait. */
  queue(id: UserId, job: Job): boolean {
    const lane = this.#lanes.get(id);
    if (lane === undefined) return false;
    const jobs = (lane.jobs ??= []);
    let place = jobs.length;
    if (!job.yields) while (jobs[place - 1]?.yields === true) place--;
    jobs.splice(place, 0, job);
    return true;
  }

  /**
   * A change of this user goes to the disk.
   * @param jobs who have waited for another one already: they yield no more, or change after change could keep them.
   */
  open(before: UserRecord, jobs: Job[] | null = null): void {
    const patient = jobs?.some(({ yields }) => yields) ? jobs.map((job) => ({ ...job, yields: false })) : jobs;
    this.#lanes.set(before.id, { before, jobs: patient });
  }

  /**
   * That change is on the disk, or is not. Runs those who waited, until one of them goes to the disk itself.
   * @param run runs a job; true when it goes to the disk, and has opened the lane again with the jobs given.
   */
  close(id: UserId, run: (job: Job, following: Job[] | null) => boolean): void {
    const jobs = this.#lanes.get(id)?.jobs ?? null;
    this.#lanes.delete(id);
    for (let job = jobs?.shift(); job !== undefined; job = jobs?.shift()) {
      if (run(job, jobs)) return;
    }
    if (this.#lanes.size > 0) return;
    const waiting = this.#whenEmpty;
    this.#whenEmpty = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves when nothing is being written and nobody waits. */
  empty(): Promise<void> {
    if (this.#lanes.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }
}
