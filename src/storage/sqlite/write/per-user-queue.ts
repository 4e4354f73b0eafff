/**
 * One lane per user whose change is being written: who comes later for the same user waits there, in
 * the order of arrival, those who yield behind all others, and readers find what held before.
 */
import type { Millis, UserId } from '../../../core/ids.ts';
import type { Outcome } from '../../../core/commands.ts';
import type { Policy } from '../../../core/policy.ts';
import type { UserRecord } from '../../../core/records.ts';

export type DecideUpdate = (user: UserRecord, policy: Policy, now: Millis) => Outcome;

/** One call of `update`; all the users of one `updateAll` share one. */
export interface UpdateJob {
  readonly decide: DecideUpdate;
  /** It goes after all who wait for the same change and do not yield, whenever they came. */
  readonly lowPriority: boolean;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown, id: UserId) => void;
}

interface UserQueue {
  /** The user as last committed. */
  readonly committedUser: UserRecord;
  /** Null while nobody waits, as nearly always: a lane of its own is opened for every change. */
  jobs: UpdateJob[] | null;
}

export class PerUserQueue {
  readonly #queues = new Map<UserId, UserQueue>();
  #emptyListeners: (() => void)[] = [];

  /** The user as last committed, while a change of hers is being written. */
  committedUserDuringWrite(id: UserId): UserRecord | undefined {
    return this.#queues.get(id)?.committedUser;
  }

  hasPendingWrite(id: UserId): boolean {
    return this.#queues.has(id);
  }

  /** @returns false when nothing of this user is being written: then the job need not wait. */
  enqueueBehindWrite(id: UserId, job: UpdateJob): boolean {
    const queue = this.#queues.get(id);
    if (queue === undefined) return false;
    const jobs = (queue.jobs ??= []);
    let index = jobs.length;
    if (!job.lowPriority) while (jobs[index - 1]?.lowPriority === true) index--;
    jobs.splice(index, 0, job);
    return true;
  }

  /**
   * A change of this user goes to the disk.
   * @param jobs who have waited for another one already: they yield no more, or change after change could keep them.
   */
  beginWrite(before: UserRecord, jobs: UpdateJob[] | null = null): void {
    const waitingJobs = jobs?.some(({ lowPriority }) => lowPriority)
      ? jobs.map((job) => ({ ...job, lowPriority: false }))
      : jobs;
    this.#queues.set(before.id, { committedUser: before, jobs: waitingJobs });
  }

  /**
   * That change is on the disk, or is not. Runs those who waited, until one of them goes to the disk itself.
   * @param run runs a job; true when it goes to the disk, and has opened the lane again with the jobs given.
   */
  endWrite(id: UserId, run: (job: UpdateJob, nextJobs: UpdateJob[] | null) => boolean): void {
    const jobs = this.#queues.get(id)?.jobs ?? null;
    this.#queues.delete(id);
    for (let job = jobs?.shift(); job !== undefined; job = jobs?.shift()) {
      if (run(job, jobs)) return;
    }
    if (this.#queues.size > 0) return;
    const waiting = this.#emptyListeners;
    this.#emptyListeners = [];
    for (const resolve of waiting) resolve();
  }

  /** Resolves when nothing is being written and nobody waits. */
  waitUntilEmpty(): Promise<void> {
    if (this.#queues.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptyListeners.push(resolve));
  }
}
