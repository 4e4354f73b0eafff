/**
 * The presence store in one SQLite file. Users who are not OFFLINE are kept in memory as last committed; everything
 * else is read from the file. The main thread decides a change, and the writer thread commits it together with
 * others. After the commit the change takes effect, is published, and the caller is answered.
 */
import type {
  CommittedChange,
  DecideUpdate,
  FailedUserUpdate,
  OnlineUsersPage,
  OnlineUsersQuery,
  PresenceStore,
  WriteBacklog,
} from '../../app/ports/presence-store.ts';
import type { CommandOutcome } from '../../core/commands.ts';
import type { Millis, SessionId, UserId } from '../../core/ids.ts';
import type { Policy } from '../../core/policy.ts';
import { findSession, type EndedSession, type UserRecord } from '../../core/records.ts';
import type { ProcessPauses } from '../../core/process-pauses.ts';
import { PeriodicTasks } from './periodic-tasks.ts';
import type { CommitMetrics } from './write/commit-metrics.ts';
import { readDiskUsage, type DiskUsage } from './file/disk-usage.ts';
import { buildBatch, type CommitCallbacks, type CommitEntry } from './write/commit-entries.ts';
import { SqliteEventLog } from './read/event-log.ts';
import {
  isFatalDatabaseError,
  errorMessage,
  WriteRejectedError,
  DatabaseFileError,
  StoreUnavailableError,
} from './file/errors.ts';
import { PerUserQueue, type UpdateJob } from './write/per-user-queue.ts';
import { LastSeenBuffer } from './write/last-seen-buffer.ts';
import { ListenerSet } from './listeners.ts';
import type { FileLock } from './file/file-lock.ts';
import { LOG_ID_KEY, POLICY_KEY } from './schema/meta-keys.ts';
import type { LoadedDatabase } from './load/load.ts';
import { readOnlinePage } from './read/online-page.ts';
import type { ActiveUsers } from '../memory/active-users.ts';
import type { DatabaseReader } from './read/reader.ts';
import { yieldToEventLoop } from '../yield-to-event-loop.ts';
import { SqliteWebhookStore } from './webhook-store.ts';
import { GroupCommitWriter, type WriterHandlers } from './write/group-commit-writer.ts';

export interface StoreOptions {
  readonly path: string;
  /** Returns whole milliseconds since 1970. It must never go back. */
  readonly clock: () => Millis;
  /** Returns the process pauses known at the last call of `clock`. */
  readonly getProcessPauses: () => ProcessPauses;
  /** Events older than this are removed. */
  readonly eventRetentionMs: number;
  /**
   * Called when the store has failed for good: its thread ended, or the file is gone or damaged. All later calls are
   * rejected.
   */
  readonly onFailure: (error: Error) => void;
  /**
   * Called with the error when the disk starts to reject writes, and with null when a write succeeds again. Every
   * later commit is still attempted.
   */
  readonly onDiskStateChange: (error: Error | null) => void;
  /** Called when a periodic task fails. The task will run again. */
  readonly onWarning: (error: Error) => void;
  /** Number of latest events kept in memory for readers that follow the log. */
  readonly recentEventCount: number;
  /**
   * False: last-seen times and retention are written only by `flushLastSeen`, `purgeExpiredData` and `close`. For
   * tests.
   */
  readonly runPeriodicTasks: boolean;
}

/** Short enough that little is left to write at close. Few users are active twice within this time. */
const LAST_SEEN_FLUSH_INTERVAL_MS = 10_000;
/**
 * Longest time that a removed or replaced file goes unnoticed while nothing is committed. A commit checks it at once.
 */
const FILE_CHECK_INTERVAL_MS = 1_000;

export class SqliteStore implements PresenceStore {
  readonly eventLog: SqliteEventLog;
  readonly webhooks: SqliteWebhookStore;
  readonly #options: StoreOptions;
  readonly #lock: FileLock;
  readonly #reader: DatabaseReader;
  readonly #activeUsers: ActiveUsers;
  readonly #userQueue = new PerUserQueue();
  readonly #commitListeners = new ListenerSet<readonly CommittedChange[]>();
  readonly #lastSeenBuffer = new LastSeenBuffer(
    (id) => (this.#userQueue.hasPendingWrite(id) ? undefined : this.#activeUsers.getUser(id)),
    (users) => this.#commitEntry((callbacks) => ({ kind: 'lastSeen', users, callbacks })),
  );
  readonly #periodicTasks: PeriodicTasks;
  #writer: GroupCommitWriter<CommitEntry> | undefined;
  #policy: Policy;
  #policyUpdates: Promise<unknown> = Promise.resolve();
  #unavailable: StoreUnavailableError | null = null;
  #isDead = false;
  #isDiskFailing = false;
  #closing: Promise<void> | undefined;

