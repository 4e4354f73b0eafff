/**
 * Everyone who is not OFFLINE, as last committed: who they are, how many, when to look at each again.
 *
 * Everybody is kept as bytes, by slot. Whoever has a socket, and those used last, are held as objects as
 * well; while one is held, the object is what counts, and it becomes bytes again when it is let go.
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
const EXAMINED_AT_ONCE = 4_096;
/** Likewise, where users must be read to know. */
const READ_AT_ONCE = 512;
/** Users without a socket who are held: some thousand a second are heard of, one request after another. */
const HELD_WITHOUT_SOCKET = 16_384;

/** A user as an object. */
interface Held {
  readonly slot: number;
  user: UserRecord;
  /** Has she changed since she was bytes? */
  changed: boolean;
  /** Was she used since she was last passed over? */
  used: boolean;
  /** Is she one of those who may be let go? */
  loose: boolean;
}

export class Present {
  readonly #packed = new PackedUsers();
  readonly #held = new Map<UserId, Held>();
  /** Those held without a socket, in a ring: the first not used since the hand came by is let go. */
  readonly #loose: Held[] = [];
  readonly #room: number;
  #hand = 0;
  readonly #wheel: TimerWheel;
  readonly #counts = {
    usersOnline: 0,
    usersPushOnline: 0,
    sessions: Object.fromEntries(PLATFORMS.map((platform) => [platform, { online: 0, pushOnline: 0 }])) as Record<
      Platform,
      { online: number; pushOnline: number }
    >,
  };

  constructor(now: Millis, heldWithoutSocket = HELD_WITHOUT_SOCKET) {
    this.#wheel = new TimerWheel(now);
    this.#room = heldWithoutSocket;
  }

  /** A user who is loaded, as yet without sessions. She is in force when they have followed. */
  load(user: UserRecord): void {
    this.#packed.add(user);
    this.#countUser(user.status, 1);
  }

  /** Those of a chunk, each to be loaded before the next one is looked at. */
  sessionsIn(chunk: SessionChunk): Iterable<PackedSession> {
    return this.#packed.sessionsIn(chunk);
  }

  /** Of a user who was loaded. Otherwise it is ignored: she is OFFLINE. */
  loadSession(session: PackedSession): void {
    const slot = this.#packed.find(session.userId);
    if (slot < 0) return;
    this.#packed.addSession(slot, session, this.#countOne);
    this.#wheel.armFor(slot, session.deadline);
  }

  get(id: UserId): UserRecord | undefined {
    const held = this.#held.get(id);
    if (held !== undefined) {
      held.used = true;
      return held.user;
    }
    const slot = this.#packed.find(id);
    if (slot < 0) return undefined;
    const user = this.#packed.read(slot);
    this.#hold({ slot, user, changed: false, used: false, loose: false });
    return user;
  }

  /** The user as she is from now on. Ends the claim on her. */
  put(user: UserRecord, sleeps = NO_SLEEPS): void {
    const held = this.#held.get(user.id);
    const slot = held?.slot ?? this.#packed.find(user.id);
    if (held?.user !== user) {
      if (slot >= 0) this.#uncount(slot, held);
      if (user.status === 'OFFLINE') {
        if (slot >= 0) this.#remove(slot, user.id);
        return;
      }
      this.#count(user, 1);
    }
    this.#arm(this.#replace(slot, held, user), user, sleeps);
  }

  /** @returns a copy. */
  counts(): PresenceCounts {
    return structuredClone(this.#counts);
  }

  /** One slice of looking for users who are due; the caller lets others have their turn in between. */
  takeDue(now: Millis, limit: number, sleeps = NO_SLEEPS): { readonly ids: readonly UserId[]; readonly more: boolean } {
    if (sleeps.length > 0) return this.#takeDueAwake(now, Math.min(limit, READ_AT_ONCE), sleeps);
    const { slots, more } = this.#wheel.take(now, limit, EXAMINED_AT_ONCE);
    return { ids: slots.map((slot) => this.#packed.idOf(slot)), more };
  }

  /** The wheel knows of no sleep: a million who were not silent are set on here, at a fraction of what waking them costs. */
  #takeDueAwake(now: Millis, limit: number, sleeps: ProcessPauses): ReturnType<Present['takeDue']> {
    const { slots, more } = this.#wheel.take(now, limit, EXAMINED_AT_ONCE);
    const ids: UserId[] = [];
    for (const slot of slots) {
      const id = this.#packed.idOf(slot);
      const user = this.#held.get(id)?.user ?? this.#packed.read(slot);
      if ((deadline(user, sleeps) ?? now) <= now) ids.push(id);
      else this.#arm(slot, user, sleeps);
    }
    return { ids, more };
  }

  /** @returns her slot. */
  #replace(slot: number, held: Held | undefined, user: UserRecord): number {
    if (held !== undefined) {
      if (held.user !== user) {
        held.user = user;
        held.changed = true;
      }
      if (!held.loose && !hasSocket(user)) this.#loosen(held);
      return slot;
    }
    const own = slot >= 0 ? slot : this.#packed.add(user);
    this.#hold({ slot: own, user, changed: slot >= 0, used: false, loose: false });
    return own;
  }

  #arm(slot: number, user: UserRecord, sleeps: ProcessPauses): void {
    const at = deadline(user, sleeps);
    if (at === null) this.#wheel.disarm(slot);
    else this.#wheel.arm(slot, at);
  }

  #remove(slot: number, id: UserId): void {
    const held = this.#held.get(id);
    // Her place in the ring is taken by the next one who comes by there.
    if (held !== undefined) held.used = false;
    this.#held.delete(id);
    this.#wheel.disarm(slot);
    this.#packed.remove(slot);
  }

  #hold(held: Held): void {
    this.#held.set(held.user.id, held);
    if (!hasSocket(held.user)) this.#loosen(held);
  }

  /** Finds her a place in the ring; somebody else is let go for that once there is no other. */
  #loosen(held: Held): void {
    held.loose = true;
    if (this.#loose.length < this.#room) {
      this.#loose.push(held);
      return;
    }
    for (; ; this.#hand = (this.#hand + 1) % this.#loose.length) {
      const other = this.#loose[this.#hand] as Held;
      const isHeld = this.#held.get(other.user.id) === other;
      if (isHeld && hasSocket(other.user)) other.loose = false;
      else if (isHeld && other.used) {
        other.used = false;
        continue;
      } else if (isHeld) this.#letGo(other);
      this.#loose[this.#hand] = held;
      this.#hand = (this.#hand + 1) % this.#loose.length;
      return;
    }
  }

  #letGo({ slot, user, changed }: Held): void {
    if (changed) this.#packed.replace(slot, user);
    this.#held.delete(user.id);
  }

  #count(user: UserRecord, by: 1 | -1): void {
    this.#countUser(user.status, by);
    for (const { platform, status } of user.sessions) this.#countSession(platform, status, by);
  }

  #uncount(slot: number, held: Held | undefined): void {
    if (held !== undefined) this.#count(held.user, -1);
    else this.#countUser(this.#packed.tally(slot, this.#uncountSession), -1);
  }

  readonly #countOne = (platform: Platform, status: LiveStatus): void => this.#countSession(platform, status, 1);
  readonly #uncountSession = (platform: Platform, status: LiveStatus): void => this.#countSession(platform, status, -1);

  #countUser(status: Status, by: 1 | -1): void {
    if (status === 'ONLINE') this.#counts.usersOnline += by;
    else if (status === 'PUSH_ONLINE') this.#counts.usersPushOnline += by;
  }

  #countSession(platform: Platform, status: LiveStatus, by: 1 | -1): void {
    const of = this.#counts.sessions[platform];
    if (status === 'ONLINE') of.online += by;
    else of.pushOnline += by;
  }
}

const hasSocket = ({ sessions }: UserRecord): boolean => {
  for (const session of sessions) if (isAttached(session)) return true;
  return false;
};
