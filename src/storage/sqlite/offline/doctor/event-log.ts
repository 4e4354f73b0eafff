/**
 * Checks the event log in two passes. In log order, it must have no gaps. Per user, the events must follow from each
 * other and end in the user's record. Rows are read one at a time, so memory does not grow with the log.
 */
import type Database from 'better-sqlite3';
import { quoteText } from '../../../../core/quote.ts';
import { readStoredText } from '../../../../core/texts.ts';
import type { FindingId, Findings } from './findings.ts';

/** @param purgedThrough the seq before the first event that must exist. */
export const checkEventOrder = (connection: Database.Database, purgedThrough: number, findings: Findings): void => {
  const rows = connection
    .prepare<[], [number, number, string]>('SELECT seq, change_seq, user_id FROM events ORDER BY seq')
    .raw();
  let last = { seq: purgedThrough, changeSeq: 0, userId: '' };
  for (const [seq, changeSeq, userId] of rows.iterate()) {
    if (seq !== last.seq + 1) findings.addFinding('log-hole', `between ${last.seq} and ${seq}`);
    const isSameChange = changeSeq === last.changeSeq && userId === last.userId;
    if (changeSeq !== seq && !isSameChange) {
      findings.addFinding('change-broken', `event ${seq}, marked as part of change ${changeSeq}`);
    }
    last = { seq, changeSeq, userId };
  }
};

/** An event with the record of its user. */
interface EventRow {
  readonly userId: string;
  readonly seq: number;
  readonly sessionId: string;
  readonly reason: string;
  readonly sessionStatus: string;
  readonly previousStatus: string;
  readonly status: string;
  readonly version: number;
  readonly customStatus: string | null;
  readonly occurredAt: number;
  /** The user's record; all null if there is none. */
  readonly recordVersion: number | null;
  readonly recordStatus: string | null;
  readonly recordReason: string | null;
  readonly recordChangedAt: number | null;
  readonly recordCustomStatus: string | null;
}

const EVENTS_BY_USER = `
  SELECT e.user_id AS userId, e.seq, e.session_id AS sessionId, e.reason, e.session_status AS sessionStatus,
    e.previous_status AS previousStatus, e.status, e.version, e.custom_status AS customStatus,
    e.occurred_at AS occurredAt, u.version AS recordVersion, u.status AS recordStatus, u.reason AS recordReason,
    u.changed_at AS recordChangedAt, u.custom_status AS recordCustomStatus
  FROM events e LEFT JOIN users u ON u.user_id = e.user_id
  ORDER BY e.user_id, e.seq`;

export const checkEventsOfUsers = (connection: Database.Database, findings: Findings): void => {
  let checker: UserEventChecker | undefined;
  for (const row of connection.prepare<[], EventRow>(EVENTS_BY_USER).iterate()) {
    if (checker?.userId !== row.userId) {
      checker?.checkRecord();
      checker = new UserEventChecker(row.userId, findings);
    }
    checker.checkNextEvent(row);
  }
  checker?.checkRecord();
};

/** The events of one user, checked one after another. */
class UserEventChecker {
  readonly userId: string;
  readonly #findings: Findings;
  readonly #endedSessions = new Set<string>();
  #last: EventRow | undefined;
  /** The last event that changed the status or the custom status; undefined if retention removed it. */
  #lastChange: EventRow | undefined;

  constructor(userId: string, findings: Findings) {
    this.userId = userId;
    this.#findings = findings;
  }

  checkNextEvent(row: EventRow): void {
    if (this.#last !== undefined) {
      this.#checkVersion(this.#last, row);
      this.#checkPreviousStatus(this.#last, row);
    }
    this.#checkSessionNotEnded(row);
    if (changesUser(row)) this.#lastChange = row;
    this.#last = row;
  }

  /** Compares the user's record with the last event. Call it after all events of the user. */
  checkRecord(): void {
    const row = this.#last;
    if (row === undefined) return;
    if (row.recordVersion === null || row.recordVersion === 0) {
      // The record of an OFFLINE user may be removed before their last event.
      if (row.status !== 'OFFLINE') this.#addFinding('user-without-row', row, `${row.status}, version ${row.version}`);
      return;
    }
    const differences = [...differencesFromEvent(row), ...differencesFromChange(row, this.#lastChange)];
    if (differences.length > 0) this.#addFinding('log-and-user', row, differences.join('; '));
  }

  #checkVersion(before: EventRow, row: EventRow): void {
    const increase = row.version - before.version;
    // A user whose record was removed starts again above every removed version.
    const isNewRecord = before.status === 'OFFLINE' && row.reason === 'LOGIN' && increase > 0;
    if (increase === (changesUser(row) ? 1 : 0) || isNewRecord) return;
    this.#addFinding('event-versions', row, `version ${row.version} (${row.reason}) after ${before.version}`);
  }

  #checkPreviousStatus(before: EventRow, row: EventRow): void {
    if (row.previousStatus === before.status) return;
    this.#addFinding('event-statuses', row, `${row.reason} from ${row.previousStatus} after ${before.status}`);
  }

  #checkSessionNotEnded(row: EventRow): void {
    if (this.#endedSessions.has(row.sessionId)) {
      this.#addFinding('event-after-end', row, `${row.reason} of session ${quoteText(row.sessionId)}`);
    }
    if (row.sessionStatus === 'OFFLINE') this.#endedSessions.add(row.sessionId);
  }

  #addFinding(id: FindingId, { userId, seq }: EventRow, problem: string): void {
    this.#findings.addFinding(id, `${quoteText(userId)}, event ${seq}: ${problem}`);
  }
}

const changesUser = (row: EventRow): boolean => row.status !== row.previousStatus || row.reason === 'CUSTOM_STATUS';

function* differencesFromEvent(row: EventRow): Iterable<string> {
  if (row.recordVersion !== row.version) yield `version ${row.recordVersion}, in the log ${row.version}`;
  if (row.recordStatus !== row.status) yield `status ${row.recordStatus}, in the log ${row.status}`;
  if (readText(row.recordCustomStatus) !== readText(row.customStatus)) yield 'custom status differs from the log';
}

/** A server copies a text that it has read to new events, so the forms that it reads are compared. */
const readText = (text: string | null): string | null => (text === null ? null : readStoredText(text));

function* differencesFromChange(row: EventRow, change: EventRow | undefined): Iterable<string> {
  if (change === undefined) return;
  if (row.recordReason !== change.reason) yield `reason ${row.recordReason}, in the log ${change.reason}`;
  if (row.recordChangedAt !== change.occurredAt) yield 'changed_at differs from the log';
}