  private constructor(reader: DatabaseReader, activeUsers: ActiveUsers, lock: FileLock, options: StoreOptions) {
    this.#reader = reader;
    this.#lock = lock;
    this.#options = options;
    this.#periodicTasks = new PeriodicTasks(options.onWarning);
    this.#policy = JSON.parse(requireMetaValue(reader.readMeta(POLICY_KEY))) as Policy;
    this.eventLog = new SqliteEventLog(
      reader,
      requireMetaValue(reader.readMeta(LOG_ID_KEY)),
      options.recentEventCount,
      () => this.#assertOpen(),
    );
    this.webhooks = new SqliteWebhookStore({
      reader: reader.createWebhookReader(),
      now: options.clock,
      assertOpen: () => this.#assertOpen(),
      commitWrites: (writes) => this.#commitEntry((callbacks) => ({ kind: 'webhooks', writes, callbacks })),
    });
    this.#activeUsers = activeUsers;
    reader.onError = (error) => this.#handleReadError(error);
  }

  /**
   * Starts the store on a file that has been checked, migrated, locked and loaded: see open.ts. Takes ownership of
   * the lock and the reader.
   */
  static async start(
    { reader, activeUsers }: LoadedDatabase,
    lock: FileLock,
    options: StoreOptions,
  ): Promise<SqliteStore> {
    try {
      const store = new SqliteStore(reader, activeUsers, lock, options);
      store.#writer = await GroupCommitWriter.start({ path: options.path }, store.#writerHandlers(), options.clock);
      if (options.runPeriodicTasks) store.#startPeriodicTasks();
      return store;
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  now(): Millis {
    return this.#options.clock();
  }

  getProcessPauses(): ProcessPauses {
    return this.#options.getProcessPauses();
  }

  async readUsers(ids: readonly UserId[]): Promise<readonly UserRecord[]> {
    this.#assertOpen();
    return ids.map((id) => this.#readCommitted(id));
  }

  updateUser(id: UserId, decide: DecideUpdate): Promise<CommandOutcome> {
    return new Promise((resolve, reject) => {
      this.#assertOpen();
      const job = { decide, lowPriority: false, resolve, reject };
      if (!this.#userQueue.enqueueBehindWrite(id, job)) this.#runUpdate(id, job, null);
    });
  }

  updateUsers(ids: readonly UserId[], decide: DecideUpdate): Promise<readonly FailedUserUpdate[]> {
    return new Promise((resolve) => {
      this.#assertOpen();
      const failed: FailedUserUpdate[] = [];
      let left = ids.length;
      const done = (): void => {
        if (--left === 0) resolve(failed);
      };
      const reject = (error: unknown, userId: UserId): void => {
        failed.push({ userId, error });
        done();
      };
      const job = { decide, lowPriority: true, resolve: done, reject };
      for (const id of ids) if (!this.#userQueue.enqueueBehindWrite(id, job)) this.#runUpdate(id, job, null);
      if (ids.length === 0) resolve(failed);
    });
  }

  async findEndedSession(userId: UserId, sessionId: SessionId): Promise<EndedSession | null> {
    this.#assertOpen();
    // The end of the session may be on disk already and not applied in memory yet.
    const user = this.#activeUsers.getUser(userId) ?? this.#userQueue.committedUserDuringWrite(userId);
    if (user !== undefined && findSession(user, sessionId) !== undefined) return null;
    return this.#reader.findEndedSession(userId, sessionId, this.now());
  }

  async claimDueUsers(limit: number): Promise<readonly UserId[]> {
    const claimed: UserId[] = [];
    // Many users may be examined that are not due: after a restart all have the same deadline. Other work runs in
    // between.
    for (let more = true; more && claimed.length < limit;) {
      this.#assertOpen();
      const due = this.#activeUsers.takeDueUsers(this.now(), limit - claimed.length, this.getProcessPauses());
      claimed.push(...due.ids);
      more = due.hasMore;
      if (more && claimed.length < limit) await yieldToEventLoop();
    }
    return claimed;
  }

  onCommit(listener: (changes: readonly CommittedChange[]) => void): () => void {
    return this.#commitListeners.addListener(listener);
  }

  getPolicy(): Policy {
    return this.#policy;
  }

  updatePolicy(decide: (policy: Policy) => Policy): Promise<Policy> {
    if (this.#unavailable !== null) return Promise.reject(this.#unavailable);
    const changed = this.#policyUpdates.then(async () => {
      const policy = decide(this.#policy);
      if (policy !== this.#policy) {
        await this.#commitEntry((callbacks) => ({
          kind: 'meta',
          key: POLICY_KEY,
          value: JSON.stringify(policy),
          callbacks,
        }));
        this.#policy = policy;
      }
      return policy;
    });
    // The caller of a rejected change handles its error. The next change runs anyway.
    this.#policyUpdates = changed.catch(() => undefined);
    return changed;
  }

  listOnlineUsers(query: OnlineUsersQuery): Promise<OnlineUsersPage> {
    return readOnlinePage(query, this.#reader, this.#activeUsers, () => this.#assertOpen());
  }

  getPresenceCounts(): ReturnType<ActiveUsers['getPresenceCounts']> {
    return this.#activeUsers.getPresenceCounts();
  }

  getWriteBacklog(): WriteBacklog {
    return this.#requireWriter().getWriteBacklog();
  }

  /** Durations, sizes and failures of commits. */
  get commitMetrics(): CommitMetrics {
    return this.#requireWriter().metrics;
  }

  /** @throws the error of the file system. */
  readDiskUsage(): Promise<DiskUsage> {
    return readDiskUsage(this.#options.path);
  }

  /**
   * Rejects further calls, completes earlier ones and writes pending last-seen times. Then checkpoints the
   * write-ahead log and releases the file.
   * @throws the error of the disk if that fails; the file is closed anyway.
   */
  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  /**
   * Writes last-seen times that are only in memory.
   * @throws StoreUnavailableError or WriteRejectedError; they are written later in that case.
   */
  async flushLastSeen(): Promise<void> {
    await this.#lastSeenBuffer.flushAll();
  }

  /**
   * Removes data older than its retention.
   * @throws StoreUnavailableError or WriteRejectedError; it is removed later in that case.
   */
  async purgeExpiredData(): Promise<void> {
    const { eventRetentionMs } = this.#options;
    for (let more = true; more && this.#closing === undefined;) {
      const result = await this.#requireWriter().purgePortion({ now: this.now(), eventRetentionMs });
      this.eventLog.setPurgedThrough(result.purgedThrough);
      more = result.hasMore;
    }
  }

  #readCommitted(id: UserId): UserRecord {
    return (
      this.#activeUsers.getUser(id) ?? this.#userQueue.committedUserDuringWrite(id) ?? this.#reader.readOfflineUser(id)
    );
  }

  /**
   * Decides an update and applies it, or submits it for commit.
   * @returns true if the outcome must be committed; `nextJobs` then wait for that commit.
   */
  #runUpdate(id: UserId, job: UpdateJob, nextJobs: UpdateJob[] | null): boolean {
    let before: UserRecord;
    let outcome: CommandOutcome;
    try {
      before = this.#readCommitted(id);
      outcome = job.decide(before, this.#policy, this.now());
    } catch (error) {
      job.reject(error, id);
      return false;
    }
    const { user } = outcome;
    if (requiresCommit(before, outcome)) {
      this.#userQueue.beginWrite(before, nextJobs);
      this.#requireWriter().submitEntry({ kind: 'change', before, outcome, job });
      return true;
    }
    if (user !== before) this.#lastSeenBuffer.markUnwritten(id);
    this.#activeUsers.putUser(user, this.getProcessPauses());
    job.resolve(outcome);
    return false;
  }

  #writerHandlers(): WriterHandlers<CommitEntry> {
    return {
      encodeBatch: (entries) => buildBatch(entries, (id) => this.#lastSeenBuffer.hasUnwritten(id)),
      onCommitted: (entries) => {
        this.#setDiskState(null);
        this.#applyCommitted(entries);
      },
      onRejected: (entries, error) => {
        if (error instanceof WriteRejectedError) this.#setDiskState(error);
        for (const entry of entries) {
          if (entry.kind === 'change') entry.job.reject(error, entry.before.id);
          else entry.callbacks.onFailed(error);
        }
        this.#runQueuedUpdates(entries);
      },
      onWriterFailed: (error) => {
        this.#unavailable ??= error;
        this.#isDead = true;
        this.#periodicTasks.stopScheduling();
        this.#options.onFailure(error);
      },
    };
  }

  #setDiskState(error: WriteRejectedError | null): void {
    if ((error !== null) === this.#isDiskFailing) return;
    this.#isDiskFailing = error !== null;
    this.#options.onDiskStateChange(error);
  }

  /** A damaged page makes every answer unreliable, so the store fails. */
  #handleReadError(error: unknown): void {
    if (!isFatalDatabaseError(error)) return;
    const reason = `The database can no longer be trusted: ${errorMessage(error)}.`;
    this.#requireWriter().failPermanently(new StoreUnavailableError('DEAD', reason, { cause: error }));
  }

  /** Applies committed changes in memory, then publishes them, then answers their callers. */
  #applyCommitted(entries: readonly CommitEntry[]): void {
    const committedChanges: CommittedChange[] = [];
    for (const entry of entries) {
      if (entry.kind !== 'change') continue;
      const { user, changes } = entry.outcome;
      for (const { events, statusChange, lostSockets } of changes) {
        this.eventLog.appendCommitted(events);
        committedChanges.push({ events, statusChange, lostSockets, user });
      }
      this.#lastSeenBuffer.markWritten(user.id);
      this.#activeUsers.putUser(user, this.getProcessPauses());
    }
    if (committedChanges.length > 0) this.#commitListeners.notifyAll(committedChanges);
    for (const entry of entries) {
      if (entry.kind === 'change') entry.job.resolve(entry.outcome);
      else entry.callbacks.onCommitted();
    }
    this.#runQueuedUpdates(entries);
  }

  #runQueuedUpdates(entries: readonly CommitEntry[]): void {
    for (const entry of entries) {
      if (entry.kind !== 'change') continue;
      const { id } = entry.before;
      this.#userQueue.endWrite(id, (job, nextJobs) => this.#runUpdate(id, job, nextJobs));
    }
  }

