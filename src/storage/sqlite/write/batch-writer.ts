/** Writes each batch in one transaction. */
import type Database from 'better-sqlite3';
import { sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { CommitBatch } from './writer-messages.ts';
import {
  DISCONNECT_COLUMNS,
  END_DETAIL_COLUMNS,
  ENDED_SESSION_COLUMNS,
  EVENT_COLUMNS,
  SESSION_END_COLUMNS,
  META_COLUMNS,
  SESSION_COLUMNS,
  STATUS_COLUMNS,
  LAST_SEEN_COLUMNS,
  UNNUMBERED_EVENT_COLUMNS,
  USER_COLUMNS,
  type FlatRows,
  type SqlValue,
} from '../schema/rows.ts';
import { PURGED_THROUGH_KEY } from '../schema/meta-keys.ts';
import { excludedValues, updatePlaceholders, insertPlaceholders, prepareWrite } from '../schema/statements.ts';
import { events, meta, sessions, users } from '../schema/tables.ts';
import { createWebhookWriter } from './webhook-writer.ts';

type WriteBatch = (batch: CommitBatch) => void;
type Statement = Database.Statement<SqlValue[]>;

/** Columns that never change are not updated, so their indexes are not touched either. */
const IMMUTABLE_SESSION_COLUMNS: readonly (typeof SESSION_COLUMNS)[number][] = [
  'userId',
  'sessionId',
  'platform',
  'deviceId',
  'appVersion',
  'osVersion',
  'loggedInAt',
  'tokenHash',
  'watch',
];

export const createBatchWriter = (connection: Database.Database): WriteBatch => {
  const db = drizzle(connection);
  const live = SESSION_COLUMNS.filter((name) => !IMMUTABLE_SESSION_COLUMNS.includes(name));

  const updateLastSeen = prepareWrite(
    connection,
    db
      .update(users)
      .set(updatePlaceholders(['lastSeenAt']))
      .where(sql`${users.userId} = ${sql.placeholder('userId')}`),
    LAST_SEEN_COLUMNS,
  );
  const putUser = prepareWrite(
    connection,
    db
      .insert(users)
      .values(insertPlaceholders(USER_COLUMNS))
      .onConflictDoUpdate({ target: users.userId, set: excludedValues(users, USER_COLUMNS.slice(1)) }),
    USER_COLUMNS,
  );
  const setStatus = prepareWrite(
    connection,
    db
      .update(users)
      .set(updatePlaceholders(['version', 'status', 'changedAt', 'reason']))
      .where(sql`${users.userId} = ${sql.placeholder('userId')}`),
    STATUS_COLUMNS,
  );
  const target = [sessions.userId, sessions.sessionId];
  const putSession = prepareWrite(
    connection,
    db
      .insert(sessions)
      .values(insertPlaceholders(SESSION_COLUMNS))
      .onConflictDoUpdate({ target, set: excludedValues(sessions, live) }),
    SESSION_COLUMNS,
  );
  const endSession = prepareWrite(
    connection,
    db
      .insert(sessions)
      .values(insertPlaceholders(ENDED_SESSION_COLUMNS))
      .onConflictDoUpdate({ target, set: excludedValues(sessions, [...live, ...END_DETAIL_COLUMNS]) }),
    ENDED_SESSION_COLUMNS,
  );
  const isSession = sql`${sessions.userId} = ${sql.placeholder('userId')} AND ${sessions.sessionId} = ${sql.placeholder('sessionId')}`;
  const disconnectSession = prepareWrite(
    connection,
    db
      .update(sessions)
      .set(updatePlaceholders(['status', 'backgroundSince', 'detachedAt', 'pushExpiresAt']))
      .where(isSession),
    DISCONNECT_COLUMNS,
  );
  const markSessionEnded = prepareWrite(
    connection,
    db.update(sessions).set(updatePlaceholders(END_DETAIL_COLUMNS)).where(isSession),
    SESSION_END_COLUMNS,
  );
  const addEvents = createEventAppender(connection);
  const writeWebhooks = createWebhookWriter(connection);
  const putMeta = prepareWrite(
    connection,
    db
      .insert(meta)
      .values(insertPlaceholders(META_COLUMNS))
      .onConflictDoUpdate({ target: meta.key, set: excludedValues(meta, ['value']) }),
    META_COLUMNS,
  );

  // Last-seen times are written first: a user with both writes in one batch was seen before the change.
  const write = connection.transaction((batch: CommitBatch) => {
    runForEachRow(updateLastSeen, batch.lastSeen, LAST_SEEN_COLUMNS.length);
    runForEachRow(putUser, batch.users, USER_COLUMNS.length);
    runForEachRow(setStatus, batch.statuses, STATUS_COLUMNS.length);
    runForEachRow(putSession, batch.sessions, SESSION_COLUMNS.length);
    runForEachRow(disconnectSession, batch.disconnects, DISCONNECT_COLUMNS.length);
    runForEachRow(endSession, batch.endedSessions, ENDED_SESSION_COLUMNS.length);
    runForEachRow(markSessionEnded, batch.sessionEnds, SESSION_END_COLUMNS.length);
    runForEachRow(putMeta, batch.meta, META_COLUMNS.length);
    writeWebhooks(batch.webhooks);
    return addEvents(batch.events, lastSeq);
  });
  let lastSeq = readLastSeq(connection);
  return (batch) => {
    // A transaction that is rolled back leaves no gap in the log.
    lastSeq = write.immediate(batch);
  };
};

const runForEachRow = (statement: Statement, flat: FlatRows, width: number): void => {
  for (let start = 0; start < flat.length; start += width) statement.run(...flat.slice(start, start + width));
};

/** Events per INSERT statement; about a quarter faster than single rows. */
const EVENTS_PER_INSERT = 16;

/** @returns a function that appends events to the log right after `lastSeq` and returns the new last seq. */
const createEventAppender = (connection: Database.Database): ((unnumbered: FlatRows, lastSeq: number) => number) => {
  const insert = (count: number): Statement => {
    const rows = Array.from({ length: count }, () => insertPlaceholders(EVENT_COLUMNS));
    const names = rows.flatMap(() => EVENT_COLUMNS);
    return prepareWrite(connection, drizzle(connection).insert(events).values(rows), names);
  };
  const [one, many] = [insert(1), insert(EVENTS_PER_INSERT)];
  const width = UNNUMBERED_EVENT_COLUMNS.length;
  return (unplaced, lastSeq) => {
    let seq = lastSeq;
    let changeSeq = lastSeq;
    const numbered: FlatRows = [];
    for (let start = 0; start < unplaced.length; start += width) {
      seq++;
      if (unplaced[start] === 1) changeSeq = seq;
      numbered.push(seq, changeSeq);
      for (let column = start + 1; column < start + width; column++) numbered.push(unplaced[column] ?? null);
    }
    const wide = EVENTS_PER_INSERT * EVENT_COLUMNS.length;
    const rest = numbered.length - (numbered.length % wide);
    runForEachRow(many, numbered.slice(0, rest), wide);
    runForEachRow(one, numbered.slice(rest), EVENT_COLUMNS.length);
    return seq;
  };
};

const readLastSeq = (connection: Database.Database): number => {
  const row = connection
    .prepare<[string], [number | null]>(
      'SELECT max((SELECT coalesce(max(seq), 0) FROM events), (SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE key = ?))',
    )
    .raw()
    .get(PURGED_THROUGH_KEY);
  return row?.[0] ?? 0;
};
