/**
 * Checks users and sessions against each other, and the values of enum columns. Each check is a query whose rows are
 * the problems.
 */
import type Database from 'better-sqlite3';
import { quoteText } from '../../../../core/quote.ts';
import { EVENT_REASONS, PLATFORMS, STATUSES } from '../../../../core/enums.ts';
import type { FindingId, Findings } from './findings.ts';

const RANK = "CASE status WHEN 'ONLINE' THEN 'ONLINE' WHEN 'PUSH_ONLINE' THEN 'PUSH_ONLINE' END";
// 'ONLINE' sorts before 'PUSH_ONLINE', and is the higher status.
const HIGHEST = `coalesce((SELECT min(${RANK}) FROM sessions s WHERE s.user_id = u.user_id AND ended_at IS NULL), 'OFFLINE')`;

const CHECKS: readonly (readonly [FindingId, string])[] = [
  [
    'sessions-and-user',
    `SELECT user_id, 'status ' || status || ', highest of the live sessions ' || highest
     FROM (SELECT user_id, status, ${HIGHEST} AS highest FROM users u) WHERE status <> highest`,
  ],
  [
    'session-without-user',
    `SELECT user_id, 'session ' || session_id FROM sessions s
     WHERE ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM users u WHERE u.user_id = s.user_id)`,
  ],
  [
    // A login as old as the oldest event kept may have been removed already.
    'session-without-login',
    `SELECT user_id, 'session ' || session_id FROM sessions s
     WHERE ended_at IS NULL
       AND (coalesce((SELECT value FROM meta WHERE key = 'purged_through'), '0') = '0'
         OR logged_in_at > (SELECT occurred_at FROM events ORDER BY seq LIMIT 1))
       AND NOT EXISTS (SELECT 1 FROM events e
         WHERE e.user_id = s.user_id AND e.session_id = s.session_id AND e.reason = 'LOGIN')`,
  ],
];

const COLUMNS: readonly (readonly [table: string, column: string, words: readonly string[]])[] = [
  ['users', 'status', STATUSES],
  ['users', 'reason', EVENT_REASONS],
  ['sessions', 'status', ['ONLINE', 'PUSH_ONLINE']],
  ['sessions', 'platform', PLATFORMS],
  ['events', 'reason', EVENT_REASONS],
  ['events', 'platform', PLATFORMS],
  ['events', 'session_status', STATUSES],
  ['events', 'previous_status', STATUSES],
  ['events', 'status', STATUSES],
];

export const checkUsersAndSessions = (connection: Database.Database, findings: Findings): void => {
  for (const [id, sql] of CHECKS) {
    const rows = connection.prepare<[], [string, string]>(sql).raw();
    for (const [userId, what] of rows.iterate()) findings.addFinding(id, `${quoteText(userId)}: ${what}`);
  }
  for (const [table, column, words] of COLUMNS) {
    const known = words.map((word) => `'${word}'`).join(', ');
    const rows = connection
      .prepare<[], [string, string]>(`SELECT user_id, ${column} FROM ${table} WHERE ${column} NOT IN (${known})`)
      .raw();
    for (const [userId, word] of rows.iterate()) {
      findings.addFinding('unknown-word', `${quoteText(userId)}: ${table}.${column} is ${quoteText(word)}`);
    }
  }
};
