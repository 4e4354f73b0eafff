/**
 * The log, gone through twice: in its own order, in which it has no holes, and user by user, each of whom it leaves
 * as her row says. One row at a time: memory does not grow with the log.
 */
import type Database from 'better-sqlite3';
import { quoted } from '../../../../core/quote.ts';
import type { Findings } from './findings.ts';

/** @param purgedThrough the seq before the first that must be there. */
export const checkEventOrder = (connection: Database.Database, purgedThrough: number, findings: Findings): void => {
  const rows = connection
    .prepare<[], [number, number, string]>('SELECT seq, change_seq, user_id FROM events ORDER BY seq')
    .raw();
  let last = { seq: purgedThrough, changeSeq: 0, userId: '' };
  for (const [seq, changeSeq, userId] of rows.iterate()) {
    if (seq !== last.seq + 1) findings.addFinding('log-hole', `between ${last.seq} and ${seq}`);
    const goesOn = changeSeq === last.changeSeq && userId === last.userId;
    if (changeSeq !== seq && !goesOn)
      findings.addFinding('change-broken', `event ${seq}, said to be of change ${changeSeq}`);
    last = { seq, changeSeq, userId };
  }
};

interface Row {
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
  /** What her row says; all null without one. */
  readonly rowVersion: number | null;
  readonly rowStatus: string | null;
  readonly rowReason: string | null;
  readonly rowChangedAt: number | null;
  readonly rowCustomStatus: string | null;
}

const BY_USER = `
  SELECT e.user_id AS userId, e.seq, e.session_id AS sessionId, e.reason, e.session_status AS sessionStatus,
    e.previous_status AS previousStatus, e.status, e.version, e.custom_status AS customStatus,
    e.occurred_at AS occurredAt, u.version AS rowVersion, u.status AS rowStatus, u.reason AS rowReason,
    u.changed_at AS rowChangedAt, u.custom_status AS rowCustomStatus
  FROM events e LEFT JOIN users u ON u.user_id = e.user_id
  ORDER BY e.user_id, e.seq`;

export const checkEventsOfUsers = (connection: Database.Database, findings: Findings): void => {
  let last: Row | undefined;
  /** Her last event that was a change of her status or text, as far as it is kept. */
  let change: Row | undefined;
  const ended = new Set<string>();
  const wrong = (id: Parameters<Findings['addFinding']>[0], { userId, seq }: Row, why: string): void =>
    findings.addFinding(id, `${quoted(userId)}, event ${seq}: ${why}`);

  const follow = (before: Row, row: Row): void => {
    const rise = row.version - before.version;
    // Forgotten in between, she began anew above every version forgotten.
    const anew = before.status === 'OFFLINE' && row.reason === 'LOGIN' && rise > 0;
    const changed = row.status !== row.previousStatus || row.reason === 'CUSTOM_STATUS';
    if (rise !== (changed ? 1 : 0) && !anew) {
      wrong('event-versions', row, `version ${row.version} (${row.reason}) after ${before.version}`);
    }
    if (row.previousStatus !== before.status) {
      wrong('event-statuses', row, `${row.reason} from ${row.previousStatus} after ${before.status}`);
    }
  };

  const finish = (row: Row): void => {
    if (row.rowVersion === null || row.rowVersion === 0) {
      // Who is OFFLINE may be forgotten before the last of her events is removed.
      if (row.status !== 'OFFLINE') wrong('user-without-row', row, `${row.status}, version ${row.version}`);
      return;
    }
    const differs = [
      row.rowVersion !== row.version && `version ${row.rowVersion}, in the log ${row.version}`,
      row.rowStatus !== row.status && `status ${row.rowStatus ?? 'null'}, in the log ${row.status}`,
      row.rowCustomStatus !== row.customStatus && 'another custom status than in the log',
      change !== undefined &&
        row.rowReason !== change.reason &&
        `reason ${row.rowReason ?? 'null'}, in the log ${change.reason}`,
      change !== undefined && row.rowChangedAt !== change.occurredAt && 'another changed_at than in the log',
    ].filter((what) => what !== false);
    if (differs.length > 0) wrong('log-and-user', row, differs.join('; '));
  };

  for (const row of connection.prepare<[], Row>(BY_USER).iterate()) {
    if (last?.userId !== row.userId) {
      if (last !== undefined) finish(last);
      last = change = undefined;
      ended.clear();
    }
    if (last !== undefined) follow(last, row);
    if (ended.has(row.sessionId)) wrong('event-after-end', row, `${row.reason} of session ${quoted(row.sessionId)}`);
    if (row.sessionStatus === 'OFFLINE') ended.add(row.sessionId);
    if (row.status !== row.previousStatus || row.reason === 'CUSTOM_STATUS') change = row;
    last = row;
  }
  if (last !== undefined) finish(last);
};
