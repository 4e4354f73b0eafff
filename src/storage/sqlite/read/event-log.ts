/**
 * The log as it is told: events get their place in it when they are committed. The latest ones are
 * kept in memory, so that those who follow the log live do not touch the disk.
 */
import type {
  EventLog,
  LoggedEvent,
  EventLogPage,
  EventLogQuery,
  EventLogScan,
  EventLogScanResult,
} from '../../../app/ports/presence-store.ts';
import { DomainError } from '../../../core/errors.ts';
import type { Cursor, UserId } from '../../../core/ids.ts';
import type { PresenceEvent } from '../../../core/records.ts';
import { CursorCodec, foreignCursorError } from '../schema/cursors.ts';
import type { DatabaseReader } from './reader.ts';
import { eventFromRow, type SqlRow } from '../schema/rows.ts';

export class SqliteEventLog implements EventLog {
  readonly #reader: DatabaseReader;
  readonly #cursors: CursorCodec;
  /** Refuses, once the store is closed. */
  readonly #assertOpen: () => void;
  /** The event `seq` and its changeSeq stand at `seq % length`, while it is among the latest. */
  readonly #recentEvents: (PresenceEvent | undefined)[];
  readonly #recentChangeSeqs: Float64Array;
  /** Likewise the event as it is told, once somebody has asked for it. */
  readonly #recentLoggedEvents: (LoggedEvent | undefined)[];
  /** No event up to this one was ever in memory. */
  readonly #startSeq: number;
  #lastSeq: number;
  #purgedThrough: number;

  /** @param recentEventCount how many of the latest events are kept in memory. */
  constructor(reader: DatabaseReader, logId: string, recentEventCount: number, assertOpen: () => void) {
    this.#reader = reader;
    this.#cursors = new CursorCodec(logId);
    this.#assertOpen = assertOpen;
    this.#recentEvents = new Array<PresenceEvent | undefined>(recentEventCount);
    this.#recentChangeSeqs = new Float64Array(recentEventCount);
    this.#recentLoggedEvents = new Array<LoggedEvent | undefined>(recentEventCount);
    this.#lastSeq = this.#startSeq = reader.readLastSeq();
    this.#purgedThrough = reader.readPurgedThrough();
  }

  /** The seq of the last event that is committed. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Takes in the events of one change that was committed, in order. */
  appendCommitted(events: readonly PresenceEvent[]): void {
    const changeSeq = this.#lastSeq + 1;
    for (const event of events) {
      const ringIndex = ++this.#lastSeq % this.#recentEvents.length;
      this.#recentEvents[ringIndex] = event;
      this.#recentChangeSeqs[ringIndex] = changeSeq;
      this.#recentLoggedEvents[ringIndex] = undefined;
    }
  }

  /** Events up to `seq` were removed. */
  setPurgedThrough(seq: number): void {
    this.#purgedThrough = Math.max(this.#purgedThrough, seq);
  }

  async getLatestCursor(): Promise<Cursor> {
    this.#assertOpen();
    return this.#cursors.encodeCursor(this.#lastSeq);
  }

