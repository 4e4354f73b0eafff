/**
 * The main thread's end of the writer: group commit. What arrives while one commit is being written
 * goes into the next, in the order of arrival, so that one fsync serves hundreds. When more is waiting
 * than one commit takes, the next ones are sent ahead, so that the writer's thread is never idle while
 * this one puts in force what the last commit wrote.
 */
import { Worker } from 'node:worker_threads';
import type { WriteBacklog } from '../../../app/ports/presence-store.ts';
import { resolveWorkerUrl } from '../../../process/worker-url.ts';
import { CommitMetrics } from './commit-metrics.ts';
import { WriteRejected, StoreUnavailable } from '../file/errors.ts';
import type {
  CommitBatch,
  WriterRequest,
  PurgeRequest,
  PurgeResult,
  WriterReply,
  WriterInput,
} from './writer-messages.ts';

/** How entries become rows, and what is to be done when they are on disk, or are not. */
export interface WriterHandlers<Entry> {
  /** Called right before the batch is sent. Batches before it may still be being written, and fail without it. */
  encodeBatch(entries: readonly Entry[]): CommitBatch;
  /** The batch is durable. */
  onCommitted(entries: readonly Entry[]): void;
  /** Nothing of the batch was written. */
  onRejected(entries: readonly Entry[], error: StoreUnavailable | WriteRejected): void;
  /** The writer is dead: every entry was, and each later one will be, told so by `failed`. */
  onWriterFailed(error: StoreUnavailable): void;
}

interface PendingRequest {
  readonly onReply: (reply: Extract<WriterReply, { kind: 'done' | 'closed' }>) => void;
  readonly onError: (error: StoreUnavailable | WriteRejected) => void;
}

/** What will be one commit. */
interface CommitGroup<Entry> {
  readonly entries: Entry[];
  /** When the first of them came. */
  readonly since: number;
}

/** Bounds the time that one commit takes on either thread, and with it how long everybody else waits: some ms. */
const MAX_ENTRIES_PER_COMMIT = 256;
/** Full commits sent and not answered yet. With less than a full one waiting, one is sent at a time. */
const MAX_COMMITS_IN_FLIGHT = 2;

const WORKER_URL = resolveWorkerUrl(import.meta.url, './writer-worker.js');

export class GroupCommitWriter<Entry> {
  readonly metrics = new CommitMetrics();
  readonly #worker: Worker;
  readonly #handlers: WriterHandlers<Entry>;
  /** Asked and not answered yet; answers come in this order. */
  readonly #pendingRequests: PendingRequest[] = [];
  readonly #now: () => number;
  /** All but the last are full. */
  #queuedGroups: CommitGroup<Entry>[] = [];
  /** Commits sent and not answered yet, the oldest first. */
  readonly #groupsInFlight: CommitGroup<Entry>[] = [];
  #isCommitScheduled = false;
  #failure: StoreUnavailable | null = null;
  /** When dead: the thread is gone, and with it its hold on the file. */
  #threadTermination: Promise<unknown> | undefined;
  #isClosed = false;

