/**
 * The read-only connection, for everything that is not in memory. It sees committed data and never waits for the
 * writer.
 */
import Database from 'better-sqlite3';
import { asc, desc, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { Millis, SessionId, UserId } from '../../../core/ids.ts';
import { createUnknownUser, type EndedSession, type UserRecord } from '../../../core/records.ts';
import type { UserSession } from '../../memory/packed/session-chunks.ts';
import { PURGED_THROUGH_KEY, VERSION_FLOOR_KEY } from '../schema/meta-keys.ts';
import { COMPACT_SESSION_COLUMNS, createRowExpander } from '../schema/compact-session-rows.ts';
import { ENDED_SESSION_RETENTION_MS } from '../write/retention.ts';
import {
  ENDED_SESSION_COLUMNS,
  endedSessionFromRow,
  EVENT_COLUMNS,
  sessionFromRow,
  USER_COLUMNS,
  userFromRow,
  type SqlRow,
  type SqlValue,
} from '../schema/rows.ts';
import { pickColumns, prepareRead } from '../schema/statements.ts';
import { events, meta, sessions, users } from '../schema/tables.ts';
import { ReportingStatement } from '../schema/reporting-statement.ts';
import { WebhookReader } from './webhook-reader.ts';
import type { LiveStatus, Platform } from '../../../core/enums.ts';

/** Opens a connection that can neither create nor change a database. */
export const openReadConnection = (path: string): Database.Database =>
  new Database(path, { readonly: true, fileMustExist: true, timeout: 5_000 });

export class DatabaseReader {
  readonly #connection: Database.Database;
  readonly #statements: ReturnType<typeof prepareStatements>;
  /** Called with each error that a query throws. */
  onError: (error: unknown) => void = () => undefined;

  constructor(path: string, connection = openReadConnection(path)) {
    this.#connection = connection;
    this.#statements = prepareStatements(this.#connection, (error) => this.onError(error));
  }

  close(): void {
    this.#connection.close();
  }

  readMeta(key: string): string | null {
    return (this.#statements.meta.get(key)?.[0] ?? null) as string | null;
  }

  /**
   * Reads a user without live sessions. One query returns the user and the version floor, because every first login
   * needs both.
   */
  readOfflineUser(id: UserId): UserRecord {
    const row = this.#statements.user.get(id);
    const floor = Number(row?.[USER_COLUMNS.length] ?? 0);
    return row?.[0] == null ? createUnknownUser(id, floor) : userFromRow(row, floor, []);
  }

  /** Yields all users who are not OFFLINE, without sessions, in no particular order. */
  *iterateActiveUsers(): Iterable<UserRecord> {
    for (const row of iterateRows(this.#statements.activeUsers)) yield userFromRow(row, 0, []);
  }

  /** Yields the live sessions with their user ids, each user's in order of login. */
  *iterateLiveSessions(): Iterable<UserSession> {
    const widened = createRowExpander();
    for (const row of iterateRows(this.#statements.liveSessions)) {
      yield { userId: row[0] as UserId, session: sessionFromRow(widened(row)) };
    }
  }

  findEndedSession(userId: UserId, sessionId: SessionId, now: Millis): EndedSession | null {
    const row = this.#statements.ended.get(userId, sessionId, now - ENDED_SESSION_RETENTION_MS);
    return row === undefined ? null : endedSessionFromRow(row);
  }

  /** Returns the ids of users who are not OFFLINE, in order. With `platform`: of users with a live session on it. */
  listActiveUserIds(after: UserId | null, limit: number, status?: LiveStatus, platform?: Platform): readonly UserId[] {
    const { idsOnPlatform, idsOfStatus, idsOfAll } = this.#statements;
    const from = after ?? '';
    const rows =
      platform !== undefined
        ? idsOnPlatform.all(platform, from, limit)
        : status !== undefined
          ? idsOfStatus.all(status, from, limit)
          : idsOfAll.all(from, limit, from, limit, limit);
    return rows.map((row) => row[0] as UserId);
  }

  readLastSeq(): number {
    return Math.max(Number(this.#statements.lastSeq.get()?.[0] ?? 0), this.readPurgedThrough());
  }

  readPurgedThrough(): number {
    return Number(this.readMeta(PURGED_THROUGH_KEY) ?? 0);
  }

  /** Yields the events in (after, through], of one user or of all. */
  iterateEvents(after: number, through: number, userId: UserId | undefined): IterableIterator<SqlRow> {
    const { eventsOfAll, eventsOfUser } = this.#statements;
    return userId === undefined ? eventsOfAll.iterate(after, through) : eventsOfUser.iterate(userId, after, through);
  }

  /** Returns the last events of one user up to `through`, newest first. */
  readLatestEventsOfUser(userId: UserId, through: number, limit: number): readonly SqlRow[] {
    return this.#statements.latestOfUser.all(userId, through, limit);
  }

  /** Creates a reader of webhooks on this connection. The schema must be current. */
  createWebhookReader(): WebhookReader {
    return new WebhookReader(this.#connection, (error) => this.onError(error));
  }

  /** Runs `read` on one consistent state of the database. */
  readInTransaction<Result>(read: () => Result): Result {
    return this.#connection.transaction(read)();
  }
}

/** Rows fetched per query, which is faster than stepping through single rows. */
const ROWS_PER_READ = 256;

/** Yields all rows of a statement with the parameters (after, limit). Its last column is the next value of `after`. */
function* iterateRows(statement: ReportingStatement): Iterable<SqlRow> {
  for (let after: SqlValue = Number.MIN_SAFE_INTEGER; ;) {
    const rows = statement.all(after, ROWS_PER_READ);
    yield* rows;
    if (rows.length < ROWS_PER_READ) return;
    after = rows.at(-1)?.at(-1) as SqlValue;
  }
}

const prepareStatements = (connection: Database.Database, onError: (error: unknown) => void) => {
  const reporting = (statement: Database.Statement<SqlValue[], SqlRow>) => new ReportingStatement(statement, onError);
  const read = (...given: Parameters<typeof prepareRead>) => reporting(prepareRead(...given));
  const db = drizzle(connection);
  const named = (name: string) => sql.placeholder(name);
  const userColumns = pickColumns(users, USER_COLUMNS);
  const rowId = sql`rowid`;
  const commonOfSession = sql.join(
    COMPACT_SESSION_COLUMNS.common.map((name) => sql`${sessions[name]}`),
    sql`, `,
  );
  // The literal in the condition allows SQLite to use the partial index.
  const idsOf = (status: string) =>
    `SELECT user_id FROM users WHERE status = '${status}' AND status <> 'OFFLINE' AND user_id > ? ORDER BY user_id LIMIT ?`;
  const eventsWhere = (condition: ReturnType<typeof sql>) =>
    db
      .select(pickColumns(events, EVENT_COLUMNS))
      .from(events)
      .where(sql`${condition}${events.seq} > ${named('after')} AND ${events.seq} <= ${named('through')}`)
      .orderBy(asc(events.seq));
  return {
    meta: read(
      connection,
      db
        .select({ value: meta.value })
        .from(meta)
        .where(sql`${meta.key} = ${named('key')}`),
      ['key'],
    ),
    // Always returns a row. Without the user, it contains only the floor.
    user: read(
      connection,
      db
        .select({
          ...userColumns,
          floor: sql`CASE WHEN coalesce(${users.version}, 0) = 0 THEN (SELECT ${meta.value} FROM ${meta} WHERE ${meta.key} = ${sql.raw(`'${VERSION_FLOOR_KEY}'`)}) END`,
        })
        .from(sql`(SELECT 1)`)
        .leftJoin(users, sql`${users.userId} = ${named('userId')}`),
      ['userId'],
    ),
    activeUsers: read(
      connection,
      db
        .select({ ...userColumns, rowId })
        .from(users)
        // The plus keeps SQLite from looking up one user after another, all over the table, as an index lists them.
        .where(sql`+${users.status} <> 'OFFLINE' AND ${rowId} > ${named('after')}`)
        .orderBy(rowId)
        .limit(named('limit')),
      ['after', 'limit'],
    ),
    liveSessions: read(
      connection,
      db
        .select({
          ...pickColumns(sessions, COMPACT_SESSION_COLUMNS.own),
          common: sql`json_array(${commonOfSession})`,
          rowId,
        })
        .from(sessions)
        .where(sql`${sessions.endedAt} IS NULL AND ${sessions.id} > ${named('after')}`)
        .orderBy(asc(sessions.id))
        .limit(named('limit')),
      ['after', 'limit'],
    ),
    ended: read(
      connection,
      db
        .select(pickColumns(sessions, ENDED_SESSION_COLUMNS))
        .from(sessions)
        .where(
          sql`${sessions.userId} = ${named('userId')} AND ${sessions.sessionId} = ${named('sessionId')} AND ${sessions.endedAt} > ${named('after')}`,
        ),
      ['userId', 'sessionId', 'after'],
    ),
    idsOnPlatform: read(
      connection,
      db
        .selectDistinct({ userId: sessions.userId })
        .from(sessions)
        .where(
          sql`${sessions.platform} = ${named('platform')} AND ${sessions.endedAt} IS NULL AND ${sessions.userId} > ${named('after')}`,
        )
        .orderBy(asc(sessions.userId))
        .limit(named('limit')),
      ['platform', 'after', 'limit'],
    ),
    idsOfStatus: read(
      connection,
      db
        .select({ userId: users.userId })
        .from(users)
        .where(
          sql`${users.status} = ${named('status')} AND ${users.status} <> 'OFFLINE' AND ${users.userId} > ${named('after')}`,
        )
        .orderBy(asc(users.userId))
        .limit(named('limit')),
      ['status', 'after', 'limit'],
    ),
    // Drizzle does not support a limit within a union.
    idsOfAll: reporting(
      connection
        .prepare<SqlValue[], SqlRow>(
          `SELECT user_id FROM (${idsOf('ONLINE')}) UNION ALL SELECT user_id FROM (${idsOf('PUSH_ONLINE')}) ORDER BY user_id LIMIT ?`,
        )
        .raw(),
    ),
    lastSeq: read(connection, db.select({ seq: sql`max(${events.seq})` }).from(events), []),
    eventsOfAll: read(connection, eventsWhere(sql``), ['after', 'through']),
    eventsOfUser: read(connection, eventsWhere(sql`${events.userId} = ${named('userId')} AND `), [
      'userId',
      'after',
      'through',
    ]),
    latestOfUser: read(
      connection,
      db
        .select(pickColumns(events, EVENT_COLUMNS))
        .from(events)
        .where(sql`${events.userId} = ${named('userId')} AND ${events.seq} <= ${named('through')}`)
        .orderBy(desc(events.seq))
        .limit(named('limit')),
      ['userId', 'through', 'limit'],
    ),
  };
};
