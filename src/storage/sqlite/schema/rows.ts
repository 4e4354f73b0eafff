/**
 * Converts records to rows and back. Rows are sent to the writer thread as flat arrays of values, the fastest form to
 * copy. The order of the columns is defined here.
 *
 * Texts of users and devices pass `readStoredText`: earlier versions stored some that are rejected today. User ids and
 * session ids do not. They are keys of rows, and every version rejected control characters in them.
 */
import type { DeviceId, Millis, SessionId, UserId } from '../../../core/ids.ts';
import { areTimingsEqual, type Timings } from '../../../core/policy.ts';
import type { EndedSession, PresenceEvent, SessionRecord, UserRecord, WatchScope } from '../../../core/records.ts';
import { readStoredText } from '../../../core/texts.ts';
import {
  APP_STATES,
  type AppState,
  EVENT_REASONS,
  type EventReason,
  type LiveStatus,
  PLATFORMS,
  type Platform,
  STATUSES,
  type Status,
} from '../../../core/enums.ts';

export type SqlValue = string | number | null;
/** Rows one after another, all with the same columns. */
export type FlatRows = SqlValue[];
/** One row as returned by SQLite. Its values were written by this file. */
export type SqlRow = readonly SqlValue[];

export const USER_COLUMNS = [
  'userId',
  'version',
  'status',
  'changedAt',
  'reason',
  'lastSeenAt',
  'customStatus',
  'tokensRevokedBefore',
] as const;

export const SESSION_COLUMNS = [
  'userId',
  'sessionId',
  'platform',
  'deviceId',
  'status',
  'appState',
  'backgroundSince',
  'heartbeatIntervalMs',
  'heartbeatTimeoutMs',
  'backgroundTimeoutMs',
  'disconnectGraceMs',
  'aliveAt',
  'lastSeenAt',
  'detachedAt',
  'pushExpiresAt',
  'appVersion',
  'osVersion',
  'ipAddress',
  'loggedInAt',
  'tokenHash',
  'watch',
] as const;

/** The columns of a user that a timeout or a lost socket changes, and the key of the row. */
export const STATUS_COLUMNS = ['version', 'status', 'changedAt', 'reason', 'userId'] as const;
/** The columns of a session that a timeout or a lost socket changes, and the key of the row. */
export const DISCONNECT_COLUMNS = [
  'status',
  'backgroundSince',
  'detachedAt',
  'pushExpiresAt',
  'userId',
  'sessionId',
] as const;

export const END_DETAIL_COLUMNS = ['endedAt', 'endReason', 'kickedBy'] as const;
export const ENDED_SESSION_COLUMNS = [...SESSION_COLUMNS, ...END_DETAIL_COLUMNS] as const;
/** The end of a session that has no other changes, and the key of the row. */
export const SESSION_END_COLUMNS = [...END_DETAIL_COLUMNS, 'userId', 'sessionId'] as const;

export const EVENT_COLUMNS = [
  'seq',
  'changeSeq',
  'userId',
  'sessionId',
  'platform',
  'deviceId',
  'reason',
  'sessionStatus',
  'previousStatus',
  'status',
  'version',
  'kickedBy',
  'customStatus',
  'ipAddress',
  'occurredAt',
] as const;

/** An event as the main thread sends it. The writer thread assigns `seq` and `changeSeq`. */
export const UNNUMBERED_EVENT_COLUMNS = ['isFirstOfChange', ...EVENT_COLUMNS.slice(2)] as const;

/** The column of a user that activity changes, and the key of the row. */
export const LAST_SEEN_COLUMNS = ['lastSeenAt', 'userId'] as const;
export const META_COLUMNS = ['key', 'value'] as const;

export const pushUserRow = (flat: FlatRows, user: UserRecord): void => {
  flat.push(user.id, user.version, user.status, user.changedAt, user.reason);
  flat.push(user.lastSeenAt, user.customStatus, user.tokensRevokedBefore);
};

/** @returns false, and adds nothing, if other columns have changed too. */
export const pushStatusRow = (flat: FlatRows, before: UserRecord, user: UserRecord): boolean => {
  if (
    before.status === 'OFFLINE' ||
    before.lastSeenAt !== user.lastSeenAt ||
    before.customStatus !== user.customStatus ||
    before.tokensRevokedBefore !== user.tokensRevokedBefore
  ) {
    return false;
  }
  flat.push(user.version, user.status, user.changedAt, user.reason, user.id);
  return true;
};

/** A user without a record has version 0. Their next version must exceed the version floor. */
export const userFromRow = (row: SqlRow, versionFloor: number, sessions: readonly SessionRecord[]): UserRecord => ({
  id: row[0] as UserId,
  version: row[1] as number,
  versionFloor: row[1] === 0 ? versionFloor : 0,
  status: internEnumValue(row[2]) as Status,
  changedAt: row[3] as Millis | null,
  reason: (row[4] === null ? null : internEnumValue(row[4])) as EventReason | null,
  lastSeenAt: row[5] as Millis | null,
  customStatus: readOptionalText(row[6]),
  tokensRevokedBefore: row[7] as Millis | null,
  sessions,
});