  private constructor(worker: Worker, handlers: WriterHandlers<Entry>, now: () => number) {
    this.#worker = worker;
    this.#handlers = handlers;
    this.#now = now;
    worker.on('message', (reply: WriterReply) => this.#handleReply(reply));
    worker.on('error', (error) =>
      this.#fail(new StoreUnavailable('DEAD', 'The writer thread failed.', { cause: error })),
    );
    worker.on('exit', (code) => {
      if (!this.#isClosed)
        this.#fail(new StoreUnavailable('DEAD', `The writer thread ended by itself (exit code ${code}).`));
    });
  }

  /**
   * @param now milliseconds, never set back.
   * @throws the reason why the thread, or its connection, could not be opened.
   */
  static start<Entry>(
    data: WriterInput,
    handlers: WriterHandlers<Entry>,
    now: () => number,
  ): Promise<GroupCommitWriter<Entry>> {
    const worker = new Worker(WORKER_URL, { workerData: data });
    return new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', () => {
        worker.off('error', reject);
        resolve(new GroupCommitWriter(worker, handlers, now));
      });
    });
  }

  /** Adds an entry to the next commit. */
  submitEntry(entry: Entry): void {
    const failure = this.#failure;
    if (failure !== null) {
      // Not at once: those who waited for this entry are to fail one after another, not one within the other.
      queueMicrotask(() => this.#handlers.onRejected([entry], failure));
      return;
    }
    const last = this.#queuedGroups.at(-1);
    if (last !== undefined && last.entries.length < MAX_ENTRIES_PER_COMMIT) last.entries.push(entry);
    else this.#queuedGroups.push({ entries: [entry], since: this.#now() });
    this.#scheduleCommit();
  }

  /** What was submitted and not answered yet. */
  getWriteBacklog(): WriteBacklog {
    const oldest = this.#groupsInFlight[0] ?? this.#queuedGroups[0];
    if (oldest === undefined) return { pendingChanges: 0, oldestPendingMs: 0 };
    let waiting =
      Math.max(this.#queuedGroups.length - 1, 0) * MAX_ENTRIES_PER_COMMIT +
      (this.#queuedGroups.at(-1)?.entries.length ?? 0);
    for (const { entries } of this.#groupsInFlight) waiting += entries.length;
    return { pendingChanges: waiting, oldestPendingMs: this.#now() - oldest.since };
  }

  /** Does one portion of the retention's work. */
  purgePortion(purge: PurgeRequest): Promise<PurgeResult> {
    return new Promise((resolve, reject) => {
      this.#sendRequest(
        { kind: 'purge', purge },
        {
          onReply: (reply) => {
            if (reply.kind === 'done' && reply.purged !== null) resolve(reply.purged);
            else reject(new StoreUnavailable('DEAD', 'The writer thread answered what was not asked.'));
          },
          onError: reject,
        },
      );
    });
  }

  /** Looks whether the file that is written to is still there. @throws StoreFailure; the writer is dead then. */
  checkFile(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sendRequest({ kind: 'check' }, { onReply: () => resolve(), onError: reject });
    });
  }

  /** Nothing is written any more: somebody else has found out that the file cannot be trusted. */
  failWriter(reason: StoreUnavailable): void {
    this.#fail(reason);
  }

  /** Folds the write-ahead log into the file and closes it. To be called when nothing is waiting. */
  async close(): Promise<void> {
    if (this.#failure !== null) await this.#threadTermination;
    else await this.#sendClose();
  }

  #sendClose(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sendRequest(
        { kind: 'close' },
        {
          onReply: () => {
            this.#isClosed = true;
            resolve();
          },
          onError: (error) => {
            this.#isClosed = true;
            reject(error);
          },
        },
      );
    });
  }

  /** At the end of this turn of the event loop, so that what one turn brings is one commit. */
  #scheduleCommit(): void {
    if (this.#isCommitScheduled || !this.#canCommit()) return;
    this.#isCommitScheduled = true;
    setImmediate(() => {
      this.#isCommitScheduled = false;
      this.#sendCommit();
    });
  }

  #canCommit(): boolean {
    if (this.#failure !== null) return false;
    const [next] = this.#queuedGroups;
    if (next === undefined || this.#groupsInFlight.length === 0) return next !== undefined;
    return this.#groupsInFlight.length < MAX_COMMITS_IN_FLIGHT && next.entries.length >= MAX_ENTRIES_PER_COMMIT;
  }

  /** One at a time: what more there is to be sent is sent in a turn of its own. */
  #sendCommit(): void {
    const group = this.#canCommit() ? this.#queuedGroups.shift() : undefined;
    if (group === undefined) return;
    const { entries } = group;
    this.#groupsInFlight.push(group);
    const recordResult = this.metrics.startCommit(entries.length);
    const finishCommit = (isDurable: boolean, notifyHandlers: () => void): void => {
      this.#groupsInFlight.shift();
      recordResult(isDurable);
      notifyHandlers();
      // At once: nothing is being written now.
      if (this.#groupsInFlight.length === 0) this.#sendCommit();
      this.#scheduleCommit();
    };
    this.#sendRequest(
      { kind: 'commit', batch: this.#handlers.encodeBatch(entries) },
      {
        onReply: () => finishCommit(true, () => this.#handlers.onCommitted(entries)),
        onError: (error) => finishCommit(false, () => this.#handlers.onRejected(entries, error)),
      },
    );
    this.#scheduleCommit();
  }

  #sendRequest(request: WriterRequest, pending: PendingRequest): void {
    if (this.#failure !== null) {
      pending.onError(this.#failure);
      return;
    }
    this.#pendingRequests.push(pending);
    this.#worker.postMessage(request);
  }

  #handleReply(reply: WriterReply): void {
    if (reply.kind === 'ready') return;
    const pending = this.#pendingRequests.shift();
    if (pending === undefined) return;
    if (reply.kind === 'failed') {
      const error = reply.fatal
        ? new StoreUnavailable('DEAD', `The database cannot be trusted any more: ${reply.message}.`)
        : new WriteRejected(`The database could not be written: ${reply.message}.`);
      pending.onError(error);
      if (error instanceof StoreUnavailable) this.#fail(error);
      return;
    }
    pending.onReply(reply);
  }

  #fail(error: StoreUnavailable): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const question of this.#pendingRequests.splice(0)) question.onError(error);
    const waiting = this.#queuedGroups;
    this.#queuedGroups = [];
    for (const { entries } of waiting) this.#handlers.onRejected(entries, error);
    this.#handlers.onWriterFailed(error);
    this.#threadTermination = this.#worker.terminate();
  }
}
