/**
 * The event log as a stream: replay, then live, without gap or repeat. A follower is nothing but a
 * position in the log, so replay and live are the same act, and a slow one costs no memory.
 */
import { DomainError } from '../../core/errors.ts';
import type { Cursor, Millis } from '../../core/ids.ts';
import type { LoggedEvent, PresenceStore } from '../ports/presence-store.ts';
import { PullStream, type StreamSource } from './pull-stream.ts';

export interface FeedLimits {
  /** Events in one list, but for the rest of a change that does not fit. */
  readonly batch: number;
  /** How many events a follower who had caught up may leave unread. */
  readonly maxBehind: number;
  /** How long, in ms, a follower may leave a list unread while others wait. */
  readonly maxStallMs: number;
}

export const FEED_LIMITS: FeedLimits = { batch: 250, maxBehind: 10_000, maxStallMs: 30_000 };

export class Feed {
  readonly #store: PresenceStore;
  readonly #limits: FeedLimits;
  readonly #followers = new Set<Follower>();

  constructor(store: PresenceStore, limits: FeedLimits = FEED_LIMITS) {
    this.#store = store;
    this.#limits = limits;
    store.onCommit((changes) => {
      if (this.#followers.size === 0) return;
      const count = changes.reduce((sum, { events }) => sum + events.length, 0);
      for (const follower of this.#followers) follower.hear(count);
    });
  }

  /** How many follow. */
  get followers(): number {
    return this.#followers.size;
  }

  /**
   * Every event after `after`, in the order of the log; without it, every event from now on. The lists
   * never split a change. Ends when the reader returns; a reader who is too slow is told so by
   * `onTooSlow`, her stream ends with OVERLOADED, and she resumes with her last cursor.
   * @throws BAD_USER_INPUT, CURSOR_EXPIRED for a cursor that does not serve, before anything is told.
   */
  async follow(after: Cursor | null, onTooSlow: () => void): Promise<PullStream<readonly LoggedEvent[]>> {
    const start = after ?? (await this.#store.log.latestCursor());
    const first = await this.#store.log.read({ after: start, limit: 1 });
    const follower = new Follower(this.#store, this.#limits, start, first.events.length === 0, onTooSlow, () =>
      this.#followers.delete(follower),
    );
    this.#followers.add(follower);
    return follower.stream;
  }
}

class Follower implements StreamSource<readonly LoggedEvent[]> {
  readonly stream: PullStream<readonly LoggedEvent[]>;
  readonly closed: () => void;
  readonly #store: PresenceStore;
  readonly #limits: FeedLimits;
  readonly #onTooSlow: () => void;
  #position: Cursor;
  #caughtUp: boolean;
  /** Events committed since the last list was handed out. */
  #behind = 0;
  /** Since when events wait for a pull; null while none do. */
  #unreadSince: Millis | null;

  constructor(
    store: PresenceStore,
    limits: FeedLimits,
    start: Cursor,
    caughtUp: boolean,
    onTooSlow: () => void,
    closed: () => void,
  ) {
    this.#store = store;
    this.#limits = limits;
    this.#position = start;
    this.#caughtUp = caughtUp;
    this.#onTooSlow = onTooSlow;
    this.closed = closed;
    this.#unreadSince = caughtUp ? null : store.now();
    this.stream = new PullStream(this);
  }

  hear(count: number): void {
    if (!this.stream.waiting) {
      if (this.#isTooSlow(count)) {
        this.#onTooSlow();
        this.stream.end(
          new DomainError(
            { code: 'OVERLOADED', retryAfterMs: 0 },
            'You read more slowly than events happen. Resume with your last cursor.',
          ),
        );
        return;
      }
    }
    this.stream.wake();
  }

  async take(): Promise<readonly LoggedEvent[] | null> {
    const page = await this.#store.log.read({
      after: this.#position,
      limit: this.#limits.batch,
      wholeChanges: true,
    });
    const last = page.events.at(-1);
    this.#caughtUp = !page.hasMore;
    this.#behind = 0;
    this.#unreadSince = page.hasMore ? this.#store.now() : null;
    if (last === undefined) return null;
    this.#position = last.cursor;
    return page.events;
  }

  #isTooSlow(more: number): boolean {
    const now = this.#store.now();
    this.#behind += more;
    this.#unreadSince ??= now;
    if (this.#caughtUp && this.#behind > this.#limits.maxBehind) return true;
    return now - this.#unreadSince > this.#limits.maxStallMs;
  }
}
