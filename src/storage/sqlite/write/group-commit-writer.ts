/**
 * The main thread's side of the writer, with group commit. Entries that arrive while a commit is being written go
 * into the next one, in order of arrival, so that one fsync serves hundreds. If more than one full commit is queued,
 * the next is sent ahead. The writer thread is then never idle while this thread applies the last commit.
 */
import { Worker } from 'node:worker_threads';
import type { WriteBacklog } from '../../../app/ports/presence-store.ts';
import { resolveWorkerUrl } from '../../../process/worker-url.ts';
import { CommitMetrics } from './commit-metrics.ts';
import { WriteRejectedError, StoreUnavailableError } from '../file/errors.ts';
import type {
  CommitBatch,
  WriterRequest,
  PurgeRequest,
  PurgeResult,
  WriterReply,
  WriterWorkerData,
} from './writer-messages.ts';

/** Encodes entries and handles the result of their commit. */
export interface WriterHandlers<Entry> {
  /** Called right before the batch is sent. Earlier batches may still be in flight and may fail independently. */
  encodeBatch(entries: readonly Entry[]): CommitBatch;
  /** The entries are durable. */
  onCommitted(entries: readonly Entry[]): void;
  /** Nothing of the batch was written. */
  onRejected(entries: readonly Entry[], error: StoreUnavailableError | WriteRejectedError): void;
  /** The writer has failed for good. All entries, and all later ones, are passed to `onRejected`. */
  onWriterFailed(error: StoreUnavailableError): void;
}

interface PendingRequest {
  readonly onReply: (reply: Extract<WriterReply, { kind: 'done' | 'closed' }>) => void;
  readonly onError: (error: StoreUnavailableError | WriteRejectedError) => void;
}

/** The entries of one commit. */
interface CommitGroup<Entry> {
  readonly entries: Entry[];
  /** When the first entry was submitted. */
  readonly firstSubmittedAt: number;
}

/** Limits the time that one commit takes on either thread, and so the wait of other work: some ms. */
const MAX_ENTRIES_PER_COMMIT = 256;
/** Most full commits in flight. A commit that is not full is sent only when none is in flight. */
const MAX_COMMITS_IN_FLIGHT = 2;

const WORKER_URL = resolveWorkerUrl(import.meta.url, './writer-worker.js');

export class GroupCommitWriter<Entry> {
  readonly metrics = new CommitMetrics();
  readonly #worker: Worker;
  readonly #handlers: WriterHandlers<Entry>;
  /** Requests without a reply, in order. Replies arrive in the same order. */
  readonly #pendingRequests: PendingRequest[] = [];
  readonly #now: () => number;
  /** All groups but the last are full. */
  #queuedGroups: CommitGroup<Entry>[] = [];
  /** Commits without a reply, oldest first. */
  readonly #groupsInFlight: CommitGroup<Entry>[] = [];
  #isCommitScheduled = false;
  #failure: StoreUnavailableError | null = null;
  /** After a failure: resolves when the thread has ended and no longer holds the file. */
  #threadTermination: Promise<unknown> | undefined;
  #isClosed = false;

  private constructor(worker: Worker, handlers: WriterHandlers<Entry>, now: () => number) {
    this.#worker = worker;
    this.#handlers = handlers;
    this.#now = now;
    worker.on('message', (reply: WriterReply) => this.#handleReply(reply));
    worker.on('error', (error) =>
      this.#fail(new StoreUnavailableError('DEAD', 'The writer thread failed.', { cause: error })),
    );
    worker.on('exit', (code) => {
      if (!this.#isClosed)
        this.#fail(new StoreUnavailableError('DEAD', `The writer thread ended unexpectedly (exit code ${code}).`));
    });
  }

  /**
   * @param now returns milliseconds and never goes back.
   * @throws the error that prevented the thread or its connection from starting.
   */
  static start<Entry>(
    data: WriterWorkerData,
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
      // Deferred, so that jobs that wait for this entry fail one after another and not recursively.
      queueMicrotask(() => this.#handlers.onRejected([entry], failure));
      return;
    }
    const last = this.#queuedGroups.at(-1);
    if (last !== undefined && last.entries.length < MAX_ENTRIES_PER_COMMIT) last.entries.push(entry);
    else this.#queuedGroups.push({ entries: [entry], firstSubmittedAt: this.#now() });
    this.#scheduleCommit();
  }

  /** Returns how many entries have no result yet, and how long the oldest has waited. */
  getWriteBacklog(): WriteBacklog {
    const oldest = this.#groupsInFlight[0] ?? this.#queuedGroups[0];
    if (oldest === undefined) return { pendingChanges: 0, oldestPendingMs: 0 };
    let waiting =
      Math.max(this.#queuedGroups.length - 1, 0) * MAX_ENTRIES_PER_COMMIT +
      (this.#queuedGroups.at(-1)?.entries.length ?? 0);
    for (const { entries } of this.#groupsInFlight) waiting += entries.length;
    return { pendingChanges: waiting, oldestPendingMs: this.#now() - oldest.firstSubmittedAt };
  }

  /** Runs one portion of retention. */
  purgePortion(purge: PurgeRequest): Promise<PurgeResult> {
    return new Promise((resolve, reject) => {
      this.#sendRequest(
        { kind: 'purge', purge },
        {
          onReply: (reply) => {
            if (reply.kind === 'done' && reply.purgeResult !== null) resolve(reply.purgeResult);
            else reject(new StoreUnavailableError('DEAD', 'The writer thread sent an unexpected reply.'));
          },
          onError: reject,
        },
      );
    });
  }

  /**
   * Checks that the open file is still the one at its path.
   * @throws StoreUnavailableError if not; the writer has failed then.
   */
  checkFile(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#sendRequest({ kind: 'check' }, { onReply: () => resolve(), onError: reject });
    });
  }

  /** Fails the writer because the file can no longer be trusted. */
  failPermanently(reason: StoreUnavailableError): void {
    this.#fail(reason);
  }

  /** Checkpoints the write-ahead log and closes the file. No entry may be waiting. */
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

  /** Sends at the end of this turn of the event loop, so that all entries of the turn share a commit. */
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

  /** Sends one commit. Further ones are sent in later turns of the event loop. */
  #sendCommit(): void {
    const group = this.#canCommit() ? this.#queuedGroups.shift() : undefined;
    if (group === undefined) return;
    const { entries } = group;
    this.#groupsInFlight.push(group);
    const recordResult = this.metrics.recordCommitStart(entries.length);
    const finishCommit = (isDurable: boolean, notifyHandlers: () => void): void => {
      this.#groupsInFlight.shift();
      recordResult(isDurable);
      notifyHandlers();
      // Sent at once, because no commit is in flight.
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
        ? new StoreUnavailableError('DEAD', `The database can no longer be trusted: ${reply.message}.`)
        : new WriteRejectedError(`The database could not be written: ${reply.message}.`);
      pending.onError(error);
      if (error instanceof StoreUnavailableError) this.#fail(error);
      return;
    }
    pending.onReply(reply);
  }

  #fail(error: StoreUnavailableError): void {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const pending of this.#pendingRequests.splice(0)) pending.onError(error);
    const waiting = this.#queuedGroups;
    this.#queuedGroups = [];
    for (const { entries } of waiting) this.#handlers.onRejected(entries, error);
    this.#handlers.onWriterFailed(error);
    this.#threadTermination = this.#worker.terminate();
  }
}
