/** Counts the rows of a database and finds the end of its log. */
import type Database from 'better-sqlite3';
import type { Status } from '../../../core/enums.ts';
import { CursorCodec } from '../schema/cursors.ts';
import { LOG_ID_KEY, PURGED_THROUGH_KEY } from '../schema/meta-keys.ts';

export interface RowCounts {
  readonly users: Readonly<Record<Status, number>>;
  readonly sessions: { readonly live: number; readonly ended: number };
  readonly events: number;
  /** The end of the log, to resume after. Null if the database has lost the id of its log. */
  readonly cursor: string | null;
}

export const countRows = (connection: Database.Database): RowCounts => {
  const number = (sql: string): number => Number(connection.prepare(sql).pluck().get() ?? 0);
  const meta = connection.prepare<[string], string>('SELECT value FROM meta WHERE key = ?').pluck();
  const logId = meta.get(LOG_ID_KEY);
  const end = Math.max(number('SELECT max(seq) FROM events'), Number(meta.get(PURGED_THROUGH_KEY) ?? 0));
  const users = { ONLINE: 0, PUSH_ONLINE: 0, OFFLINE: 0 };
  const byStatus = connection.prepare<[], [Status, number]>('SELECT status, count(*) FROM users GROUP BY status').raw();
  for (const [status, count] of byStatus.iterate()) users[status] = count;
  return {
    users,
    sessions: {
      live: number('SELECT count(*) FROM sessions WHERE ended_at IS NULL'),
      ended: number('SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL'),
    },
    events: number('SELECT count(*) FROM events'),
    cursor: logId === undefined ? null : new CursorCodec(logId).encodeCursor(end),
  };
};