export const pushSessionRow = (flat: FlatRows, userId: UserId, session: SessionRecord): void => {
  const { timings } = session;
  flat.push(userId, session.id, session.platform, session.deviceId, session.status, session.appState);
  flat.push(session.backgroundSince, timings.heartbeatIntervalMs, timings.heartbeatTimeoutMs);
  flat.push(timings.backgroundTimeoutMs, timings.disconnectGraceMs, session.inactiveSince, session.lastSeenAt);
  flat.push(session.detachedAt, session.pushExpiresAt, session.appVersion, session.osVersion, session.ipAddress);
  flat.push(
    session.loggedInAt,
    session.tokenHash,
    session.watchScope === null ? null : JSON.stringify(session.watchScope),
  );
};

/** @returns false, and adds nothing, if other columns have changed too. */
export const pushDisconnectRow = (
  flat: FlatRows,
  userId: UserId,
  before: SessionRecord,
  session: SessionRecord,
): boolean => {
  if (
    before.appState !== session.appState ||
    before.timings !== session.timings ||
    before.inactiveSince !== session.inactiveSince ||
    before.lastSeenAt !== session.lastSeenAt ||
    before.ipAddress !== session.ipAddress
  ) {
    return false;
  }
  flat.push(session.status, session.backgroundSince, session.detachedAt, session.pushExpiresAt, userId, session.id);
  return true;
};

/** Sockets are not stored: none exist after a restart, and an ended session has none. */
export const sessionFromRow = (row: SqlRow): SessionRecord => ({
  id: row[1] as SessionId,
  platform: internEnumValue(row[2]) as Platform,
  deviceId: readStoredText(row[3] as string) as DeviceId,
  status: internEnumValue(row[4]) as LiveStatus,
  appState: internEnumValue(row[5]) as AppState,
  backgroundSince: row[6] as Millis | null,
  timings: timingsFromRow(row),
  inactiveSince: row[11] as Millis,
  lastSeenAt: row[12] as Millis,
  detachedAt: row[13] as Millis | null,
  pushExpiresAt: row[14] as Millis | null,
  socketIds: [],
  appVersion: readOptionalText(row[15]),
  osVersion: readOptionalText(row[16]),
  ipAddress: row[17] as string | null,
  loggedInAt: row[18] as Millis,
  tokenHash: row[19] as string,
  watchScope: row[20] === null ? null : (JSON.parse(row[20] as string) as WatchScope),
});

const readOptionalText = (value: SqlValue | undefined): string | null =>
  typeof value === 'string' ? readStoredText(value) : null;

const ENUM_VALUES = new Map<SqlValue | undefined, string>(
  [...PLATFORMS, ...STATUSES, ...APP_STATES, ...EVENT_REASONS].map((word) => [word, word]),
);

/** SQLite creates a new string for each cell. This shares one string per value among all sessions. */
const internEnumValue = (word: SqlValue | undefined): string => ENUM_VALUES.get(word) ?? String(word);

let latestTimings: Timings = {
  heartbeatIntervalMs: 0,
  heartbeatTimeoutMs: 0,
  backgroundTimeoutMs: null,
  disconnectGraceMs: 0,
};

/** Almost all sessions have the same timings, so consecutive rows share one object. */
const timingsFromRow = (row: SqlRow): Timings => {
  const timings: Timings = {
    heartbeatIntervalMs: row[7] as number,
    heartbeatTimeoutMs: row[8] as number,
    backgroundTimeoutMs: row[9] as number | null,
    disconnectGraceMs: row[10] as number,
  };
  if (!areTimingsEqual(timings, latestTimings)) latestTimings = timings;
  return latestTimings;
};

export const pushEndedSessionRow = (flat: FlatRows, userId: UserId, ended: EndedSession): void => {
  pushSessionRow(flat, userId, ended.session);
  flat.push(ended.endedAt, ended.reason, ended.kickedBy);
};

/** For a session whose row is up to date otherwise. */
export const pushSessionEndRow = (
  flat: FlatRows,
  userId: UserId,
  { session, endedAt, reason, kickedBy }: EndedSession,
): void => {
  flat.push(endedAt, reason, kickedBy, userId, session.id);
};

export const endedSessionFromRow = (row: SqlRow): EndedSession => ({
  session: sessionFromRow(row),
  endedAt: row[SESSION_COLUMNS.length] as Millis,
  reason: row[SESSION_COLUMNS.length + 1] as EventReason,
  kickedBy: row[SESSION_COLUMNS.length + 2] as Platform | null,
});

/** @param isFirst is this the first event of its change? */
export const pushEventRow = (flat: FlatRows, event: PresenceEvent, isFirst: boolean): void => {
  flat.push(isFirst ? 1 : 0, event.userId, event.sessionId, event.platform, event.deviceId, event.reason);
  flat.push(event.sessionStatus, event.previousStatus, event.status, event.version, event.kickedBy);
  flat.push(event.customStatus, event.ipAddress, event.occurredAt);
};

/** Reads the event alone. `seq` and `changeSeq` are the first two columns. */
export const eventFromRow = (row: SqlRow): PresenceEvent => ({
  userId: row[2] as UserId,
  sessionId: row[3] as SessionId,
  platform: row[4] as Platform,
  deviceId: readStoredText(row[5] as string) as DeviceId,
  reason: row[6] as EventReason,
  sessionStatus: row[7] as Status,
  previousStatus: row[8] as Status,
  status: row[9] as Status,
  version: row[10] as number,
  kickedBy: row[11] as Platform | null,
  customStatus: readOptionalText(row[12]),
  ipAddress: row[13] as string | null,
  occurredAt: row[14] as Millis,
});
