/**
 * A queue for each user whose change is being written. Later updates of the same user wait there in order of arrival,
 * low-priority ones last. Readers get the committed record from before the change.
 */
import type { UserId } from '../../../core/ids.ts';
import type { CommandOutcome } from '../../../core/commands.ts';
import type { DecideUpdate } from '../../../app/ports/presence-store.ts';
import type { UserRecord } from '../../../core/records.ts';

/** One call of `updateUser`, or one call of `updateUsers` shared by all its users. */
export interface UpdateJob {
  readonly decide: DecideUpdate;
  /** Runs after all jobs of normal priority that wait for the same write, whenever they arrived. */
  readonly lowPriority: boolean;
  readonly resolve: (outcome: CommandOutcome) => void;
  readonly reject: (error: unknown, id: UserId) => void;
}

interface UserQueue {
  /** The user as last committed. */
  readonly committedUser: UserRecord;
  /** Null while no job waits, which is the common case: a queue is created for every change. */
  jobs: UpdateJob[] | null;
}

export class PerUserQueue {
  readonly #queues = new Map<UserId, UserQueue>();
  #emptyListeners: (() => void)[] = [];

  /** Returns the user as last committed, while a change of theirs is being written. */
  committedUserDuringWrite(id: UserId): UserRecord | undefined {
    return this.#queues.get(id)?.committedUser;
  }

  hasPendingWrite(id: UserId): boolean {
    return this.#queues.has(id);
  }

  /** @returns false if no change of this user is being written; the job can run at once. */
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
   * Records that a change of this user is being written.
   * @param jobs have waited for an earlier write already. They get normal priority, so that a series of changes
   * cannot delay them for ever.
   */
  beginWrite(before: UserRecord, jobs: UpdateJob[] | null = null): void {
    const waitingJobs = jobs?.some(({ lowPriority }) => lowPriority)
      ? jobs.map((job) => ({ ...job, lowPriority: false }))
      : jobs;
    this.#queues.set(before.id, { committedUser: before, jobs: waitingJobs });
  }

  /**
   * Records that the write has succeeded or failed. Runs the waiting jobs until one of them must be written itself.
   * @param run runs a job and returns true if it must be written. It has called `beginWrite` with the given jobs in
   * that case.
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

  /** Resolves when no change is being written and no job waits. */
  waitUntilEmpty(): Promise<void> {
    if (this.#queues.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#emptyListeners.push(resolve));
  }
}