  #commitEntry(createEntry: (callbacks: CommitCallbacks) => CommitEntry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#requireWriter().submitEntry(createEntry({ onCommitted: resolve, onFailed: reject }));
    });
  }

  #startPeriodicTasks(): void {
    const purgeIntervalMs = Math.min(Math.max(this.#options.eventRetentionMs / 10, 1_000), 60_000);
    this.#periodicTasks.runEvery(purgeIntervalMs, () => this.purgeExpiredData());
    this.#periodicTasks.runEvery(LAST_SEEN_FLUSH_INTERVAL_MS, () => this.flushLastSeen());
    // The writer reports what the check finds.
    this.#periodicTasks.runEvery(FILE_CHECK_INTERVAL_MS, () =>
      this.#requireWriter()
        .checkFile()
        .catch(() => undefined),
    );
  }

  async #shutDown(): Promise<void> {
    this.#unavailable ??= new StoreUnavailableError('CLOSED', 'The store is closed.');
    this.#periodicTasks.stopScheduling();
    try {
      const { webhooks } = this;
      await Promise.all([
        this.#userQueue.waitUntilEmpty(),
        this.#policyUpdates,
        webhooks.waitUntilIdle(),
        this.#periodicTasks.waitUntilIdle(),
      ]);
      if (!this.#isDead) await this.flushLastSeen();
      if (!this.#isDead) await this.#requireWriter().checkFile();
    } finally {
      try {
        await this.#closeConnections();
      } finally {
        this.#lock.release();
      }
    }
  }

  /**
   * Closes both connections. The last connection to close checkpoints and removes the write-ahead log. After a
   * failure the read-only connection closes last: the log may belong to another file by then, or be needed for
   * diagnosis.
   */
  async #closeConnections(): Promise<void> {
    if (!this.#isDead) this.#reader.close();
    try {
      await this.#requireWriter().close();
    } finally {
      if (this.#isDead) this.#reader.close();
    }
  }

  #assertOpen(): void {
    if (this.#unavailable !== null) throw this.#unavailable;
  }

  #requireWriter(): GroupCommitWriter<CommitEntry> {
    if (this.#writer === undefined) throw new Error('The store is used before it has started.');
    return this.#writer;
  }
}

const requiresCommit = (
  before: UserRecord,
  { user, changes, endedSessions, mustBeDurable }: CommandOutcome,
): boolean => {
  if (changes.length > 0 || endedSessions.length > 0) return true;
  if (user === before) return false;
  // An OFFLINE user is not kept in memory, so any change of theirs must be committed at once.
  return mustBeDurable || before.status === 'OFFLINE' || user.status === 'OFFLINE';
};

const requireMetaValue = (value: string | null): string => {
  if (value === null) throw new DatabaseFileError('CORRUPT', 'The table meta of the database lacks a required value.');
  return value;
};
