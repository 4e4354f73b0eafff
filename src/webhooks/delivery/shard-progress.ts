/**
 * How far one shard has read and delivered the log, and its isolated users. All changes go through `commit`, one after
 * another, so that the stored position never gets ahead of the stored deliveries.
 */
import type { Delivery, IsolatedUser } from '../../app/ports/webhook-store.ts';
import { addMs, type Cursor, type Millis, type UserId } from '../../core/ids.ts';
import { LeaseEndedError, type LeaseSession } from './lease-session.ts';

/** A position at which nothing was delivered is saved within this time. */
const MAX_POSITION_SAVE_INTERVAL_MS = 60_000;

/** A part of the log that was read. */
export interface ScannedPart {
  readonly scannedThrough: Cursor;
  /** The isolated users of whom it contains wanted events, with the last of these events. */
  readonly skipped: ReadonlyMap<UserId, Cursor>;
}

export interface ProgressChange {
  /** Its events are in `deliveries`, or skipped. */
  readonly scanned?: ScannedPart | undefined;
  readonly deliveries?: readonly Delivery[];
  /** Users who become isolated, or isolated users whose state changed. */
  readonly isolatedUsers?: readonly IsolatedUser[];
  readonly rejoinedUsers?: readonly UserId[];
}

export class ShardProgress {
  readonly #session: LeaseSession;
  /** Null: before the oldest event of the log. */
  #position: Cursor | null = null;
  #savedPosition: Cursor | null = null;
  #saveAt: Millis;
  readonly #isolated = new Map<UserId, IsolatedUser>();
  /** Isolated users whose state in memory is newer than the stored one. */
  readonly #unsaved = new Set<UserId>();
  /** The users whose events the shard skipped in what it read last, and did not commit yet. */
  #uncommittedSkips: ReadonlyMap<UserId, Cursor> = new Map();
  #lastCommit: Promise<void> = Promise.resolve();
  #isFailed = false;
  /** Called when there may be more to do for an isolated user. */
  onUserSkipped: (userId: UserId) => void = () => undefined;

  constructor(session: LeaseSession) {
    this.#session = session;
    this.#saveAt = session.deps.now();
  }

  get position(): Cursor | null {
    return this.#position;
  }

  /** When the position is saved next, even if nothing is delivered. */
  get saveAt(): Millis {
    return this.#saveAt;
  }

  get isolatedUserCount(): number {
    return this.#isolated.size;
  }

  listIsolatedUserIds(): readonly UserId[] {
    return [...this.#isolated.keys()];
  }

  findIsolatedUser(userId: UserId): IsolatedUser | undefined {
    return this.#isolated.get(userId);
  }

  /** @returns the delivery that the shard waits for. @throws LeaseEndedError */
  async restore(): Promise<Delivery | null> {
    const { webhookStore } = this.#session.deps;
    const failureMessage = 'Webhook delivery progress could not be read; the server retries.';
    const { position, pendingDelivery, isolatedUsers } = await this.#session.callStoreWithLease(
      failureMessage,
      (lease) => webhookStore.readProgress(lease),
    );
    this.#position = this.#savedPosition = position;
    for (const user of isolatedUsers) this.#isolated.set(user.userId, user);
    this.#scheduleSave();
    return pendingDelivery;
  }

  /**
   * Changes the state and stores it. `decide` is called when all earlier commits are stored.
   * @throws LeaseEndedError, also by all later commits.
   */
  commit(decide: () => ProgressChange): Promise<void> {
    const commit = this.#lastCommit.then(() => this.#save(decide));
    this.#lastCommit = commit.catch(() => {
      // What is in memory was not stored, so nothing that builds on it may be stored.
      this.#isFailed = true;
    });
    return commit;
  }

  /** The shard read this part and skips these events. Until it is committed or discarded, these users cannot rejoin. */
  holdSkips(skipped: ReadonlyMap<UserId, Cursor>): void {
    const before = this.#uncommittedSkips;
    this.#uncommittedSkips = skipped;
    for (const userId of before.keys()) this.onUserSkipped(userId);
  }

  /** Moves on behind a part without wanted events, and saves the position if that is due. @throws LeaseEndedError */
  async advanceTo(scanned: ScannedPart): Promise<void> {
    this.#applyScanned(scanned);
    if (this.#session.deps.now() < this.#saveAt) return;
    await this.commit(() => ({}));
    this.#scheduleSave();
  }

  /** Restarts before the oldest event; the new position is saved soon. */
  resetToOldest(): void {
    this.#position = null;
    this.#saveAt = this.#session.deps.now();
  }

  /** @returns whether the user is not isolated any more; false: skipped events wait for delivery. @throws LeaseEndedError */
  async rejoinUser(userId: UserId): Promise<boolean> {
    let isRejoined = false;
    await this.commit(() => {
      const user = this.#isolated.get(userId);
      isRejoined =
        user?.pendingDelivery === null && user.skippedThrough === null && !this.#uncommittedSkips.has(userId);
      return isRejoined ? { rejoinedUsers: [userId] } : {};
    });
    return isRejoined;
  }

  async #save(decide: () => ProgressChange): Promise<void> {
    if (this.#isFailed) throw new LeaseEndedError();
    const { scanned, deliveries = [], isolatedUsers = [], rejoinedUsers = [] } = decide();
    for (const user of isolatedUsers) {
      this.#isolated.set(user.userId, user);
      this.#unsaved.add(user.userId);
    }
    for (const userId of rejoinedUsers) {
      this.#isolated.delete(userId);
      this.#unsaved.delete(userId);
    }
    if (scanned !== undefined) this.#applyScanned(scanned);
    const position = this.#position;
    const isPositionNew = position !== null && position !== this.#savedPosition;
    const unsaved = [...this.#unsaved].flatMap((userId) => this.#isolated.get(userId) ?? []);
    this.#unsaved.clear();
    if (!isPositionNew && deliveries.length + unsaved.length + rejoinedUsers.length === 0) return;
    await this.#session.saveProgress({
      ...(isPositionNew ? { position } : {}),
      ...(deliveries.length > 0 ? { deliveries } : {}),
      ...(unsaved.length > 0 ? { isolatedUsers: unsaved } : {}),
      ...(rejoinedUsers.length > 0 ? { rejoinedUsers } : {}),
    });
    if (!isPositionNew) return;
    this.#savedPosition = position;
    this.#scheduleSave();
  }

  #applyScanned({ scannedThrough, skipped }: ScannedPart): void {
    this.#position = scannedThrough;
    for (const [userId, cursor] of skipped) {
      const user = this.#isolated.get(userId);
      if (user === undefined) continue;
      this.#isolated.set(userId, { ...user, skippedThrough: cursor });
      this.#unsaved.add(userId);
    }
    this.#uncommittedSkips = new Map();
    for (const userId of skipped.keys()) this.onUserSkipped(userId);
  }

  /** The random part spreads the writes of many shards. */
  #scheduleSave(): void {
    const { now, random } = this.#session.deps;
    this.#saveAt = addMs(now(), Math.ceil((MAX_POSITION_SAVE_INTERVAL_MS * (1 + random())) / 2));
  }
}
