/**
 * The event log as a stream: past events, then live ones, without a gap or a repetition. A subscriber is only a position
 * in the log, so past and live events are read in the same way, and a slow subscriber needs no memory.
 */
import { DomainError } from '../../core/errors.ts';
import type { Cursor, Millis } from '../../core/ids.ts';
import type { LoggedEvent, PresenceStore } from '../ports/presence-store.ts';
import { PullStream, type StreamSource } from './pull-stream.ts';

export interface EventFeedLimits {
  /** The maximum number of events in one list. The rest of the last change may exceed it. */
  readonly batchSize: number;
  /** How many events a subscriber who had caught up may leave unread. */
  readonly maxUnreadEvents: number;
  /** How long, in ms, a subscriber may leave events unread. */
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
      for (const subscriber of this.#subscribers) subscriber.onEventsCommitted(count);
    });
  }

  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  /**
   * Streams every event after `after`, in the order of the log; with null, every event from now on. A list never splits
   * a change. The stream ends when the reader returns. If the reader is too slow, `onTooSlow` is called and the
   * stream ends with OVERLOADED; the reader can resume with its last cursor.
   * @throws BAD_USER_INPUT or CURSOR_EXPIRED for an unusable cursor, before the stream starts.
   */
  async subscribe(after: Cursor | null, onTooSlow: () => void): Promise<PullStream<readonly LoggedEvent[]>> {
    const start = after ?? (await this.#store.eventLog.getLatestCursor());
    const first = await this.#store.eventLog.readEvents({ after: start, limit: 1 });
    const subscriber = new FeedSubscriber(this.#store, this.#limits, start, first.events.length === 0, onTooSlow, () =>
      this.#subscribers.delete(subscriber),
    );
    this.#subscribers.add(subscriber);
    return subscriber.stream;
  }
}

class FeedSubscriber implements StreamSource<readonly LoggedEvent[]> {
  readonly stream: PullStream<readonly LoggedEvent[]>;
  readonly onClosed: () => void;
  readonly #store: PresenceStore;
  readonly #limits: EventFeedLimits;
  readonly #onTooSlow: () => void;
  #position: Cursor;
  #isCaughtUp: boolean;
  /** Events committed since the last list was delivered. */
  #unreadEvents = 0;
  /** Since when unread events wait for a pull; null if there are none. */
  #unreadSince: Millis | null;

  constructor(
    store: PresenceStore,
    limits: EventFeedLimits,
    start: Cursor,
    isCaughtUp: boolean,
    onTooSlow: () => void,
    onClosed: () => void,
  ) {
    this.#store = store;
    this.#limits = limits;
    this.#position = start;
    this.#isCaughtUp = isCaughtUp;
    this.#onTooSlow = onTooSlow;
    this.onClosed = onClosed;
    this.#unreadSince = isCaughtUp ? null : store.now();
    this.stream = new PullStream(this);
  }

  onEventsCommitted(count: number): void {
    // While a pull is pending, the reader is not the one who is slow.
    if (!this.stream.isPullPending && this.#isTooSlow(count)) {
      this.#onTooSlow();
      this.stream.end(
        new DomainError(
          { code: 'OVERLOADED', retryAfterMs: 0 },
          'The client reads more slowly than events occur. Resume with the last cursor.',
        ),
      );
      return;
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
    this.#isCaughtUp = !page.hasMore;
    this.#unreadEvents = 0;
    this.#unreadSince = page.hasMore ? this.#store.now() : null;
    if (last === undefined) return null;
    this.#position = last.cursor;
    return page.events;
  }

  #isTooSlow(newEvents: number): boolean {
    const now = this.#store.now();
    this.#unreadEvents += newEvents;
    this.#unreadSince ??= now;
    if (this.#isCaughtUp && this.#unreadEvents > this.#limits.maxUnreadEvents) return true;
    return now - this.#unreadSince > this.#limits.maxUnreadMs;
  }
}