  async readEvents(query: EventLogQuery): Promise<EventLogPage> {
    const after = this.#resolveStart(query.after);
    return this.#isInMemory(after)
      ? collectPage(this.#iterateRecent(after, query), query)
      : this.#reader.readInTransaction(() => this.#readFromDatabase(after, query));
  }

  async scanEvents({ after, limit, matchesEvent: matching }: EventLogScan): Promise<EventLogScanResult> {
    const start = this.#resolveStart(after);
    const scan = new ScanProgress(start, limit);
    if (this.#isInMemory(start)) {
      for (let seq = start + 1; seq <= this.#lastSeq; seq++) {
        const ringIndex = seq % this.#recentEvents.length;
        const event = this.#recentEvents[ringIndex];
        if (event === undefined || !scan.tryAdvance(seq, this.#recentChangeSeqs[ringIndex] ?? seq)) break;
        if (matching(event)) scan.events.push(this.#recentLoggedEvent(seq, event));
      }
    } else {
      this.#reader.readInTransaction(() => {
        this.#assertNotPurged(after, start);
        for (const row of this.#reader.iterateEvents(start, this.#lastSeq, undefined)) {
          const [seq, changeSeq] = row as [number, number];
          if (!scan.tryAdvance(seq, changeSeq)) break;
          const event = eventFromRow(row);
          if (matching(event)) scan.events.push(this.#toLoggedEvent(seq, changeSeq, event));
        }
      });
    }
    return {
      events: scan.events,
      scannedThrough: this.#cursors.encodeCursor(scan.through),
      hasMore: scan.through < this.#lastSeq,
    };
  }

  async readLatestEvents(userId: UserId, limit: number): Promise<readonly LoggedEvent[]> {
    this.#assertOpen();
    // What is committed and not told yet is not there yet.
    return this.#reader.readLatestEvents(userId, this.#lastSeq, limit).map((row) => this.#loggedEventFromRow(row));
  }

  /** The seq that reading starts after. */
  #resolveStart(cursor: Cursor | null): number {
    this.#assertOpen();
    const after = cursor === null ? this.#purgedThrough : this.#cursors.decodeCursor(cursor);
    if (after > this.#lastSeq) throw foreignCursorError();
    if (after < this.#purgedThrough) throw cursorExpiredError();
    return after;
  }

  #isInMemory(after: number): boolean {
    return after >= Math.max(this.#startSeq, this.#lastSeq - this.#recentEvents.length);
  }

  *#iterateRecent(after: number, { userId }: EventLogQuery): Iterable<LoggedEvent> {
    for (let seq = after + 1; seq <= this.#lastSeq; seq++) {
      const event = this.#recentEvents[seq % this.#recentEvents.length];
      if (event !== undefined && (userId === undefined || event.userId === userId))
        yield this.#recentLoggedEvent(seq, event);
    }
  }

  /** Made when it is first asked for: nobody may follow, and many may follow at once. */
  #recentLoggedEvent(seq: number, event: PresenceEvent): LoggedEvent {
    const ringIndex = seq % this.#recentEvents.length;
    return (this.#recentLoggedEvents[ringIndex] ??= this.#toLoggedEvent(
      seq,
      this.#recentChangeSeqs[ringIndex] ?? seq,
      event,
    ));
  }

  /** The retention may have removed more by now than this thread has heard of. */
  #assertNotPurged(cursor: Cursor | null, after: number): void {
    if (cursor !== null && after < this.#reader.readPurgedThrough()) throw cursorExpiredError();
  }

  #readFromDatabase(after: number, query: EventLogQuery): EventLogPage {
    this.#assertNotPurged(query.after, after);
    return collectPage(this.#iterateStored(after, query), query);
  }

  *#iterateStored(after: number, { userId }: EventLogQuery): Iterable<LoggedEvent> {
    // What is committed and not told yet is not there yet.
    for (const row of this.#reader.iterateEvents(after, this.#lastSeq, userId)) {
      yield this.#loggedEventFromRow(row);
    }
  }

  #loggedEventFromRow(row: SqlRow): LoggedEvent {
    return this.#toLoggedEvent(row[0] as number, row[1] as number, eventFromRow(row));
  }

  #toLoggedEvent(seq: number, changeSeq: number, event: PresenceEvent): LoggedEvent {
    return { ...event, cursor: this.#cursors.encodeCursor(seq), changeId: this.#cursors.encodeChangeId(changeSeq) };
  }
}

/** Bounds how long one scan keeps the event loop: a few ms from the disk. */
const MAX_EVENTS_PER_SCAN = 1_000;

/** How far a scan has come: it ends between changes alone. */
class ScanProgress {
  readonly events: LoggedEvent[] = [];
  readonly #limit: number;
  #remaining = MAX_EVENTS_PER_SCAN;
  #changeSeq = 0;
  #through: number;

  constructor(after: number, limit: number) {
    this.#through = after;
    this.#limit = limit;
  }

  get through(): number {
    return this.#through;
  }

  /** Is the event to be looked at? */
  tryAdvance(seq: number, changeSeq: number): boolean {
    if (changeSeq !== this.#changeSeq && (this.#remaining <= 0 || this.events.length >= this.#limit)) return false;
    this.#changeSeq = changeSeq;
    this.#through = seq;
    this.#remaining--;
    return true;
  }
}

const collectPage = (
  following: Iterable<LoggedEvent>,
  { limit, wholeChanges = false }: EventLogQuery,
): EventLogPage => {
  const events: LoggedEvent[] = [];
  for (const event of following) {
    const isFull = events.length >= limit && !(wholeChanges && event.changeId === events.at(-1)?.changeId);
    if (isFull) return { events, hasMore: true };
    events.push(event);
  }
  return { events, hasMore: false };
};

export const cursorExpiredError = (): DomainError =>
  new DomainError(
    { code: 'CURSOR_EXPIRED' },
    'Events after this cursor are older than the retention and were removed. Start again from latestCursor.',
  );
