/**
 * Publishes status changes to watchers. The pending changes of a slow watcher are conflated: at most the newest change
 * of each watched user is kept, so a watcher needs a bounded amount of memory.
 */
import type { Status } from '../../core/enums.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import { createStatusSnapshot, type StatusChange } from '../../core/records.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import { Histogram, LATENCY_BUCKETS_MS } from '../shared/histogram.ts';
import { PullStream, type StreamSource } from './pull-stream.ts';

/** Limits how many users one client may watch. */
export interface WatchLimit {
  /** @throws RATE_LIMITED when the limit would be exceeded. */
  reserveWatches(users: number): void;
  releaseWatches(users: number): void;
}

interface WatchedUser {
  /** One string that all watchers of the user share; each of them came with a copy. */
  readonly id: UserId;
  /** The last published change. */
  newestChange: PendingChange | null;
  /** Each watcher with the version of the user in its snapshot. Changes up to that version are not sent to it. */
  readonly watchers: Map<StatusWatcher, number>;
}

export class StatusWatchers {
  /** Time from the commit of a change to its delivery, in ms. One value per delivered list: that of its oldest change. */
  readonly deliveryDelays = new Histogram(LATENCY_BUCKETS_MS);
  readonly #store: PresenceStore;
  readonly #watchedUsers = new Map<UserId, WatchedUser>();
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

  /** The number of open watchers. */
  get watcherCount(): number {
    return this.#watcherCount;
  }

  /** Changes delivered since the start, counted once for each watcher. */
  get deliveredCount(): number {
    return this.#deliveredCount;
  }

  /** Changes not delivered to a watcher since the start because a newer one of the same user replaced them. */
  get conflatedCount(): number {
    return this.#conflatedCount;
  }

  /** The number of users with at least one watcher. */
  get watchedUserCount(): number {
    return this.#watchedUsers.size;
  }

  /**
   * Starts to watch the users; no change is missed from now on. Duplicate ids count once. `StatusWatcher.onClosed` ends it.
   * @param limit reserves the watches, and releases them at the end; null: unlimited.
   * @throws the error of `limit`.
   */
  watchUsers(ids: readonly UserId[], limit: WatchLimit | null = null): StatusWatcher {
    const unique = new Set(ids);
    limit?.reserveWatches(unique.size);
    const watchedUsers = Array.from(unique, (id) => this.#findOrAddWatchedUser(id));
    const watcher = new StatusWatcher(
      this,
      watchedUsers.map(({ id }) => id),
      limit,
    );
    for (const { watchers } of watchedUsers) watchers.set(watcher, 0);
    this.#watcherCount++;
    return watcher;
  }

  /** For `StatusWatcher`: reads its users. Changes that the result contains will not be sent to the watcher again. */
  async readSnapshot(watcher: StatusWatcher): ReturnType<PresenceStore['readUsers']> {
    const users = await this.#store.readUsers(watcher.userIds);
    for (const { id, version } of users) {
      // A store may return a change before it calls its listeners.
      const watchers = this.#watchedUsers.get(id)?.watchers;
      if (watchers?.has(watcher) === true) watchers.set(watcher, version);
    }
    return users;
  }

  /** For `StatusWatcher`: counts a delivered list, whose oldest change was committed at `oldestCommittedAt`. */
  recordDelivered(count: number, oldestCommittedAt: Millis): void {
    this.#deliveredCount += count;
    this.deliveryDelays.recordValue(this.#store.now() - oldestCommittedAt);
  }

  /** For `StatusWatcher`: counts changes that newer ones have replaced. */
  recordConflated(count: number): void {
    this.#conflatedCount += count;
  }

  /** For `StatusWatcher`, which calls it once. */
  removeWatcher(watcher: StatusWatcher): void {
    this.#watcherCount--;
    for (const id of watcher.userIds) {
      const watchers = this.#watchedUsers.get(id)?.watchers;
      if (watchers?.delete(watcher) === true && watchers.size === 0) this.#watchedUsers.delete(id);
    }
  }

  #findOrAddWatchedUser(id: UserId): WatchedUser {
    let watchedUser = this.#watchedUsers.get(id);
    if (watchedUser === undefined) {
      watchedUser = { id, newestChange: null, watchers: new Map() };
      this.#watchedUsers.set(id, watchedUser);
    }
    return watchedUser;
  }

  #publish(change: StatusChange, now: Millis): void {
    const watchedUser = this.#watchedUsers.get(change.userId);
    if (watchedUser === undefined) return;
    const pendingChange = new PendingChange(change, now);
    if (watchedUser.newestChange !== null) watchedUser.newestChange.isSuperseded = true;
    watchedUser.newestChange = pendingChange;
    for (const [watcher, snapshotVersion] of watchedUser.watchers) {
      if (change.version > snapshotVersion) watcher.enqueue(pendingChange);
    }
  }
}

/** One published change that its watchers share until each of them has taken it. */
class PendingChange {
  readonly change: StatusChange;
  readonly committedAt: Millis;
  /** A newer change of the same user was published to the same watchers. */
  isSuperseded = false;
  #variants: StatusChange[] | null = null;

  constructor(change: StatusChange, committedAt: Millis) {
    this.change = change;
    this.committedAt = committedAt;
  }

  /** The change for a watcher that last received `previousStatus`. Watchers with the same one share the object. */
  withPreviousStatus(previousStatus: Status | null): StatusChange {
    if (previousStatus === this.change.previousStatus) return this.change;
    this.#variants ??= [];
    let variant = this.#variants.find((other) => other.previousStatus === previousStatus);
    if (variant === undefined) {
      variant = { ...this.change, previousStatus };
      this.#variants.push(variant);
    }
    return variant;
  }
}

