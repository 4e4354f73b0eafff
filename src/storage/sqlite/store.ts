/**
 * The presence store in one SQLite file. Whoever is not OFFLINE is held in memory, as last committed;
 * the rest is read from the file. A change is decided here, written by the writer's thread together
 * with whatever else came in the meantime, and only then put in force, told and answered.
 */
import type {
  CommittedChange,
  FailedUpdate,
  OnlinePage,
  OnlineQuery,
  PresenceStore,
  Workload,
} from '../../app/ports/presence-store.ts';
import type { Outcome } from '../../core/commands.ts';
import type { Millis, SessionId, UserId } from '../../core/ids.ts';
import type { Policy } from '../../core/policy.ts';
import { findSession, type EndedSession, type UserRecord } from '../../core/records.ts';
import type { ProcessPauses } from '../../core/process-pauses.ts';
import { Background } from './periodic-tasks.ts';
import type { Commits } from './write/commit-metrics.ts';
import { diskUse, type DiskUse } from './file/disk-usage.ts';
import { batchOf, type Entry } from './write/commit-entries.ts';
import { SqliteEventLog } from './read/event-log.ts';
import { isFatal, messageOf, NotWritten, StorageError, StoreFailure } from './file/errors.ts';
import { Lanes, type Decide, type Job } from './write/per-user-queue.ts';
import { LifeSigns } from './write/last-seen-buffer.ts';
import { Listeners } from './listeners.ts';
import type { FileLock } from './file/file-lock.ts';
import { LOG_ID, POLICY } from './schema/meta-keys.ts';
import type { Loaded } from './load/load.ts';
import { onlinePage } from './read/online-page.ts';
import type { Present } from '../memory/active-users.ts';
import type { Reader } from './read/reader.ts';
import { turn } from '../yield-to-event-loop.ts';
import { SqliteWebhookStore } from './webhook-store.ts';
import { Writer, type WriterHandlers } from './write/group-commit-writer.ts';

export interface StoreOptions {
  readonly path: string;
  /** Whole milliseconds since 1970, never set back. */
  readonly clock: () => Millis;
  /** When the server was asleep, as known by the last look at the clock. */
  readonly sleeps: () => ProcessPauses;
  /** Events older than this are removed. */
  readonly eventRetentionMs: number;
  /** The store is dead (its thread or the file is gone, or the file damaged): every call is refused from now on. */
  readonly onFailure: (error: Error) => void;
  /** The disk takes nothing any more, and is tried again with whatever comes; null: it takes everything again. */
  readonly onDisk: (refusal: Error | null) => void;
  /** Work done in the background failed, and will be tried again. */
  readonly onWarning: (error: Error) => void;
  /** How many of the latest events are kept in memory for those who follow the log. */
  readonly recentEvents: number;
  /** False: signs of life and retention are written only by `flush`, `purge` and `close`. For tests. */
  readonly background: boolean;
}

/** Often enough that little is left to be written at close. Few users are heard of twice in this time. */
const FLUSH_EVERY_MS = 10_000;
/** For so long a file that was taken away may go unnoticed while nobody changes; a commit notices at once. */
const CHECK_EVERY_MS = 1_000;

export class SqliteStore implements PresenceStore {
  readonly log: SqliteEventLog;
  readonly webhooks: SqliteWebhookStore;
  readonly #options: StoreOptions;
  readonly #lock: FileLock;
  readonly #reader: Reader;
  readonly #present: Present;
  readonly #lanes = new Lanes();
  readonly #listeners = new Listeners<readonly CommittedChange[]>();
  readonly #lifeSigns = new LifeSigns(
    (id) => (this.#lanes.has(id) ? undefined : this.#present.get(id)),
    (users) => this.#written((settle) => ({ kind: 'life', users, settle })),
  );
  readonly #background: Background;
  #writer: Writer<Entry> | undefined;
  #policy: Policy;
  #policyTurn: Promise<unknown> = Promise.resolve();
  #refusal: StoreFailure | null = null;
  #dead = false;
  #diskRefuses = false;
  #closing: Promise<void> | undefined;

