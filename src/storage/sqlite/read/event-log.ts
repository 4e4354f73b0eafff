/**
 * The event log as readers see it: an event enters it after its commit. The latest events are kept in memory, so that
 * live readers do not touch the disk.
 */
import type {
  EventLog,
  LoggedEvent,
  EventLogPage,
  EventLogQuery,
  EventLogScanQuery,
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
  /** @throws StoreUnavailableError after the store was closed or has failed. */
  readonly #assertOpen: () => void;
  /** Ring buffers: event `seq` and its changeSeq are at index `seq % length` while the event is among the latest. */
  readonly #recentEvents: (PresenceEvent | undefined)[];
  readonly #recentChangeSeqs: Float64Array;
  /** The same events as LoggedEvent, created when first requested. */
  readonly #recentLoggedEvents: (LoggedEvent | undefined)[];
  /** The last seq at startup. Events up to it were never in memory. */
  readonly #startSeq: number;
  #lastSeq: number;
  #purgedThrough: number;

  /** @param recentEventCount number of latest events kept in memory. */
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

  /** The seq of the last committed event. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Appends the events of one committed change, in order. */
  appendCommitted(events: readonly PresenceEvent[]): void {
    const changeSeq = this.#lastSeq + 1;
    for (const event of events) {
      const ringIndex = ++this.#lastSeq % this.#recentEvents.length;
      this.#recentEvents[ringIndex] = event;
      this.#recentChangeSeqs[ringIndex] = changeSeq;
      this.#recentLoggedEvents[ringIndex] = undefined;
    }
  }

  /** Records that retention has removed the events up to `seq`. */
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

  async scanEvents({ after, limit, matchesEvent }: EventLogScanQuery): Promise<EventLogScanResult> {
    const start = this.#resolveStart(after);
    const scan = new LogScanProgress(start, limit);
    if (this.#isInMemory(start)) {
      for (let seq = start + 1; seq <= this.#lastSeq; seq++) {
        const ringIndex = seq % this.#recentEvents.length;
        const event = this.#recentEvents[ringIndex];
        if (event === undefined || !scan.tryAdvance(seq, this.#recentChangeSeqs[ringIndex] ?? seq)) break;
        if (matchesEvent(event)) scan.events.push(this.#recentLoggedEvent(seq, event));
      }
    } else {
      this.#reader.readInTransaction(() => {
        this.#assertNotPurged(after, start);
        for (const row of this.#reader.iterateEvents(start, this.#lastSeq, undefined)) {
          const [seq, changeSeq] = row as [number, number];
          if (!scan.tryAdvance(seq, changeSeq)) break;
          const event = eventFromRow(row);
          if (matchesEvent(event)) scan.events.push(this.#toLoggedEvent(seq, changeSeq, event));
        }
      });
    }
    return {
      events: scan.events,
      scannedThrough: this.#cursors.encodeCursor(scan.through),
      hasMore: scan.through < this.#lastSeq,
    };
  }

  async readLatestEventsOfUser(userId: UserId, limit: number): Promise<readonly LoggedEvent[]> {
    this.#assertOpen();
    // Events that are committed but not published yet are excluded.
    return this.#reader
      .readLatestEventsOfUser(userId, this.#lastSeq, limit)
      .map((row) => this.#loggedEventFromRow(row));
  }

  /** Returns the seq after which reading starts. */
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

  /** Creates the object on first request: there may be no reader, or many. */
  #recentLoggedEvent(seq: number, event: PresenceEvent): LoggedEvent {
    const ringIndex = seq % this.#recentEvents.length;
    return (this.#recentLoggedEvents[ringIndex] ??= this.#toLoggedEvent(
      seq,
      this.#recentChangeSeqs[ringIndex] ?? seq,
      event,
    ));
  }

  /** Retention may have removed more events than this thread knows of. */
  #assertNotPurged(cursor: Cursor | null, after: number): void {
    if (cursor !== null && after < this.#reader.readPurgedThrough()) throw cursorExpiredError();
  }

  #readFromDatabase(after: number, query: EventLogQuery): EventLogPage {
    this.#assertNotPurged(query.after, after);
    return collectPage(this.#iterateStored(after, query), query);
  }

  *#iterateStored(after: number, { userId }: EventLogQuery): Iterable<LoggedEvent> {
    // Events that are committed but not published yet are excluded.
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

/** Limits the time that one scan blocks the event loop: a few ms when reading from disk. */
const MAX_EVENTS_PER_SCAN = 1_000;

/** The progress of a scan. A scan ends only between changes. */
class LogScanProgress {
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

  /** Advances to the event and returns true, or returns false if the scan ends before it. */
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
