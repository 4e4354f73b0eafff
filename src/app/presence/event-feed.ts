/**
 * The event log as a stream: replay, then live, without gap or repeat. A follower is nothing but a
 * position in the log, so replay and live are the same act, and a slow one costs no memory.
 */
import { DomainError } from '../../core/errors.ts';
import type { Cursor, Millis } from '../../core/ids.ts';
import type { LoggedEvent, PresenceStore } from '../ports/presence-store.ts';
import { PullStream, type StreamSource } from './pull-stream.ts';

export interface EventFeedLimits {
  /** Events in one list, but for the rest of a change that does not fit. */
  readonly batchSize: number;
  /** How many events a follower who had caught up may leave unread. */
  readonly maxUnreadEvents: number;
  /** How long, in ms, a follower may leave a list unread while others wait. */
  readonly maxUnreadMs: number;
}

export const DEFAULT_EVENT_FEED_LIMITS: EventFeedLimits = {
  batchSize: 250,
  maxUnreadEvents: 10_000,
  maxUnreadMs: 30_000,
};

export class EventFeed {
  readonly #store: PresenceStore;
  readonly #limits: EventFeedLimits;
  readonly #subscribers = new Set<FeedSubscriber>();

  constructor(store: PresenceStore, limits: EventFeedLimits = DEFAULT_EVENT_FEED_LIMITS) {
    this.#store = store;
    this.#limits = limits;
    store.onCommit((changes) => {
      if (this.#subscribers.size === 0) return;
      const count = changes.reduce((sum, { events }) => sum + events.length, 0);
      for (const follower of this.#subscribers) follower.onEventsCommitted(count);
    });
  }

  /** How many follow. */
  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  /**
   * Every event after `after`, in the order of the log; without it, every event from now on. The lists
   * never split a change. Ends when the reader returns; a reader who is too slow is told so by
   * `onTooSlow`, her stream ends with OVERLOADED, and she resumes with her last cursor.
   * @throws BAD_USER_INPUT, CURSOR_EXPIRED for a cursor that does not serve, before anything is told.
   */
  async subscribe(after: Cursor | null, onTooSlow: () => void): Promise<PullStream<readonly LoggedEvent[]>> {
    const start = after ?? (await this.#store.eventLog.getLatestCursor());
    const first = await this.#store.eventLog.readEvents({ after: start, limit: 1 });
    const follower = new FeedSubscriber(this.#store, this.#limits, start, first.events.length === 0, onTooSlow, () =>
      this.#subscribers.delete(follower),
    );
    this.#subscribers.add(follower);
    return follower.stream;
  }
}

class FeedSubscriber implements StreamSource<readonly LoggedEvent[]> {
  readonly stream: PullStream<readonly LoggedEvent[]>;
  readonly onClosed: () => void;
  readonly #store: PresenceStore;
  readonly #limits: EventFeedLimits;
  readonly #onTooSlow: () => void;
  #position: Cursor;
  #caughtUp: boolean;
  /** Events committed since the last list was handed out. */
  #unreadEvents = 0;
  /** Since when events wait for a pull; null while none do. */
  #unreadSince: Millis | null;

  constructor(
    store: PresenceStore,
    limits: EventFeedLimits,
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
    this.onClosed = closed;
    this.#unreadSince = caughtUp ? null : store.now();
    this.stream = new PullStream(this);
  }

  onEventsCommitted(count: number): void {
    if (!this.stream.isPullPending) {
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
    this.stream.notifyAvailable();
  }

  async takeNext(): Promise<readonly LoggedEvent[] | null> {
    const page = await this.#store.eventLog.readEvents({
      after: this.#position,
      limit: this.#limits.batchSize,
      wholeChanges: true,
    });
    const last = page.events.at(-1);
    this.#caughtUp = !page.hasMore;
    this.#unreadEvents = 0;
    this.#unreadSince = page.hasMore ? this.#store.now() : null;
    if (last === undefined) return null;
    this.#position = last.cursor;
    return page.events;
  }

  #isTooSlow(more: number): boolean {
    const now = this.#store.now();
    this.#unreadEvents += more;
    this.#unreadSince ??= now;
    if (this.#caughtUp && this.#unreadEvents > this.#limits.maxUnreadEvents) return true;
    return now - this.#unreadSince > this.#limits.maxUnreadMs;
  }
}