  private constructor(reader: Reader, present: Present, lock: FileLock, options: StoreOptions) {
    this.#reader = reader;
    this.#lock = lock;
    this.#options = options;
    this.#background = new Background(options.onWarning);
    this.#policy = JSON.parse(needed(reader.meta(POLICY))) as Policy;
    this.log = new SqliteEventLog(reader, needed(reader.meta(LOG_ID)), options.recentEvents, () => this.#checkOpen());
    this.webhooks = new SqliteWebhookStore({
      reader: reader.webhooks(),
      now: options.clock,
      checkOpen: () => this.#checkOpen(),
      write: (writes) => this.#written((settle) => ({ kind: 'webhooks', writes, settle })),
    });
    this.#present = present;
    reader.onFault = (error) => this.#readFailed(error);
  }

  /** Serves a file that was looked at, brought up to date, locked and loaded: see open.ts. Owns lock and reader from now on. */
  static async start({ reader, present }: Loaded, lock: FileLock, options: StoreOptions): Promise<SqliteStore> {
    try {
      const store = new SqliteStore(reader, present, lock, options);
      store.#writer = await Writer.start({ path: options.path }, store.#handlers(), options.clock);
      if (options.background) store.#startBackground();
      return store;
    } catch (error) {
      reader.close();
      throw error;
    }
  }

  now(): Millis {
    return this.#options.clock();
  }

  sleeps(): ProcessPauses {
    return this.#options.sleeps();
  }

  async read(ids: readonly UserId[]): Promise<readonly UserRecord[]> {
    this.#checkOpen();
    return ids.map((id) => this.#committed(id));
  }

  update(id: UserId, decide: Decide): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      const job = { decide, yields: false, resolve, reject };
      if (!this.#lanes.queue(id, job)) this.#run(id, job, null);
    });
  }

  updateAll(ids: readonly UserId[], decide: Decide): Promise<readonly FailedUpdate[]> {
    return new Promise((resolve) => {
      this.#checkOpen();
      const failed: FailedUpdate[] = [];
      let left = ids.length;
      const done = (): void => {
        if (--left === 0) resolve(failed);
      };
      const reject = (error: unknown, userId: UserId): void => {
        failed.push({ userId, error });
        done();
      };
      const job = { decide, yields: true, resolve: done, reject };
      for (const id of ids) if (!this.#lanes.queue(id, job)) this.#run(id, job, null);
      if (ids.length === 0) resolve(failed);
    });
  }

  async findEnded(userId: UserId, sessionId: SessionId): Promise<EndedSession | null> {
    this.#checkOpen();
    // Its end may be on the disk and not in force yet.
    const user = this.#present.get(userId) ?? this.#lanes.before(userId);
    if (user !== undefined && findSession(user, sessionId) !== undefined) return null;
    return this.#reader.endedSession(userId, sessionId, this.now());
  }

  async claimDue(limit: number): Promise<readonly UserId[]> {
    const claimed: UserId[] = [];
    // Many may be looked at who are not due (after a restart all have the same deadline): others get their turn in between.
    for (let more = true; more && claimed.length < limit;) {
      this.#checkOpen();
      const taken = this.#present.takeDue(this.now(), limit - claimed.length, this.sleeps());
      claimed.push(...taken.ids);
      more = taken.more;
      if (more && claimed.length < limit) await turn();
    }
    return claimed;
  }

  onCommit(listener: (changes: readonly CommittedChange[]) => void): () => void {
    return this.#listeners.add(listener);
  }

  policy(): Policy {
    return this.#policy;
  }

  updatePolicy(decide: (policy: Policy) => Policy): Promise<Policy> {
    if (this.#refusal !== null) return Promise.reject(this.#refusal);
    const changed = this.#policyTurn.then(async () => {
      const policy = decide(this.#policy);
      if (policy !== this.#policy) {
        await this.#written((settle) => ({ kind: 'meta', key: POLICY, value: JSON.stringify(policy), settle }));
        this.#policy = policy;
      }
      return policy;
    });
    // A change that was refused is its caller's; the next one runs all the same.
    this.#policyTurn = changed.catch(() => undefined);
    return changed;
  }

  listOnline(query: OnlineQuery): Promise<OnlinePage> {
    return onlinePage(query, this.#reader, this.#present, () => this.#checkOpen());
  }

  counts(): ReturnType<Present['counts']> {
    return this.#present.counts();
  }

  workload(): Workload {
    return this.#writing().workload();
  }

  /** How the commits went. */
  get commits(): Commits {
    return this.#writing().commits;
  }

  /** @throws what the file system says. */
  disk(): Promise<DiskUse> {
    return diskUse(this.#options.path);
  }

  /**
   * Refuses what is called from now on, finishes what was called before, writes the signs of life that
   * are in memory alone, folds the write-ahead log into the file and lets others open it.
   * @throws what the disk said, if that could not be done; the file is closed all the same.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Writes the signs of life that are in memory alone. @throws StoreFailure; they are written later then. */
  async flush(): Promise<void> {
    await this.#lifeSigns.flush();
  }

  /** Removes what is remembered for too long by now. @throws StoreFailure; it is removed later then. */
  async purge(): Promise<void> {
    const { eventRetentionMs } = this.#options;
    for (let more = true; more && this.#closing === undefined;) {
      const purged = await this.#writing().purge({ now: this.now(), eventRetentionMs });
      this.log.purged(purged.purgedThrough);
      more = purged.more;
    }
  }

  #committed(id: UserId): UserRecord {
    return this.#present.get(id) ?? this.#lanes.before(id) ?? this.#reader.offlineUser(id);
  }

  /** @returns true when the outcome goes to the disk; those `following` wait for that then. */
  #run(id: UserId, job: Job, following: Job[] | null): boolean {
    let before: UserRecord;
    let outcome: Outcome;
    try {
      before = this.#committed(id);
      outcome = job.decide(before, this.#policy, this.now());
    } catch (error) {
      job.reject(error, id);
      return false;
    }
    const { user } = outcome;
    if (mustBeWritten(before, outcome)) {
      this.#lanes.open(before, following);
      this.#writing().submit({ kind: 'change', before, outcome, job });
      return true;
    }
    if (user !== before) this.#lifeSigns.add(id);
    this.#present.put(user, this.sleeps());
    job.resolve(outcome);
    return false;
  }

  #handlers(): WriterHandlers<Entry> {
    return {
      encode: (entries) => batchOf(entries, (id) => this.#lifeSigns.has(id)),
      committed: (entries) => {
        this.#diskIs(null);
        this.#inForce(entries);
      },
      failed: (entries, error) => {
        if (error instanceof NotWritten) this.#diskIs(error);
        for (const entry of entries) {
          if (entry.kind === 'change') entry.job.reject(error, entry.before.id);
          else entry.settle.failed(error);
        }
        this.#next(entries);
      },
      died: (error) => {
        this.#refusal ??= error;
        this.#dead = true;
        this.#background.stop();
        this.#options.onFailure(error);
      },
    };
  }

  #diskIs(refusal: NotWritten | null): void {
    if ((refusal !== null) === this.#diskRefuses) return;
    this.#diskRefuses = refusal !== null;
    this.#options.onDisk(refusal);
  }

  /** A page that is damaged answers no question: whatever else it would answer could be wrong too. */
  #readFailed(error: unknown): void {
    if (!isFatal(error)) return;
    const why = `The database cannot be trusted any more: ${messageOf(error)}.`;
    this.#writing().abandon(new StoreFailure('DEAD', why, { cause: error }));
  }

  /** What is on the disk is put in force, then told, then answered. */
  #inForce(entries: readonly Entry[]): void {
    const told: CommittedChange[] = [];
    for (const entry of entries) {
      if (entry.kind !== 'change') continue;
      const { user, changes } = entry.outcome;
      for (const { events, statusChange, lostLinks } of changes) {
        this.log.append(events);
        told.push({ events, statusChange, lostLinks, user });
      }
      this.#lifeSigns.delete(user.id);
      this.#present.put(user, this.sleeps());
    }
    if (told.length > 0) this.#listeners.tell(told);
    for (const entry of entries) {
      if (entry.kind === 'change') entry.job.resolve(entry.outcome);
      else entry.settle.done();
    }
    this.#next(entries);
  }

