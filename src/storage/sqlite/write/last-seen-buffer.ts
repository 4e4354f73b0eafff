/**
 * Buffers last-seen times. Activity takes effect in memory at once and is written later. A crash loses the last-seen
 * times of some seconds.
 */
import type { UserId } from '../../../core/ids.ts';
import type { UserRecord } from '../../../core/records.ts';

/** Limits the time that one commit takes. */
const MAX_USERS_PER_COMMIT = 500;

export class LastSeenBuffer {
  readonly #unwritten = new Set<UserId>();
  /** Being written: their rows still have the old values. */
  readonly #writing = new Set<UserId>();
  readonly #getUser: (id: UserId) => UserRecord | undefined;
  readonly #writeUsers: (users: readonly UserRecord[]) => Promise<void>;

  /**
   * @param getUser returns the current record. Undefined if the user is OFFLINE, or if a change of theirs is being
   * written, which writes everything.
   */
  constructor(
    getUser: (id: UserId) => UserRecord | undefined,
    writeUsers: (users: readonly UserRecord[]) => Promise<void>,
  ) {
    this.#getUser = getUser;
    this.#writeUsers = writeUsers;
  }

  /** Records that the user has activity that is not written. */
  markUnwritten(id: UserId): void {
    this.#unwritten.add(id);
  }

  /** Returns whether the user has activity that is not on disk yet. */
  hasUnwritten(id: UserId): boolean {
    return this.#unwritten.has(id) || this.#writing.has(id);
  }

  /** Records that the current user record was written. */
  markWritten(id: UserId): void {
    this.#unwritten.delete(id);
  }

  /**
   * Writes all users that are unwritten at the time of the call, in portions.
   * @throws the error of `writeUsers`; the rest is written later in that case.
   */
  async flushAll(): Promise<void> {
    const ids = [...this.#unwritten];
    for (let start = 0; start < ids.length; start += MAX_USERS_PER_COMMIT) {
      await this.#flushUsers(ids.slice(start, start + MAX_USERS_PER_COMMIT));
    }
  }

  async #flushUsers(ids: readonly UserId[]): Promise<void> {
    const users: UserRecord[] = [];
    for (const id of ids) {
      const user = this.#unwritten.has(id) ? this.#getUser(id) : undefined;
      if (user === undefined) continue;
      // Removed before the write, so that activity during the write counts as new.
      this.#unwritten.delete(id);
      this.#writing.add(id);
      users.push(user);
    }
    if (users.length === 0) return;
    try {
      await this.#writeUsers(users);
    } catch (error) {
      for (const { id } of users) this.#unwritten.add(id);
      throw error;
    } finally {
      for (const { id } of users) this.#writing.delete(id);
    }
  }
}
