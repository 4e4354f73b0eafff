/**
 * Who watches whom, and what each watcher has yet to be told: at most one change per watched user,
 * the newest, however slow the watcher is.
 */
import type { Millis, UserId } from '../../core/ids.ts';
import { snapshotOf, type StatusChange } from '../../core/records.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import { PullStream, type StreamSource } from './pull-stream.ts';
import { SOON_MS, Tally } from '../shared/histogram.ts';
import type { Status } from '../../core/enums.ts';

/** Bounds how many users one client watches. */
export interface WatchLimit {
  /** @throws RATE_LIMITED for more than it may. */
  watches(users: number): void;
  watchesNoMore(users: number): void;
}

interface Watched {
  /** One text for all who watch her, each of whom came with her own. */
  readonly id: UserId;
  /** The change that its watchers heard last. */
  newest: News | null;
  /** Each with the version of this user that she was shown with the present; changes up to it are no news to her. */
  readonly watchers: Map<Watcher, number>;
}

export class Watchers {
  /** How long after its commit, in ms, the oldest change of each list was told: by then there was room for it. */
  readonly delays = new Tally(SOON_MS);
  readonly #store: PresenceStore;
  readonly #watched = new Map<UserId, Watched>();
  #count = 0;
  #told = 0;
  #conflated = 0;

  constructor(store: PresenceStore) {
    this.#store = store;
    store.onCommit((changes) => {
      if (this.#count === 0) return;
      const now = this.#store.now();
      for (const { statusChange } of changes) if (statusChange !== null) this.#tell(statusChange, now);
    });
  }

  /** How many watch somebody. */
  get count(): number {
    return this.#count;
  }

  /** Changes told since the start, each as often as somebody was told it. */
  get told(): number {
    return this.#told;
  }

  /** Changes that a watcher was not told since the start, because she was told a newer one of the same user instead. */
  get conflated(): number {
    return this.#conflated;
  }

  /** How many users somebody watches. */
  get watchedUsers(): number {
    return this.#watched.size;
  }

  /**
   * From now on nothing is missed. Asking for a user twice is asking once. Ends with `close`.
   * @param limit counts them, and is given them back; null: nobody does. @throws what it throws.
   */
  watch(ids: readonly UserId[], limit: WatchLimit | null = null): Watcher {
    const unique = new Set(ids);
    limit?.watches(unique.size);
    const all = Array.from(unique, (id) => this.#watchedUser(id));
    const watcher = new Watcher(
      this,
      all.map(({ id }) => id),
      limit,
    );
    for (const { watchers } of all) watchers.set(watcher, 0);
    this.#count++;
    return watcher;
  }

  /** The present of all that one watcher watches; what it shows is not told to her again. For `Watcher`. */
  async show(watcher: Watcher): ReturnType<PresenceStore['read']> {
    const users = await this.#store.read(watcher.ids);
    for (const { id, version } of users) {
      // A store may show a change before it calls its listeners.
      const watchers = this.#watched.get(id)?.watchers;
      if (watchers?.has(watcher) === true) watchers.set(watcher, version);
    }
    return users;
  }

  /** For `Watcher`: a list is told, the oldest change of which was committed at `since`. */
  tells(count: number, since: Millis): void {
    this.#told += count;
    this.delays.add(this.#store.now() - since);
  }

  /** For `Watcher`: so many changes have newer ones in their place. */
  leavesOut(count: number): void {
    this.#conflated += count;
  }

  /** For `Watcher`, once. */
  remove(watcher: Watcher): void {
    this.#count--;
    for (const id of watcher.ids) {
      const watchers = this.#watched.get(id)?.watchers;
      if (watchers?.delete(watcher) === true && watchers.size === 0) this.#watched.delete(id);
    }
  }

  #watchedUser(id: UserId): Watched {
    let watched = this.#watched.get(id);
    if (watched === undefined) this.#watched.set(id, (watched = { id, newest: null, watchers: new Map() }));
    return watched;
  }

  #tell(change: StatusChange, now: Millis): void {
    const watched = this.#watched.get(change.userId);
    if (watched === undefined) return;
    const news = new News(change, now);
    if (watched.newest !== null) watched.newest.superseded = true;
    watched.newest = news;
    for (const [watcher, shown] of watched.watchers) if (change.version > shown) watcher.hear(news);
  }
}

/** One change on its way to all of its watchers, who share it. */
class News {
  readonly change: StatusChange;
  /** When it was committed. */
  readonly at: Millis;
  /** The same watchers have heard of a newer one of the same user. */
  superseded = false;
  #others: StatusChange[] | null = null;

  constructor(change: StatusChange, at: Millis) {
    this.change = change;
    this.at = at;
  }

