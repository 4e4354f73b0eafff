/**
 * The tables, from which drizzle-kit generates the migrations (`npm run db:generate`). Times are whole milliseconds
 * since 1970 (UTC); durations are milliseconds. Ids are compared by SQLite's BINARY collation: by their UTF-8 bytes.
 */
import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

/** All users who have been active and whose record was not removed by retention. */
export const users = sqliteTable(
  'users',
  {
    userId: text('user_id').primaryKey(),
    /** 0: the record was removed or never existed; the row only holds `tokens_revoked_before`. */
    version: integer('version').notNull(),
    status: text('status').notNull(),
    changedAt: integer('changed_at'),
    reason: text('reason'),
    lastSeenAt: integer('last_seen_at'),
    customStatus: text('custom_status'),
    tokensRevokedBefore: integer('tokens_revoked_before'),
  },
  (table) => [
    // For the pages of online users. Partial, because most users are OFFLINE.
    index('users_online')
      .on(table.status, table.userId)
      .where(sql`status <> 'OFFLINE'`),
    // For removing users who have been OFFLINE the longest.
    index('users_offline_since')
      .on(table.changedAt)
      .where(sql`status = 'OFFLINE'`),
  ],
);

/** Live sessions, and sessions that ended within the last 7 days. */
export const sessions = sqliteTable(
  'sessions',
  {
    /** Increases with each login. Defines the order of a user's sessions. */
    id: integer('id').primaryKey(),
    userId: text('user_id').notNull(),
    sessionId: text('session_id').notNull(),
    platform: text('platform').notNull(),
    deviceId: text('device_id').notNull(),
    /** For an ended session: its last value. */
    status: text('status').notNull(),
    appState: text('app_state').notNull(),
    backgroundSince: integer('background_since'),
    heartbeatIntervalMs: integer('heartbeat_interval_ms').notNull(),
    heartbeatTimeoutMs: integer('heartbeat_timeout_ms').notNull(),
    backgroundTimeoutMs: integer('background_timeout_ms'),
    disconnectGraceMs: integer('disconnect_grace_ms').notNull(),
    aliveAt: integer('alive_at').notNull(),
    lastSeenAt: integer('last_seen_at').notNull(),
    detachedAt: integer('detached_at'),
    pushExpiresAt: integer('push_expires_at'),
    appVersion: text('app_version'),
    osVersion: text('os_version'),
    ipAddress: text('ip_address'),
    loggedInAt: integer('logged_in_at').notNull(),
    tokenHash: text('token_hash').notNull(),
    /** JSON: "*" or a list of user ids. Null: the default of the server applies. */
    watch: text('watch'),
    /** Null while the session is live. */
    endedAt: integer('ended_at'),
    endReason: text('end_reason'),
    kickedBy: text('kicked_by'),
  },
  (table) => [
    uniqueIndex('sessions_of_user').on(table.userId, table.sessionId),
    index('sessions_live')
      .on(table.platform, table.userId)
      .where(sql`ended_at IS NULL`),
    index('sessions_ended')
      .on(table.endedAt)
      .where(sql`ended_at IS NOT NULL`),
  ],
);

/** The event log. It has no gaps; retention always removes its beginning. */
export const events = sqliteTable(
  'events',
  {
    seq: integer('seq').primaryKey(),
    /** The seq of the first event of the same change. */
    changeSeq: integer('change_seq').notNull(),
    userId: text('user_id').notNull(),
    sessionId: text('session_id').notNull(),
    platform: text('platform').notNull(),
    deviceId: text('device_id').notNull(),
    reason: text('reason').notNull(),
    sessionStatus: text('session_status').notNull(),
    previousStatus: text('previous_status').notNull(),
    status: text('status').notNull(),
    version: integer('version').notNull(),
    kickedBy: text('kicked_by'),
    customStatus: text('custom_status'),
    ipAddress: text('ip_address'),
    occurredAt: integer('occurred_at').notNull(),
  },
  (table) => [index('events_of_user').on(table.userId, table.seq)],
);

/** Single values: see meta-keys.ts. */
export const meta = sqliteTable('meta', {
  key: text('key').primaryKey(),
  value: text('value').notNull(),
});

export const webhooks = sqliteTable('webhooks', {
  /** Increases with each webhook. Defines the order of webhooks. */
  seq: integer('seq').primaryKey(),
  webhookId: text('webhook_id').notNull().unique(),
  url: text('url').notNull(),
  format: text('format').notNull(),
  secret: text('secret'),
  previousSecret: text('previous_secret'),
  previousValidUntil: integer('previous_valid_until'),
  /** JSON: a list of reasons. Null: any reason. */
  reasons: text('reasons'),
  userStatusOnly: integer('user_status_only').notNull(),
  state: text('state').notNull(),
  createdAt: integer('created_at').notNull(),
  changedAt: integer('changed_at').notNull(),
  /** A cursor, like the positions of the shards. */
  start: text('start').notNull(),
});

/** Shards whose position is after the start of their webhook. */
export const webhookShards = sqliteTable(
  'webhook_shards',
  {
    webhookId: text('webhook_id').notNull(),
    shard: integer('shard').notNull(),
    position: text('position').notNull(),
  },
  (table) => [primaryKey({ columns: [table.webhookId, table.shard] })],
);

/** Users whose events a receiver refuses, and whom their shard skips. */
export const webhookIsolatedUsers = sqliteTable(
  'webhook_isolated_users',
  {
    webhookId: text('webhook_id').notNull(),
    shard: integer('shard').notNull(),
    userId: text('user_id').notNull(),
    position: text('position').notNull(),
    /** The last event that the shard skipped. Null: none since the position. */
    skippedThrough: text('skipped_through'),
    /** The RETRYING delivery of the user. Null: none. */
    deliveryId: text('delivery_id'),
  },
  (table) => [primaryKey({ columns: [table.webhookId, table.shard, table.userId] })],
);

/** Deliveries. Those of a deleted webhook are removed gradually by retention. */
export const webhookDeliveries = sqliteTable(
  'webhook_deliveries',
  {
    /** Increases with each delivery. Defines the order of lists. */
    seq: integer('seq').primaryKey(),
    deliveryId: text('delivery_id').notNull().unique(),
    webhookId: text('webhook_id').notNull(),
    shard: integer('shard'),
    isTest: integer('is_test').notNull(),
    status: text('status').notNull(),
    eventCount: integer('event_count').notNull(),
    createdAt: integer('created_at').notNull(),
    attempts: integer('attempts').notNull(),
    lastAttemptAt: integer('last_attempt_at'),
    lastStatus: integer('last_status'),
    lastError: text('last_error'),
    nextAttemptAt: integer('next_attempt_at'),
    giveUpAt: integer('give_up_at').notNull(),
    /**
     * Null while the status is RETRYING. Otherwise the time of the last attempt, or of creation if there was no
     * attempt.
     */
    settledAt: integer('settled_at'),
    /** JSON: a list. The last column, because the others are also read without it. */
    events: text('events').notNull(),
  },
  (table) => [
    // For pages of deliveries, and for limiting their number.
    index('webhook_deliveries_of').on(table.webhookId, table.status, table.seq),
    // For the pending delivery of a shard, and for deliveries that are due.
    index('webhook_deliveries_due')
      .on(table.webhookId, table.shard, table.nextAttemptAt)
      .where(sql`status = 'RETRYING'`),
    // For removing deliveries that were settled the longest ago.
    index('webhook_deliveries_settled')
      .on(table.status, table.settledAt)
      .where(sql`settled_at IS NOT NULL`),
  ],
);
