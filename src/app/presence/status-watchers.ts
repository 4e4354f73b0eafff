/**
 * Who watches whom, and what each watcher has yet to be told: at most one change per watched user,
 * the newest, however slow the watcher is.
 */
import type { Millis, UserId } from '../../core/ids.ts';
import { createStatusSnapshot, type StatusChange } from '../../core/records.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import { PullStream, type StreamSource } from './pull-stream.ts';
import { LATENCY_BUCKETS_MS, Histogram } from '../shared/histogram.ts';
import type { Status } from '../../core/enums.ts';

/** Bounds how many users one client watches. */
export interface WatchLimit {
  /** @throws RATE_LIMITED for more than it may. */
  reserveWatches(users: number): void;
  releaseWatches(users: number): void;
}

interface WatchedUser {
  /** One text for all who watch her, each of whom came with her own. */
  readonly id: UserId;
  /** The change that its watchers heard last. */
  newestChange: PendingChange | null;
  /** Each with the version of this user that she was shown with the present; changes up to it are no news to her. */
  readonly watchers: Map<StatusWatcher, number>;
}

export class StatusWatchers {
  /** How long after its commit, in ms, the oldest change of each list was told: by then there was room for it. */
  readonly deliveryDelays = new Histogram(LATENCY_BUCKETS_MS);
  readonly #store: PresenceStore;
  readonly #watched = new Map<UserId, WatchedUser>();
  #watcherCount = 0;
  #deliveredCount = 0;
  #conflatedCount = 0;

  constructor(store: PresenceStore) {
    this.#store = store;
    store.onCommit((changes) => {
      if (this.#watcherCount === 0) return;
      const now = this.#store.now();
      for (const { statusChange } of changes) if (statusChange !== null) this.#publish(statusChange, now);
    });
  }

  /** How many watch somebody. */
  get watcherCount(): number {
    return this.#watcherCount;
  }

  /** Changes told since the start, each as often as somebody was told it. */
  get deliveredCount(): number {
    return this.#deliveredCount;
  }

  /** Changes that a watcher was not told since the start, because she was told a newer one of the same user instead. */
  get conflatedCount(): number {
    return this.#conflatedCount;
  }

  /** How many users somebody watches. */
  get watchedUserCount(): number {
    return this.#watched.size;
  }

  /**
   * From now on nothing is missed. Asking for a user twice is asking once. Ends with `close`.
   * @param limit counts them, and is given them back; null: nobody does. @throws what it throws.
   */
  watchUsers(ids: readonly UserId[], limit: WatchLimit | null = null): StatusWatcher {
    const unique = new Set(ids);
    limit?.reserveWatches(unique.size);
    const all = Array.from(unique, (id) => this.#findOrAddWatchedUser(id));
    const watcher = new StatusWatcher(
      this,
      all.map(({ id }) => id),
      limit,
    );
    for (const { watchers } of all) watchers.set(watcher, 0);
    this.#watcherCount++;
    return watcher;
  }

  /** The present of all that one watcher watches; what it shows is not told to her again. For `Watcher`. */
  async readSnapshot(watcher: StatusWatcher): ReturnType<PresenceStore['readUsers']> {
    const users = await this.#store.readUsers(watcher.userIds);
    for (const { id, version } of users) {
      // A store may show a change before it calls its listeners.
      const watchers = this.#watched.get(id)?.watchers;
      if (watchers?.has(watcher) === true) watchers.set(watcher, version);
    }
    return users;
  }

  /** For `Watcher`: a list is told, the oldest change of which was committed at `since`. */
  recordDelivered(count: number, since: Millis): void {
    this.#deliveredCount += count;
    this.deliveryDelays.recordValue(this.#store.now() - since);
  }

  /** For `Watcher`: so many changes have newer ones in their place. */
  recordConflated(count: number): void {
    this.#conflatedCount += count;
  }

  /** For `Watcher`, once. */
  removeWatcher(watcher: StatusWatcher): void {
    this.#watcherCount--;
    for (const id of watcher.userIds) {
      const watchers = this.#watched.get(id)?.watchers;
      if (watchers?.delete(watcher) === true && watchers.size === 0) this.#watched.delete(id);
    }
  }

  #findOrAddWatchedUser(id: UserId): WatchedUser {
    let watched = this.#watched.get(id);
    if (watched === undefined) this.#watched.set(id, (watched = { id, newestChange: null, watchers: new Map() }));
    return watched;
  }

  #publish(change: StatusChange, now: Millis): void {
    const watched = this.#watched.get(change.userId);
    if (watched === undefined) return;
    const news = new PendingChange(change, now);
    if (watched.newestChange !== null) watched.newestChange.isSuperseded = true;
    watched.newestChange = news;
    for (const [watcher, shown] of watched.watchers) if (change.version > shown) watcher.enqueue(news);
  }
}

/** One change on its way to all of its watchers, who share it. */
class PendingChange {
  readonly change: StatusChange;
  /** When it was committed. */
  readonly committedAt: Millis;
  /** The same watchers have heard of a newer one of the same user. */
  isSuperseded = false;
  #variants: StatusChange[] | null = null;

  constructor(change: StatusChange, at: Millis) {
    this.change = change;
    this.committedAt = at;
  }

