/**
 * Everyone who is not OFFLINE, as last committed: who they are, how many, when to look at each again.
 *
 * Everybody is kept as bytes, by slot. Whoever has a socket, and those used last, are cached as objects as
 * well; while one is cached, the object is what counts, and it becomes bytes again when it is let go.
 */
import type { PresenceCounts } from '../../app/ports/presence-store.ts';
import { deadline } from '../../core/deadlines.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import { isAttached, type UserRecord } from '../../core/records.ts';
import { NO_SLEEPS, type ProcessPauses } from '../../core/process-pauses.ts';
import { PLATFORMS, type LiveStatus, type Platform, type Status } from '../../core/enums.ts';
import { PackedUsers } from './packed/packed-users.ts';
import type { PackedSession, SessionChunk } from './packed/session-chunks.ts';
import { TimerWheel } from './timer-wheel.ts';

/** What one slice of `claimDue` may look at: about a millisecond. */
const MAX_SLOTS_EXAMINED = 4_096;
/** Likewise, where users must be read to know. */
const MAX_USERS_READ = 512;
/** Users without a socket who are cached: some thousand a second are heard of, one request after another. */
const DEFAULT_EVICTABLE_CAPACITY = 16_384;

/** A user as an object. */
interface CachedUser {
  readonly slot: number;
  user: UserRecord;
  /** Has she changed since she was bytes? */
  isDirty: boolean;
  /** Was she used since she was last passed over? */
  wasUsed: boolean;
  /** Is she one of those who may be let go? */
  isEvictable: boolean;
}

export class ActiveUsers {
  readonly #packed = new PackedUsers();
  readonly #cache = new Map<UserId, CachedUser>();
  /** Those cached without a socket, in a ring: the first not used since the hand came by is let go. */
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

  constructor(now: Millis, heldWithoutSocket = DEFAULT_EVICTABLE_CAPACITY) {
    this.#timers = new TimerWheel(now);
    this.#evictableCapacity = heldWithoutSocket;
  }

  /** A user who is loaded, as yet without sessions. She is in force when they have followed. */
  loadUser(user: UserRecord): void {
    this.#packed.addUser(user);
    this.#adjustUserCount(user.status, 1);
  }

  /** Those of a chunk, each to be loaded before the next one is looked at. */
  unpackSessions(chunk: SessionChunk): Iterable<PackedSession> {
    return this.#packed.unpackSessions(chunk);
  }

  /** Of a user who was loaded. Otherwise it is ignored: she is OFFLINE. */
  loadSession(session: PackedSession): void {
    const slot = this.#packed.findSlot(session.userId);
    if (slot < 0) return;
    this.#packed.addSession(slot, session, this.#addSessionCount);
    this.#timers.scheduleEarliest(slot, session.deadline);
  }

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

  /** The user as she is from now on. Ends the claim on her. */
  putUser(user: UserRecord, pauses = NO_SLEEPS): void {
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

  /** @returns a copy. */
  getPresenceCounts(): PresenceCounts {
    return structuredClone(this.#counts);
  }

  /** One slice of looking for users who are due; the caller lets others have their turn in between. */
  takeDueUsers(
    now: Millis,
    limit: number,
    pauses = NO_SLEEPS,
  ): { readonly ids: readonly UserId[]; readonly hasMore: boolean } {
    if (pauses.length > 0) return this.#takeDueAfterPauses(now, Math.min(limit, MAX_USERS_READ), pauses);
    const { slots, hasMore: more } = this.#timers.takeDueSlots(now, limit, MAX_SLOTS_EXAMINED);
    return { ids: slots.map((slot) => this.#packed.readUserId(slot)), hasMore: more };
  }

  /** The wheel knows of no sleep: a million who were not silent are set on here, at a fraction of what waking them costs. */
  #takeDueAfterPauses(now: Millis, limit: number, pauses: ProcessPauses): ReturnType<ActiveUsers['takeDueUsers']> {
    const { slots, hasMore: more } = this.#timers.takeDueSlots(now, limit, MAX_SLOTS_EXAMINED);
    const ids: UserId[] = [];
    for (const slot of slots) {
      const id = this.#packed.readUserId(slot);
      const user = this.#cache.get(id)?.user ?? this.#packed.readUser(slot);
      if ((deadline(user, pauses) ?? now) <= now) ids.push(id);
      else this.#scheduleTimer(slot, user, pauses);
    }
    return { ids, hasMore: more };
  }

  /** @returns her slot. */
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
    const at = deadline(user, pauses);
    if (at === null) this.#timers.cancel(slot);
    else this.#timers.schedule(slot, at);
  }

  #removeUser(slot: number, id: UserId): void {
    const cached = this.#cache.get(id);
    // Her place in the ring is taken by the next one who comes by there.
    if (cached !== undefined) cached.wasUsed = false;
    this.#cache.delete(id);
    this.#timers.cancel(slot);
    this.#packed.removeUser(slot);
  }

  #cacheUser(cached: CachedUser): void {
    this.#cache.set(cached.user.id, cached);
    if (!hasSocket(cached.user)) this.#makeEvictable(cached);
  }

  /** Finds her a place in the ring; somebody else is let go for that once there is no other. */
  #makeEvictable(cached: CachedUser): void {
    cached.isEvictable = true;
    if (this.#evictableRing.length < this.#evictableCapacity) {
      this.#evictableRing.push(cached);
      return;
    }
    for (; ; this.#ringHand = (this.#ringHand + 1) % this.#evictableRing.length) {
      const other = this.#evictableRing[this.#ringHand] as CachedUser;
      const isHeld = this.#cache.get(other.user.id) === other;
      if (isHeld && hasSocket(other.user)) other.isEvictable = false;
      else if (isHeld && other.wasUsed) {
        other.wasUsed = false;
        continue;
      } else if (isHeld) this.#evict(other);
      this.#evictableRing[this.#ringHand] = cached;
      this.#ringHand = (this.#ringHand + 1) % this.#evictableRing.length;
      return;
    }
  }

  #evict({ slot, user, isDirty: changed }: CachedUser): void {
    if (changed) this.#packed.replaceUser(slot, user);
    this.#cache.delete(user.id);
  }

  #adjustCounts(user: UserRecord, by: 1 | -1): void {
    this.#adjustUserCount(user.status, by);
    for (const { platform, status } of user.sessions) this.#adjustSessionCount(platform, status, by);
  }

  #subtractCounts(slot: number, cached: CachedUser | undefined): void {
    if (cached !== undefined) this.#adjustCounts(cached.user, -1);
    else this.#adjustUserCount(this.#packed.visitSessions(slot, this.#subtractSessionCount), -1);
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
  for (const session of sessions) if (isAttached(session)) return true;
  return false;
};
