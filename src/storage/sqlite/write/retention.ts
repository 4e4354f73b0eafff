/**
 * Removes old data, in portions of about a thousand rows. Each portion is a transaction of its own, so a commit waits
 * for one portion at most.
 */
import type Database from 'better-sqlite3';
import { asc, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { META_COLUMNS, type SqlValue } from '../schema/rows.ts';
import { PURGED_THROUGH_KEY, VERSION_FLOOR_KEY } from '../schema/meta-keys.ts';
import type { PurgeRequest, PurgeResult } from './writer-messages.ts';
import { prepareRead, prepareWrite } from '../schema/statements.ts';
import { events, meta, sessions, users } from '../schema/tables.ts';
import { createDeliveryPurger } from './webhook-retention.ts';

/** How long the end of a session is reported to clients that still use its token. */
export const ENDED_SESSION_RETENTION_MS = 7 * 86_400_000;

const ROWS_PER_PORTION = 1_000;

/** @returns a function that does one portion of the work due at `now`. */
export const createRetentionPurger = (connection: Database.Database): ((request: PurgeRequest) => PurgeResult) => {
  const db = drizzle(connection);
  const at = sql.placeholder('at');
  const limit = sql.placeholder('limit');

  const findOldestEvents = prepareRead(
    connection,
    db
      .select({ seq: events.seq, changeSeq: events.changeSeq, occurredAt: events.occurredAt })
      .from(events)
      .orderBy(asc(events.seq)),
    [],
  );
  const removeEvents = prepareWrite(
    connection,
    db.delete(events).where(sql`${events.seq} <= ${sql.placeholder('seq')}`),
    ['seq'],
  );
  const removeEndedSessions = prepareWrite(
    connection,
    db
      .delete(sessions)
      .where(
        sql`${sessions.id} IN (SELECT "id" FROM "sessions" WHERE "ended_at" IS NOT NULL AND "ended_at" <= ${at} LIMIT ${limit})`,
      ),
    ['at', 'limit'],
  );
  const findLongOffline = prepareRead(
    connection,
    db
      .select({ userId: users.userId, version: users.version, tokensRevokedBefore: users.tokensRevokedBefore })
      .from(users)
      // The literal is what lets SQLite use the partial index.
      .where(sql`${users.status} = 'OFFLINE' AND ${users.changedAt} <= ${at}`)
      .limit(limit),
    ['at', 'limit'],
  );
  const removeUser = prepareWrite(
    connection,
    db.delete(users).where(sql`${users.userId} = ${sql.placeholder('userId')}`),
    ['userId'],
  );
  const clearUser = prepareWrite(
    connection,
    // Literals instead of nulls: a value in a prepared query would become a parameter.
    db
      .update(users)
      .set({
        version: sql`0`,
        changedAt: sql`NULL`,
        reason: sql`NULL`,
        lastSeenAt: sql`NULL`,
        customStatus: sql`NULL`,
      })
      .where(sql`${users.userId} = ${sql.placeholder('userId')}`),
    ['userId'],
  );
  const readMeta = prepareRead(
    connection,
    db
      .select({ value: meta.value })
      .from(meta)
      .where(sql`${meta.key} = ${sql.placeholder('key')}`),
    ['key'],
  );
  const putMeta = prepareWrite(
    connection,
    db
      .insert(meta)
      .values({ key: sql.placeholder('key'), value: sql.placeholder('value') })
      .onConflictDoUpdate({ target: meta.key, set: { value: sql`excluded."value"` } }),
    META_COLUMNS,
  );

  const purgeDeliveries = createDeliveryPurger(connection);

  const readNumber = (key: string): number => Number(readMeta.get(key)?.[0] ?? 0);

  /** Removes the beginning of the log, up to the first event that is young enough. Never removes part of a change. */
  const purgeEvents = (before: number): boolean => {
    let through: number | null = null;
    let change: SqlValue = null;
    let count = 0;
    for (const [seq, changeSeq, occurredAt] of findOldestEvents.iterate()) {
      if ((occurredAt as number) >= before) break;
      if (count >= ROWS_PER_PORTION && changeSeq !== change) break;
      through = seq as number;
      change = changeSeq ?? null;
      count++;
    }
    if (through === null) return false;
    removeEvents.run(through);
    putMeta.run(PURGED_THROUGH_KEY, String(through));
    return count >= ROWS_PER_PORTION;
  };

  const purgeUsers = (before: number): boolean => {
    const removed = findLongOffline.all(before, ROWS_PER_PORTION);
    if (removed.length === 0) return false;
    let floor = readNumber(VERSION_FLOOR_KEY);
    for (const [userId, version, tokensRevokedBefore] of removed) {
      floor = Math.max(floor, version as number);
      (tokensRevokedBefore === null ? removeUser : clearUser).run(userId as string);
    }
    putMeta.run(VERSION_FLOOR_KEY, String(floor));
    return removed.length >= ROWS_PER_PORTION;
  };

  const purge = connection.transaction(({ now, eventRetentionMs }: PurgeRequest): PurgeResult => {
    const more = [
      purgeEvents(now - eventRetentionMs),
      removeEndedSessions.run(now - ENDED_SESSION_RETENTION_MS, ROWS_PER_PORTION).changes >= ROWS_PER_PORTION,
      purgeUsers(now - Math.max(eventRetentionMs, ENDED_SESSION_RETENTION_MS)),
      purgeDeliveries(now),
    ];
    return { purgedThrough: readNumber(PURGED_THROUGH_KEY), hasMore: more.includes(true) };
  });
  return (request) => purge.immediate(request);
};