  /** The change for those who were last told `previous`: what it changed from, for them. */
  withPreviousStatus(previous: Status | null): StatusChange {
    if (previous === this.change.previousStatus) return this.change;
    this.#variants ??= [];
    let other = this.#variants.find(({ previousStatus }) => previousStatus === previous);
    if (other === undefined) this.#variants.push((other = { ...this.change, previousStatus: previous }));
    return other;
  }
}

/** How much longer than one change per user the list of what is untold may get before it is gone through. */
const MAX_PENDING_PER_USER = 4;

/**
 * The present status of all of them in one list, then the changes, in lists, as they come. Nobody is
 * told a change twice, nor an older one after a newer one; a reader who is slow gets the newest
 * status of each user. She pulls it as a stream, or has herself woken and takes it: `present` once, and
 * then `changes` whenever she likes. Changes are the same objects for all who are to be told the same.
 */
export class StatusWatcher implements StreamSource<readonly StatusChange[]>, AsyncIterable<readonly StatusChange[]> {
  /** Each once. */
  readonly userIds: readonly UserId[];
  readonly #watchers: StatusWatchers;
  readonly #limit: WatchLimit | null;
  #reader: { notifyAvailable(): void } | null = null;
  #isSnapshotTaken = false;
  #pending: PendingChange[] | null = null;
  /** What she was last told of those of whom changes have been left out since; null: of nobody. */
  #lastDeliveredStatus: Map<UserId, Status | null> | null = null;

  constructor(watchers: StatusWatchers, ids: readonly UserId[], limit: WatchLimit | null) {
    this.#watchers = watchers;
    this.userIds = ids;
    this.#limit = limit;
  }

  /** Pulled; ends when the reader returns. */
  [Symbol.asyncIterator](): PullStream<readonly StatusChange[]> {
    const stream = new PullStream(this);
    this.#reader = stream;
    return stream;
  }

  /** From now on `reader` is woken when there are changes, if there were none. Right away if there are some. */
  attachReader(reader: { notifyAvailable(): void }): void {
    this.#reader = reader;
    if (this.#pending !== null) reader.notifyAvailable();
  }

  /** For `Watchers`. */
  enqueue(news: PendingChange): void {
    if (this.#pending === null) {
      this.#pending = [news];
      if (this.#isSnapshotTaken) this.#reader?.notifyAvailable();
      return;
    }
    this.#pending.push(news);
    if (this.#pending.length <= MAX_PENDING_PER_USER * this.userIds.length) return;
    this.#lastDeliveredStatus ??= new Map();
    this.#pending = [...this.#conflate(this.#pending, this.#lastDeliveredStatus).values()];
  }

  /** The present, to be told before any change. Changes that it contains already are dropped. */
  async takeSnapshot(): Promise<readonly StatusChange[]> {
    const users = await this.#watchers.readSnapshot(this);
    const shown = new Map(users.map((user) => [user.id, user]));
    const untold = this.#pending ?? [];
    this.#pending = null;
    this.#lastDeliveredStatus = null;
    for (const news of untold) {
      const user = shown.get(news.change.userId);
      if (user === undefined || news.change.version <= user.version) continue;
      (this.#pending ??= []).push(news);
      (this.#lastDeliveredStatus ??= new Map()).set(user.id, user.status);
    }
    this.#isSnapshotTaken = true;
    return users.map(createStatusSnapshot);
  }

  /** What has changed since it was last asked; null: nothing. */
  takeChanges(): readonly StatusChange[] | null {
    const untold = this.#pending;
    if (untold === null) return null;
    this.#pending = null;
    const since = (untold[0] as PendingChange).committedAt;
    if (this.#lastDeliveredStatus === null && !untold.some(isChangeSuperseded)) {
      this.#watchers.recordDelivered(untold.length, since);
      return untold.map(toStatusChange);
    }
    const lastTold = this.#lastDeliveredStatus ?? new Map<UserId, Status | null>();
    const newest = this.#conflate(untold, lastTold);
    this.#lastDeliveredStatus = null;
    this.#watchers.recordDelivered(newest.size, since);
    // She was told something of each of them.
    return Array.from(newest, ([id, news]) => news.withPreviousStatus(lastTold.get(id) as Status | null));
  }

  takeNext(): Promise<readonly StatusChange[]> | readonly StatusChange[] | null {
    return this.#isSnapshotTaken ? this.takeChanges() : this.takeSnapshot();
  }

  /** She is told nothing more. */
  onClosed(): void {
    this.#watchers.removeWatcher(this);
    this.#limit?.releaseWatches(this.userIds.length);
  }

  /** The newest of each user. What is left out of them, she was never told. */
  #conflate(untold: readonly PendingChange[], lastTold: Map<UserId, Status | null>): Map<UserId, PendingChange> {
    const newest = new Map<UserId, PendingChange>();
    for (const news of untold) {
      const { userId, previousStatus } = news.change;
      newest.set(userId, news);
      if (!lastTold.has(userId)) lastTold.set(userId, previousStatus);
    }
    this.#watchers.recordConflated(untold.length - newest.size);
    return newest;
  }
}

const isChangeSuperseded = ({ isSuperseded: superseded }: PendingChange): boolean => superseded;
const toStatusChange = ({ change }: PendingChange): StatusChange => change;