/** A list of pending changes is conflated when it exceeds this many per watched user. */
const MAX_PENDING_PER_USER = 4;

/**
 * One watcher. It first delivers the current status of all its users in one list, then lists of changes. It never
 * delivers a change twice, nor an older change after a newer one; a slow reader receives only the newest change of each
 * user. Readers that receive the same change share the object.
 * There are two ways to read: iterate it as a stream; or call `takeSnapshot` once and `takeChanges` later, as often as
 * needed, with `attachReader` for notifications. `onClosed` must be called at the end.
 */
export class StatusWatcher implements StreamSource<readonly StatusChange[]>, AsyncIterable<readonly StatusChange[]> {
  /** Without duplicates. */
  readonly userIds: readonly UserId[];
  readonly #watchers: StatusWatchers;
  readonly #limit: WatchLimit | null;
  #reader: { notifyAvailable(): void } | null = null;
  #isSnapshotTaken = false;
  #pending: PendingChange[] | null = null;
  /** For users whose changes were conflated: the status that the reader last received. Null: no such users. */
  #lastDeliveredStatus: Map<UserId, Status | null> | null = null;

  constructor(watchers: StatusWatchers, userIds: readonly UserId[], limit: WatchLimit | null) {
    this.#watchers = watchers;
    this.userIds = userIds;
    this.#limit = limit;
  }

  /** A stream of lists. The watcher ends when the reader returns. */
  [Symbol.asyncIterator](): PullStream<readonly StatusChange[]> {
    const stream = new PullStream(this);
    this.#reader = stream;
    return stream;
  }

  /** Notifies the reader when there are changes after there were none; immediately if there are some now. */
  attachReader(reader: { notifyAvailable(): void }): void {
    this.#reader = reader;
    if (this.#pending !== null) reader.notifyAvailable();
  }

  /** For `StatusWatchers`. */
  enqueue(change: PendingChange): void {
    if (this.#pending === null) {
      this.#pending = [change];
      if (this.#isSnapshotTaken) this.#reader?.notifyAvailable();
      return;
    }
    this.#pending.push(change);
    if (this.#pending.length <= MAX_PENDING_PER_USER * this.userIds.length) return;
    this.#lastDeliveredStatus ??= new Map();
    this.#pending = [...this.#conflate(this.#pending, this.#lastDeliveredStatus).values()];
  }

  /** The current status of all users. Must be delivered before any change. Pending changes it contains are dropped. */
  async takeSnapshot(): Promise<readonly StatusChange[]> {
    const users = await this.#watchers.readSnapshot(this);
    const usersById = new Map(users.map((user) => [user.id, user]));
    const pending = this.#pending ?? [];
    this.#pending = null;
    this.#lastDeliveredStatus = null;
    for (const pendingChange of pending) {
      const user = usersById.get(pendingChange.change.userId);
      if (user === undefined || pendingChange.change.version <= user.version) continue;
      (this.#pending ??= []).push(pendingChange);
      (this.#lastDeliveredStatus ??= new Map()).set(user.id, user.status);
    }
    this.#isSnapshotTaken = true;
    return users.map(createStatusSnapshot);
  }

  /** The changes since the last call, conflated; null: there are none. */
  takeChanges(): readonly StatusChange[] | null {
    const pending = this.#pending;
    if (pending === null) return null;
    this.#pending = null;
    const oldestCommittedAt = (pending[0] as PendingChange).committedAt;
    if (this.#lastDeliveredStatus === null && !pending.some(isChangeSuperseded)) {
      this.#watchers.recordDelivered(pending.length, oldestCommittedAt);
      return pending.map(toStatusChange);
    }
    const lastDelivered = this.#lastDeliveredStatus ?? new Map<UserId, Status | null>();
    const newest = this.#conflate(pending, lastDelivered);
    this.#lastDeliveredStatus = null;
    this.#watchers.recordDelivered(newest.size, oldestCommittedAt);
    // `#conflate` has set an entry for each of these users.
    return Array.from(newest, ([id, pendingChange]) =>
      pendingChange.withPreviousStatus(lastDelivered.get(id) as Status | null),
    );
  }

  /** The snapshot at first, then changes. For the stream. */
  takeNext(): Promise<readonly StatusChange[]> | readonly StatusChange[] | null {
    return this.#isSnapshotTaken ? this.takeChanges() : this.takeSnapshot();
  }

  /** Ends the watcher and releases its watches. */
  onClosed(): void {
    this.#watchers.removeWatcher(this);
    this.#limit?.releaseWatches(this.userIds.length);
  }

  /** The newest change of each user. Sets the last delivered status of each user that has none yet. */
  #conflate(pending: readonly PendingChange[], lastDelivered: Map<UserId, Status | null>): Map<UserId, PendingChange> {
    const newest = new Map<UserId, PendingChange>();
    for (const pendingChange of pending) {
      const { userId, previousStatus } = pendingChange.change;
      newest.set(userId, pendingChange);
      if (!lastDelivered.has(userId)) lastDelivered.set(userId, previousStatus);
    }
    this.#watchers.recordConflated(pending.length - newest.size);
    return newest;
  }
}

const isChangeSuperseded = ({ isSuperseded }: PendingChange): boolean => isSuperseded;
const toStatusChange = ({ change }: PendingChange): StatusChange => change;
