/** Writes batches: one transaction each, all of it or nothing. */
import type Database from 'better-sqlite3';
import { sql, type Column, type Placeholder, type SQL } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import type { Batch } from './protocol.ts';
import {
  END_COLUMNS,
  ENDED_COLUMNS,
  EVENT_COLUMNS,
  META_COLUMNS,
  SESSION_COLUMNS,
  TOUCH_COLUMNS,
  USER_COLUMNS,
  type Flat,
  type Value,
} from './rows.ts';
import { prepareWrite } from './statements.ts';
import { events, meta, sessions, users } from './tables.ts';

type Write = (batch: Batch) => void;
type Statement = Database.Statement<Value[]>;

/** What never changes of a session is left alone, and with it the indexes that hold it. */
const SESSION_FIXED: readonly (typeof SESSION_COLUMNS)[number][] = [
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

export const batchWriter = (connection: Database.Database): Write => {
  const db = drizzle(connection);
  const live = SESSION_COLUMNS.filter((name) => !SESSION_FIXED.includes(name));

  const touchUser = prepareWrite(
    connection,
    db
      .update(users)
      .set({ lastSeenAt: sql`${sql.placeholder('lastSeenAt')}` })
      .where(sql`${users.userId} = ${sql.placeholder('userId')}`),
    TOUCH_COLUMNS,
  );
  const putUser = prepareWrite(
    connection,
    db
      .insert(users)
      .values(placeholders(USER_COLUMNS))
      .onConflictDoUpdate({ target: users.userId, set: excluded(users, USER_COLUMNS.slice(1)) }),
    USER_COLUMNS,
  );
  const target = [sessions.userId, sessions.sessionId];
  const putSession = prepareWrite(
    connection,
    db
      .insert(sessions)
      .values(placeholders(SESSION_COLUMNS))
      .onConflictDoUpdate({ target, set: excluded(sessions, live) }),
    SESSION_COLUMNS,
  );
  const endSession = prepareWrite(
    connection,
    db
      .insert(sessions)
      .values(placeholders(ENDED_COLUMNS))
      .onConflictDoUpdate({ target, set: excluded(sessions, [...live, ...END_COLUMNS]) }),
    ENDED_COLUMNS,
  );
  const addEvent = prepareWrite(connection, db.insert(events).values(placeholders(EVENT_COLUMNS)), EVENT_COLUMNS);
  const putMeta = prepareWrite(
    connection,
    db
      .insert(meta)
      .values(placeholders(META_COLUMNS))
      .onConflictDoUpdate({ target: meta.key, set: excluded(meta, ['value']) }),
    META_COLUMNS,
  );

  // Touches come first: a user who is touched and changed in one batch was touched before.
  const write = connection.transaction((batch: Batch) => {
    each(touchUser, batch.touches, TOUCH_COLUMNS.length);
    each(putUser, batch.users, USER_COLUMNS.length);
    each(putSession, batch.sessions, SESSION_COLUMNS.length);
    each(endSession, batch.ended, ENDED_COLUMNS.length);
    each(addEvent, batch.events, EVENT_COLUMNS.length);
    each(putMeta, batch.meta, META_COLUMNS.length);
  });
  return (batch) => write.immediate(batch);
};

const each = (statement: Statement, flat: Flat, width: number): void => {
  for (let start = 0; start < flat.length; start += width) statement.run(...flat.slice(start, start + width));
};

const placeholders = <Name extends string>(names: readonly Name[]): Record<Name, Placeholder<Name>> =>
  Object.fromEntries(names.map((name) => [name, sql.placeholder(name)])) as Record<Name, Placeholder<Name>>;

/** For what is there already: the values that were to be inserted. */
const excluded = <Name extends string>(
  table: Readonly<Record<Name, Column>>,
  names: readonly Name[],
): Record<Name, SQL> =>
  Object.fromEntries(names.map((name) => [name, sql.raw(`excluded."${table[name].name}"`)])) as Record<Name, SQL>;
