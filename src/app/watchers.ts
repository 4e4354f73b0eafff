/**
 * Who watches whom, and what each watcher has yet to be told: at most one change per watched user,
 * the newest, however slow the watcher is.
 */
import type { UserId } from '../core/ids.ts';
import { snapshotOf, type StatusChange } from '../core/record.ts';
import type { PresenceStore } from './ports.ts';
import { PullStream, type StreamSource } from './stream.ts';

export class Watchers {
  readonly #store: PresenceStore;
  readonly #watchersOf = new Map<UserId, Set<Watcher>>();

  constructor(store: PresenceStore) {
    this.#store = store;
    store.onCommit((changes) => {
      for (const { statusChange } of changes) if (statusChange !== null) this.#tell(statusChange);
    });
  }

  /** How many users somebody watches. */
  get watchedUsers(): number {
    return this.#watchersOf.size;
  }

  /**
   * The present status of all of them in one list, then the changes, in lists, as they come. Nobody is
   * told a change twice, nor an older one after a newer one; a reader who is slow gets the newest
   * status of each user. Asking for a user twice is asking once. Ends when the reader returns.
   */
  watch(ids: readonly UserId[]): PullStream<readonly StatusChange[]> {
    const watched = [...new Set(ids)];
    const watcher = new Watcher(watched, this.#store, () => this.#remove(watcher));
    for (const id of watched) {
      const others = this.#watchersOf.get(id);
      if (others) others.add(watcher);
      else this.#watchersOf.set(id, new Set([watcher]));
    }
    return watcher.stream;
  }

  #tell(change: StatusChange): void {
    const watchers = this.#watchersOf.get(change.userId);
    if (watchers) for (const watcher of watchers) watcher.hear(change);
  }

  #remove(watcher: Watcher): void {
    for (const id of watcher.watched) {
      const others = this.#watchersOf.get(id);
      if (others?.delete(watcher) && others.size === 0) this.#watchersOf.delete(id);
    }
  }
}

class Watcher implements StreamSource<readonly StatusChange[]> {
  readonly watched: readonly UserId[];
  readonly stream: PullStream<readonly StatusChange[]>;
  readonly closed: () => void;
  readonly #store: PresenceStore;
  #untold = new Map<UserId, StatusChange>();
  /** The versions of the first message; each is needed until a newer one is heard. */
  readonly #present = new Map<UserId, number>();
  #hasSnapshot = false;

  constructor(watched: readonly UserId[], store: PresenceStore, closed: () => void) {
    this.watched = watched;
    this.#store = store;
    this.closed = closed;
    this.stream = new PullStream(this);
  }

  hear(change: StatusChange): void {
    // A store may show a change before it calls its listeners: the first message has told it then.
    if (change.version <= (this.#present.get(change.userId) ?? 0)) return;
    this.#present.delete(change.userId);
    const earlier = this.#untold.get(change.userId);
    // What it changed from, for this watcher, is what she was last told.
    this.#untold.set(
      change.userId,
      earlier === undefined ? change : { ...change, previousStatus: earlier.previousStatus },
    );
    if (this.#hasSnapshot) this.stream.wake();
  }

  async take(): Promise<readonly StatusChange[] | null> {
    if (!this.#hasSnapshot) return this.#snapshot();
    if (this.#untold.size === 0) return null;
    const changes = [...this.#untold.values()];
    this.#untold = new Map();
    return changes;
  }

  /** Changes were listened to before the present is read: those it contains already are dropped. */
  async #snapshot(): Promise<readonly StatusChange[]> {
    const users = await this.#store.read(this.watched);
    for (const user of users) {
      const heard = this.#untold.get(user.id);
      if (heard !== undefined && heard.version > user.version) {
        this.#untold.set(user.id, { ...heard, previousStatus: user.status });
      } else {
        this.#untold.delete(user.id);
        this.#present.set(user.id, user.version);
      }
    }
    this.#hasSnapshot = true;
    return users.map(snapshotOf);
  }
}
