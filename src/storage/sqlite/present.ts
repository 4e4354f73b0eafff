/** Everyone who is not OFFLINE, as last committed: who they are, how many, when to look at each again. */
import type { PresenceCounts } from '../../app/ports.ts';
import { deadline } from '../../core/deadline.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import type { UserRecord } from '../../core/record.ts';
import { TimerWheel } from '../timer-wheel.ts';
import { PLATFORMS, type Platform } from '../../core/vocabulary.ts';

/** What one slice of `claimDue` may look at: about a millisecond. */
const EXAMINED_AT_ONCE = 4_096;

export class Present {
  readonly #users = new Map<UserId, UserRecord>();
  readonly #wheel: TimerWheel<UserId>;
  readonly #counts = {
    usersOnline: 0,
    usersPushOnline: 0,
    sessions: Object.fromEntries(PLATFORMS.map((platform) => [platform, { online: 0, pushOnline: 0 }])) as Record<
      Platform,
      { online: number; pushOnline: number }
    >,
  };

  constructor(now: Millis) {
    this.#wheel = new TimerWheel(now);
  }

  get(id: UserId): UserRecord | undefined {
    return this.#users.get(id);
  }

  /** The user as she is from now on. Ends the claim on her. */
  put(user: UserRecord): void {
    const before = this.#users.get(user.id);
    if (before !== user) {
      if (before !== undefined) this.#count(before, -1);
      if (user.status === 'OFFLINE') this.#users.delete(user.id);
      else {
        this.#users.set(user.id, user);
        this.#count(user, 1);
      }
    }
    const at = deadline(user);
    if (at === null) this.#wheel.disarm(user.id);
    else this.#wheel.arm(user.id, at);
  }

  /** @returns a copy. */
  counts(): PresenceCounts {
    return structuredClone(this.#counts);
  }

  /** One slice of looking for users who are due; the caller lets others have their turn in between. */
  takeDue(now: Millis, limit: number): { readonly ids: readonly UserId[]; readonly more: boolean } {
    return this.#wheel.take(now, limit, EXAMINED_AT_ONCE, (id) => {
      const user = this.#users.get(id);
      return user === undefined ? null : deadline(user);
    });
  }

  #count(user: UserRecord, by: 1 | -1): void {
    if (user.status === 'ONLINE') this.#counts.usersOnline += by;
    else if (user.status === 'PUSH_ONLINE') this.#counts.usersPushOnline += by;
    for (const session of user.sessions) {
      const of = this.#counts.sessions[session.platform];
      if (session.status === 'ONLINE') of.online += by;
      else of.pushOnline += by;
    }
  }
}