  /** The change for those who were last told `previous`: what it changed from, for them. */
  from(previous: Status | null): StatusChange {
    if (previous === this.change.previousStatus) return this.change;
    this.#others ??= [];
    let other = this.#others.find(({ previousStatus }) => previousStatus === previous);
    if (other === undefined) this.#others.push((other = { ...this.change, previousStatus: previous }));
    return other;
  }
}

/** How much longer than one change per user the list of what is untold may get before it is gone through. */
const ROOM = 4;

/**
 * The present status of all of them in one list, then the changes, in lists, as they come. Nobody is
 * told a change twice, nor an older one after a newer one; a reader who is slow gets the newest
 * status of each user. She pulls it as a stream, or has herself woken and takes it: `present` once, and
 * then `changes` whenever she likes. Changes are the same objects for all who are to be told the same.
 */
export class Watcher implements StreamSource<readonly StatusChange[]>, AsyncIterable<readonly StatusChange[]> {
  /** Each once. */
  readonly ids: readonly UserId[];
  readonly #watchers: Watchers;
  readonly #limit: WatchLimit | null;
  #reader: { wake(): void } | null = null;
  #isShown = false;
  #untold: News[] | null = null;
  /** What she was last told of those of whom changes have been left out since; null: of nobody. */
  #lastTold: Map<UserId, Status | null> | null = null;

  constructor(watchers: Watchers, ids: readonly UserId[], limit: WatchLimit | null) {
    this.#watchers = watchers;
    this.ids = ids;
    this.#limit = limit;
  }

  /** Pulled; ends when the reader returns. */
  [Symbol.asyncIterator](): PullStream<readonly StatusChange[]> {
    const stream = new PullStream(this);
    this.#reader = stream;
    return stream;
  }

  /** From now on `reader` is woken when there are changes, if there were none. Right away if there are some. */
  listen(reader: { wake(): void }): void {
    this.#reader = reader;
    if (this.#untold !== null) reader.wake();
  }

  /** For `Watchers`. */
  hear(news: News): void {
    if (this.#untold === null) {
      this.#untold = [news];
      if (this.#isShown) this.#reader?.wake();
      return;
    }
    this.#untold.push(news);
    if (this.#untold.length <= ROOM * this.ids.length) return;
    this.#lastTold ??= new Map();
    this.#untold = [...this.#conflated(this.#untold, this.#lastTold).values()];
  }

  /** The present, to be told before any change. Changes that it contains already are dropped. */
  async present(): Promise<readonly StatusChange[]> {
    const users = await this.#watchers.show(this);
    const shown = new Map(users.map((user) => [user.id, user]));
    const untold = this.#untold ?? [];
    this.#untold = null;
    this.#lastTold = null;
    for (const news of untold) {
      const user = shown.get(news.change.userId);
      if (user === undefined || news.change.version <= user.version) continue;
      (this.#untold ??= []).push(news);
      (this.#lastTold ??= new Map()).set(user.id, user.status);
    }
    this.#isShown = true;
    return users.map(snapshotOf);
  }

  /** What has changed since it was last asked; null: nothing. */
  changes(): readonly StatusChange[] | null {
    const untold = this.#untold;
    if (untold === null) return null;
    this.#untold = null;
    const since = (untold[0] as News).at;
    if (this.#lastTold === null && !untold.some(isSuperseded)) {
      this.#watchers.tells(untold.length, since);
      return untold.map(changeOf);
    }
    const lastTold = this.#lastTold ?? new Map<UserId, Status | null>();
    const newest = this.#conflated(untold, lastTold);
    this.#lastTold = null;
    this.#watchers.tells(newest.size, since);
    // She was told something of each of them.
    return Array.from(newest, ([id, news]) => news.from(lastTold.get(id) as Status | null));
  }

  take(): Promise<readonly StatusChange[]> | readonly StatusChange[] | null {
    return this.#isShown ? this.changes() : this.present();
  }

  /** She is told nothing more. */
  closed(): void {
    this.#watchers.remove(this);
    this.#limit?.watchesNoMore(this.ids.length);
  }

  /** The newest of each user. What is left out of them, she was never told. */
  #conflated(untold: readonly News[], lastTold: Map<UserId, Status | null>): Map<UserId, News> {
    const newest = new Map<UserId, News>();
    for (const news of untold) {
      const { userId, previousStatus } = news.change;
      newest.set(userId, news);
      if (!lastTold.has(userId)) lastTold.set(userId, previousStatus);
    }
    this.#watchers.leavesOut(untold.length - newest.size);
    return newest;
  }
}

const isSuperseded = ({ superseded }: News): boolean => superseded;
const changeOf = ({ change }: News): StatusChange => change;
