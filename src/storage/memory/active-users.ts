/**
 * All users who are not OFFLINE, as last committed: their records, their counts and the timers of their deadlines.
 *
 * Every user is stored as packed bytes in a slot. Users with a socket, and the most recently used others, are also
 * cached as objects. While a user is cached, the object is authoritative; it is packed again when it is evicted.
 */
import type { PresenceCounts } from '../../app/ports/presence-store.ts';
import { computeUserDeadline } from '../../core/deadlines.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import { hasOpenSocket, type UserRecord } from '../../core/records.ts';
import { NO_PAUSES, type ProcessPauses } from '../../core/process-pauses.ts';
import { PLATFORMS, type LiveStatus, type Platform, type Status } from '../../core/enums.ts';
import { PackedUsers } from './packed/packed-users.ts';
import type { PackedSession, SessionChunk } from './packed/session-chunks.ts';
import { TimerWheel } from './timer-wheel.ts';

/** Most timer slots that one call of `takeDueUsers` examines: about 1 ms of work. */
const MAX_SLOTS_EXAMINED = 4_096;
/** Same limit where each user must be read to know whether they are due. */
const MAX_USERS_READ = 512;
/**
 * Cached users without a socket. A busy server handles about a thousand such users a second, each with several
 * requests in a row.
 */
const DEFAULT_EVICTABLE_CAPACITY = 16_384;

/** A user cached as an object. */
interface CachedUser {
  readonly slot: number;
  user: UserRecord;
  /** Has the user changed since they were last packed? */
  isDirty: boolean;
  /** Was the user read since the ring hand last passed? */
  wasUsed: boolean;
  /** Is the user in the ring of evictable users? */
  isEvictable: boolean;
}

