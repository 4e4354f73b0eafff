/**
 * Signs of life are no events: they are in force at once, in memory alone, and written behind. What a
 * crash loses of them is when somebody was last seen, by some seconds.
 */
import type { UserId } from '../../../core/ids.ts';
import type { UserRecord } from '../../../core/records.ts';

/** Bounds the time that one commit takes. */
const MAX_USERS_PER_COMMIT = 500;

export class LastSeenBuffer {
  readonly #unwritten = new Set<UserId>();
  /** On their way to the disk: until they are there, their rows are as they were. */
  readonly #writing = new Set<UserId>();
  readonly #getUser: (id: UserId) => UserRecord | undefined;
  readonly #writeUsers: (users: readonly UserRecord[]) => Promise<void>;

  /**
   * @param getUser the user as she is; undefined when she is OFFLINE, or a change of hers is being
   * written, which writes everything.
   */
  constructor(
    getUser: (id: UserId) => UserRecord | undefined,
    writeUsers: (users: readonly UserRecord[]) => Promise<void>,
  ) {
    this.#getUser = getUser;
    this.#writeUsers = writeUsers;
  }

  /** Life was seen of her since she was last written. */
  markUnwritten(id: UserId): void {
    this.#unwritten.add(id);
  }

  /** Is there life of her that is not on the disk yet? */
  hasUnwritten(id: UserId): boolean {
    return this.#unwritten.has(id) || this.#writing.has(id);
  }

  /** She was written as she is. */
  markWritten(id: UserId): void {
    this.#unwritten.delete(id);
  }

  /** Writes, in portions, those there are by now. @throws what `write` throws; the rest is written later then. */
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
      // Before it is written, so that life seen meanwhile counts as new.
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