  #next(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind !== 'change') continue;
      const { id } = entry.before;
      this.#lanes.close(id, (job, following) => this.#run(id, job, following));
    }
  }

  #written(entry: (settle: { done: () => void; failed: (error: Error) => void }) => Entry): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writing().submit(entry({ done: resolve, failed: reject }));
    });
  }

  #startBackground(): void {
    const purgeEveryMs = Math.min(Math.max(this.#options.eventRetentionMs / 10, 1_000), 60_000);
    this.#background.every(purgeEveryMs, () => this.purge());
    this.#background.every(FLUSH_EVERY_MS, () => this.flush());
    // What it finds is told by the writer.
    this.#background.every(CHECK_EVERY_MS, () =>
      this.#writing()
        .check()
        .catch(() => undefined),
    );
  }

  async #close(): Promise<void> {
    this.#refusal ??= new StoreFailure('CLOSED', 'The store is closed.');
    this.#background.stop();
    try {
      const { webhooks } = this;
      await Promise.all([this.#lanes.empty(), this.#policyTurn, webhooks.settled(), this.#background.settled()]);
      if (!this.#dead) await this.flush();
      if (!this.#dead) await this.#writing().check();
    } finally {
      try {
        await this.#closeConnections();
      } finally {
        this.#lock.release();
      }
    }
  }

  /**
   * The last one to leave tidies up: folds the write-ahead log into the file and removes it. The reader may
   * not, so it is the last one where that log could be somebody else's by now, or is needed to find out what happened.
   */
  async #closeConnections(): Promise<void> {
    if (!this.#dead) this.#reader.close();
    try {
      await this.#writing().close();
    } finally {
      if (this.#dead) this.#reader.close();
    }
  }

  #checkOpen(): void {
    if (this.#refusal !== null) throw this.#refusal;
  }

  #writing(): Writer<Entry> {
    if (this.#writer === undefined) throw new Error('The store is used before it has started.');
    return this.#writer;
  }
}

const mustBeWritten = (before: UserRecord, { user, changes, ended, durable }: Outcome): boolean => {
  if (changes.length > 0 || ended.length > 0) return true;
  if (user === before) return false;
  // Whoever is OFFLINE is not held in memory, so what changes of her is written at once.
  return durable || before.status === 'OFFLINE' || user.status === 'OFFLINE';
};

const needed = (value: string | null): string => {
  if (value === null) throw new StorageError('CORRUPT', 'The database has lost a value of its table meta.');
  return value;
};