export class ActiveUsers {
  readonly #packed = new PackedUsers();
  readonly #cache = new Map<UserId, CachedUser>();
  /**
   * Cached users without a socket, in a ring (CLOCK algorithm). The first one not used since the hand last passed is
   * evicted.
   */
  readonly #evictableRing: CachedUser[] = [];
  readonly #evictableCapacity: number;
  #ringHand = 0;
  readonly #timers: TimerWheel;
  readonly #counts = {
    usersOnline: 0,
    usersPushOnline: 0,
    sessions: Object.fromEntries(PLATFORMS.map((platform) => [platform, { online: 0, pushOnline: 0 }])) as Record<
      Platform,
      { online: number; pushOnline: number }
    >,
  };

  constructor(now: Millis, evictableCapacity = DEFAULT_EVICTABLE_CAPACITY) {
    this.#timers = new TimerWheel(now);
    this.#evictableCapacity = evictableCapacity;
  }

  /** Adds a user at startup, without sessions. The user is complete when their sessions have been loaded. */
  loadUser(user: UserRecord): void {
    this.#packed.addUser(user);
    this.#adjustUserCount(user.status, 1);
  }

  /** Returns the sessions of a chunk. Load each one before the next is read. */
  readChunkSessions(chunk: SessionChunk): Iterable<PackedSession> {
    return this.#packed.readChunkSessions(chunk);
  }

  /** Adds a session to a loaded user. Ignores the session if the user is not loaded: the user is OFFLINE. */
  loadSession(session: PackedSession): void {
    const slot = this.#packed.findSlot(session.userId);
    if (slot < 0) return;
    this.#packed.addSession(slot, session, this.#addSessionCount);
    this.#timers.scheduleEarliest(slot, session.deadline);
  }

  /** Returns the last stored record. Undefined if the user is OFFLINE. */
  getUser(id: UserId): UserRecord | undefined {
    const cached = this.#cache.get(id);
    if (cached !== undefined) {
      cached.wasUsed = true;
      return cached.user;
    }
    const slot = this.#packed.findSlot(id);
    if (slot < 0) return undefined;
    const user = this.#packed.readUser(slot);
    this.#cacheUser({ slot, user, isDirty: false, wasUsed: false, isEvictable: false });
    return user;
  }

  /** Stores the new record of a user, sets their timer and ends the claim on them. An OFFLINE user is removed. */
  putUser(user: UserRecord, pauses = NO_PAUSES): void {
    const cached = this.#cache.get(user.id);
    const slot = cached?.slot ?? this.#packed.findSlot(user.id);
    if (cached?.user !== user) {
      if (slot >= 0) this.#subtractCounts(slot, cached);
      if (user.status === 'OFFLINE') {
        if (slot >= 0) this.#removeUser(slot, user.id);
        return;
      }
      this.#adjustCounts(user, 1);
    }
    this.#scheduleTimer(this.#storeUser(slot, cached, user), user, pauses);
  }

  /** Returns a copy of the counts. */
  getPresenceCounts(): PresenceCounts {
    return structuredClone(this.#counts);
  }

  /** Takes up to `limit` due users in one bounded slice. If `hasMore`, call it again after a turn of the event loop. */
  takeDueUsers(
    now: Millis,
    limit: number,
    pauses = NO_PAUSES,
  ): { readonly ids: readonly UserId[]; readonly hasMore: boolean } {
    if (pauses.length > 0) return this.#takeDueAfterPauses(now, Math.min(limit, MAX_USERS_READ), pauses);
    const { slots, hasMore } = this.#timers.takeDueSlots(now, limit, MAX_SLOTS_EXAMINED);
    return { ids: slots.map((slot) => this.#packed.readUserId(slot)), hasMore };
  }

  /**
   * The timer wheel does not know about process pauses. Users whose deadline moved because of a pause are rescheduled
   * here, which is far cheaper than expiring them.
   */
  #takeDueAfterPauses(now: Millis, limit: number, pauses: ProcessPauses): ReturnType<ActiveUsers['takeDueUsers']> {
    const { slots, hasMore } = this.#timers.takeDueSlots(now, limit, MAX_SLOTS_EXAMINED);
    const ids: UserId[] = [];
    for (const slot of slots) {
      const id = this.#packed.readUserId(slot);
      const user = this.#cache.get(id)?.user ?? this.#packed.readUser(slot);
      if ((computeUserDeadline(user, pauses) ?? now) <= now) ids.push(id);
      else this.#scheduleTimer(slot, user, pauses);
    }
    return { ids, hasMore };
  }

  /** @returns the slot of the user. */
  #storeUser(slot: number, cached: CachedUser | undefined, user: UserRecord): number {
    if (cached !== undefined) {
      if (cached.user !== user) {
        cached.user = user;
        cached.isDirty = true;
      }
      if (!cached.isEvictable && !hasSocket(user)) this.#makeEvictable(cached);
      return slot;
    }
    const own = slot >= 0 ? slot : this.#packed.addUser(user);
    this.#cacheUser({ slot: own, user, isDirty: slot >= 0, wasUsed: false, isEvictable: false });
    return own;
  }

  #scheduleTimer(slot: number, user: UserRecord, pauses: ProcessPauses): void {
    const at = computeUserDeadline(user, pauses);
    if (at === null) this.#timers.cancel(slot);
    else this.#timers.schedule(slot, at);
  }

  #removeUser(slot: number, id: UserId): void {
    const cached = this.#cache.get(id);
    // The ring entry is replaced when the hand reaches it.
    if (cached !== undefined) cached.wasUsed = false;
    this.#cache.delete(id);
    this.#timers.cancel(slot);
    this.#packed.removeUser(slot);
  }

  #cacheUser(cached: CachedUser): void {
    this.#cache.set(cached.user.id, cached);
    if (!hasSocket(cached.user)) this.#makeEvictable(cached);
  }

  /** Adds a cached user to the ring of evictable users. If the ring is full, evicts another user. */
  #makeEvictable(cached: CachedUser): void {
    cached.isEvictable = true;
    if (this.#evictableRing.length < this.#evictableCapacity) {
      this.#evictableRing.push(cached);
      return;
    }
    for (; ; this.#ringHand = (this.#ringHand + 1) % this.#evictableRing.length) {
      const other = this.#evictableRing[this.#ringHand] as CachedUser;
      const isCached = this.#cache.get(other.user.id) === other;
      if (isCached && hasSocket(other.user)) other.isEvictable = false;
      else if (isCached && other.wasUsed) {
        other.wasUsed = false;
        continue;
      } else if (isCached) this.#evict(other);
      this.#evictableRing[this.#ringHand] = cached;
      this.#ringHand = (this.#ringHand + 1) % this.#evictableRing.length;
      return;
    }
  }

  #evict({ slot, user, isDirty }: CachedUser): void {
    if (isDirty) this.#packed.replaceUser(slot, user);
    this.#cache.delete(user.id);
  }

  #adjustCounts(user: UserRecord, by: 1 | -1): void {
    this.#adjustUserCount(user.status, by);
    for (const { platform, status } of user.sessions) this.#adjustSessionCount(platform, status, by);
  }

  #subtractCounts(slot: number, cached: CachedUser | undefined): void {
    if (cached !== undefined) this.#adjustCounts(cached.user, -1);
    else this.#adjustUserCount(this.#packed.countSessionsOfSlot(slot, this.#subtractSessionCount), -1);
  }

  readonly #addSessionCount = (platform: Platform, status: LiveStatus): void =>
    this.#adjustSessionCount(platform, status, 1);
  readonly #subtractSessionCount = (platform: Platform, status: LiveStatus): void =>
    this.#adjustSessionCount(platform, status, -1);

  #adjustUserCount(status: Status, by: 1 | -1): void {
    if (status === 'ONLINE') this.#counts.usersOnline += by;
    else if (status === 'PUSH_ONLINE') this.#counts.usersPushOnline += by;
  }

  #adjustSessionCount(platform: Platform, status: LiveStatus, by: 1 | -1): void {
    const counts = this.#counts.sessions[platform];
    if (status === 'ONLINE') counts.online += by;
    else counts.pushOnline += by;
  }
}

const hasSocket = ({ sessions }: UserRecord): boolean => {
  for (const session of sessions) if (hasOpenSocket(session)) return true;
  return false;
};
