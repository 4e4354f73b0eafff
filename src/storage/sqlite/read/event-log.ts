/**
 * The log as it is told: events get their place in it when they are committed. The latest ones are
 * kept in memory, so that those who follow the log live do not touch the disk.
 */
import type {
  EventLog,
  LoggedEvent,
  LogPage,
  LogQuery,
  LogScan,
  ScannedLog,
} from '../../../app/ports/presence-store.ts';
import { DomainError } from '../../../core/errors.ts';
import type { Cursor, UserId } from '../../../core/ids.ts';
import type { PresenceEvent } from '../../../core/records.ts';
import { Cursors, notOurs } from '../schema/cursors.ts';
import type { Reader } from './reader.ts';
import { eventFrom, type Row } from '../schema/rows.ts';

export class SqliteEventLog implements EventLog {
  readonly #reader: Reader;
  readonly #cursors: Cursors;
  /** Refuses, once the store is closed. */
  readonly #checkOpen: () => void;
  /** The event `seq` and its changeSeq stand at `seq % length`, while it is among the latest. */
  readonly #ring: (PresenceEvent | undefined)[];
  readonly #changeSeqs: Float64Array;
  /** Likewise the event as it is told, once somebody has asked for it. */
  readonly #told: (LoggedEvent | undefined)[];
  /** No event up to this one was ever in memory. */
  readonly #beforeMemory: number;
  #lastSeq: number;
  #purgedThrough: number;

  /** @param recent how many of the latest events are kept in memory. */
  constructor(reader: Reader, logId: string, recent: number, checkOpen: () => void) {
    this.#reader = reader;
    this.#cursors = new Cursors(logId);
    this.#checkOpen = checkOpen;
    this.#ring = new Array<PresenceEvent | undefined>(recent);
    this.#changeSeqs = new Float64Array(recent);
    this.#told = new Array<LoggedEvent | undefined>(recent);
    this.#lastSeq = this.#beforeMemory = reader.lastSeq();
    this.#purgedThrough = reader.purgedThrough();
  }

  /** The seq of the last event that is committed. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** Takes in the events of one change that was committed, in order. */
  append(events: readonly PresenceEvent[]): void {
    const changeSeq = this.#lastSeq + 1;
    for (const event of events) {
      const place = ++this.#lastSeq % this.#ring.length;
      this.#ring[place] = event;
      this.#changeSeqs[place] = changeSeq;
      this.#told[place] = undefined;
    }
  }

  /** Events up to `seq` were removed. */
  purged(seq: number): void {
    this.#purgedThrough = Math.max(this.#purgedThrough, seq);
  }

  async latestCursor(): Promise<Cursor> {
    this.#checkOpen();
    return this.#cursors.at(this.#lastSeq);
  }

  async read(query: LogQuery): Promise<LogPage> {
    const after = this.#start(query.after);
    return this.#isInMemory(after)
      ? pageOf(this.#recent(after, query), query)
      : this.#reader.atOnce(() => this.#readDisk(after, query));
  }

  async scan({ after, limit, matching }: LogScan): Promise<ScannedLog> {
    const start = this.#start(after);
    const scan = new Scan(start, limit);
    if (this.#isInMemory(start)) {
      for (let seq = start + 1; seq <= this.#lastSeq; seq++) {
        const place = seq % this.#ring.length;
        const event = this.#ring[place];
        if (event === undefined || !scan.takes(seq, this.#changeSeqs[place] ?? seq)) break;
        if (matching(event)) scan.events.push(this.#inMemory(seq, event));
      }
    } else {
      this.#reader.atOnce(() => {
        this.#checkKept(after, start);
        for (const row of this.#reader.events(start, this.#lastSeq, undefined)) {
          const [seq, changeSeq] = row as [number, number];
          if (!scan.takes(seq, changeSeq)) break;
          const event = eventFrom(row);
          if (matching(event)) scan.events.push(this.#logged(seq, changeSeq, event));
        }
      });
    }
    return { events: scan.events, through: this.#cursors.at(scan.through), hasMore: scan.through < this.#lastSeq };
  }

  async latest(userId: UserId, limit: number): Promise<readonly LoggedEvent[]> {
    this.#checkOpen();
    // What is committed and not told yet is not there yet.
    return this.#reader.latestEvents(userId, this.#lastSeq, limit).map((row) => this.#fromRow(row));
  }

  /** The seq that reading starts after. */
  #start(cursor: Cursor | null): number {
    this.#checkOpen();
    const after = cursor === null ? this.#purgedThrough : this.#cursors.seqOf(cursor);
    if (after > this.#lastSeq) throw notOurs();
    if (after < this.#purgedThrough) throw expired();
    return after;
  }

  #isInMemory(after: number): boolean {
    return after >= Math.max(this.#beforeMemory, this.#lastSeq - this.#ring.length);
  }

  *#recent(after: number, { userId }: LogQuery): Iterable<LoggedEvent> {
    for (let seq = after + 1; seq <= this.#lastSeq; seq++) {
      const event = this.#ring[seq % this.#ring.length];
      if (event !== undefined && (userId === undefined || event.userId === userId)) yield this.#inMemory(seq, event);
    }
  }

  /** Made when it is first asked for: nobody may follow, and many may follow at once. */
  #inMemory(seq: number, event: PresenceEvent): LoggedEvent {
    const place = seq % this.#ring.length;
    return (this.#told[place] ??= this.#logged(seq, this.#changeSeqs[place] ?? seq, event));
  }

  /** The retention may have removed more by now than this thread has heard of. */
  #checkKept(cursor: Cursor | null, after: number): void {
    if (cursor !== null && after < this.#reader.purgedThrough()) throw expired();
  }

  #readDisk(after: number, query: LogQuery): LogPage {
    this.#checkKept(query.after, after);
    return pageOf(this.#stored(after, query), query);
  }

  *#stored(after: number, { userId }: LogQuery): Iterable<LoggedEvent> {
    // What is committed and not told yet is not there yet.
    for (const row of this.#reader.events(after, this.#lastSeq, userId)) {
      yield this.#fromRow(row);
    }
  }

  #fromRow(row: Row): LoggedEvent {
    return this.#logged(row[0] as number, row[1] as number, eventFrom(row));
  }

  #logged(seq: number, changeSeq: number, event: PresenceEvent): LoggedEvent {
    return { ...event, cursor: this.#cursors.at(seq), changeId: this.#cursors.changeId(changeSeq) };
  }
}

/** Bounds how long one scan keeps the event loop: a few ms from the disk. */
const SCANNED_AT_ONCE = 1_000;

/** How far a scan has come: it ends between changes alone. */
class Scan {
  readonly events: LoggedEvent[] = [];
  readonly #limit: number;
  #left = SCANNED_AT_ONCE;
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
  takes(seq: number, changeSeq: number): boolean {
    if (changeSeq !== this.#changeSeq && (this.#left <= 0 || this.events.length >= this.#limit)) return false;
    this.#changeSeq = changeSeq;
    this.#through = seq;
    this.#left--;
    return true;
  }
}

const pageOf = (following: Iterable<LoggedEvent>, { limit, wholeChanges = false }: LogQuery): LogPage => {
  const events: LoggedEvent[] = [];
  for (const event of following) {
    const full = events.length >= limit && !(wholeChanges && event.changeId === events.at(-1)?.changeId);
    if (full) return { events, hasMore: true };
    events.push(event);
  }
  return { events, hasMore: false };
};

export const expired = (): DomainError =>
  new DomainError(
    { code: 'CURSOR_EXPIRED' },
    'Events after this cursor are older than the retention and were removed. Start again from latestCursor.',
  );
