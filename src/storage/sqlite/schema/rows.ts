/**
 * Records as rows and back. Rows cross to the writer's thread as flat arrays of columns, which is the
 * cheapest there is to copy; the order of the columns is the one given here.
 */
import type { DeviceId, Millis, SessionId, UserId } from '../../../core/ids.ts';
import { sameTimings, type Timings } from '../../../core/policy.ts';
import type { EndedSession, PresenceEvent, SessionRecord, UserRecord, Watch } from '../../../core/records.ts';
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
/** Rows one after another, all of the same columns. */
export type FlatRows = SqlValue[];
/** One row, as SQLite gives it back. What stands in it was written by this file. */
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

/** What a timeout or a lost link alone changes of a user, and whose row it is. */
export const STATUS_COLUMNS = ['version', 'status', 'changedAt', 'reason', 'userId'] as const;
/** Likewise of a session. */
export const DISCONNECT_COLUMNS = [
  'status',
  'backgroundSince',
  'detachedAt',
  'pushExpiresAt',
  'userId',
  'sessionId',
] as const;

export const END_COLUMNS = ['endedAt', 'endReason', 'kickedBy'] as const;
export const ENDED_SESSION_COLUMNS = [...SESSION_COLUMNS, ...END_COLUMNS] as const;
/** An end of a session of which nothing else has changed, and whose row it is. */
export const SESSION_END_COLUMNS = [...END_COLUMNS, 'userId', 'sessionId'] as const;

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

/** What the main thread says of an event: its place in the log is made where it is written. */
export const UNNUMBERED_EVENT_COLUMNS = ['isFirstOfChange', ...EVENT_COLUMNS.slice(2)] as const;

/** What a sign of life alone changes of a user. */
export const LAST_SEEN_COLUMNS = ['lastSeenAt', 'userId'] as const;
export const META_COLUMNS = ['key', 'value'] as const;

export const pushUserRow = (flat: FlatRows, user: UserRecord): void => {
  flat.push(user.id, user.version, user.status, user.changedAt, user.reason);
  flat.push(user.lastSeenAt, user.customStatus, user.tokensRevokedBefore);
};

/** @returns false, and adds nothing, when more was changed than these columns tell. */
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

/** A user never seen, or forgotten, has version 0: the next one must exceed what was forgotten. */
export const userFromRow = (row: SqlRow, versionFloor: number, sessions: readonly SessionRecord[]): UserRecord => ({
  id: row[0] as UserId,
  version: row[1] as number,
  versionFloor: row[1] === 0 ? versionFloor : 0,
  status: internEnumValue(row[2]) as Status,
  changedAt: row[3] as Millis | null,
  reason: (row[4] === null ? null : internEnumValue(row[4])) as EventReason | null,
  lastSeenAt: row[5] as Millis | null,
  customStatus: row[6] as string | null,
  tokensRevokedBefore: row[7] as Millis | null,
  sessions,
});

export const pushSessionRow = (flat: FlatRows, userId: UserId, session: SessionRecord): void => {
  const { timings } = session;
  flat.push(userId, session.id, session.platform, session.deviceId, session.status, session.appState);
  flat.push(session.backgroundSince, timings.heartbeatIntervalMs, timings.heartbeatTimeoutMs);
  flat.push(timings.backgroundTimeoutMs, timings.disconnectGraceMs, session.aliveAt, session.lastSeenAt);
  flat.push(session.detachedAt, session.pushExpiresAt, session.appVersion, session.osVersion, session.ipAddress);
  flat.push(session.loggedInAt, session.tokenHash, session.watch === null ? null : JSON.stringify(session.watch));
};

/** @returns false, and adds nothing, when more was changed than these columns tell. */
export const pushDisconnectRow = (
  flat: FlatRows,
  userId: UserId,
  before: SessionRecord,
  session: SessionRecord,
): boolean => {
  if (
    before.appState !== session.appState ||
    before.timings !== session.timings ||
    before.aliveAt !== session.aliveAt ||
    before.lastSeenAt !== session.lastSeenAt ||
    before.ipAddress !== session.ipAddress
  ) {
    return false;
  }
  flat.push(session.status, session.backgroundSince, session.detachedAt, session.pushExpiresAt, userId, session.id);
  return true;
};

/** Sockets are not kept: after a restart there are none, and an ended session has none. */
export const sessionFromRow = (row: SqlRow): SessionRecord => ({
  id: row[1] as SessionId,
  platform: internEnumValue(row[2]) as Platform,
  deviceId: row[3] as DeviceId,
  status: internEnumValue(row[4]) as LiveStatus,
  appState: internEnumValue(row[5]) as AppState,
  backgroundSince: row[6] as Millis | null,
  timings: timingsFromRow(row),
  aliveAt: row[11] as Millis,
  lastSeenAt: row[12] as Millis,
  detachedAt: row[13] as Millis | null,
  pushExpiresAt: row[14] as Millis | null,
  links: [],
  appVersion: row[15] as string | null,
  osVersion: row[16] as string | null,
  ipAddress: row[17] as string | null,
  loggedInAt: row[18] as Millis,
  tokenHash: row[19] as string,
  watch: row[20] === null ? null : (JSON.parse(row[20] as string) as Watch),
});

const ENUM_VALUES = new Map<SqlValue | undefined, string>(
  [...PLATFORMS, ...STATUSES, ...APP_STATES, ...EVENT_REASONS].map((word) => [word, word]),
);

/** SQLite makes a new string of every cell; a million sessions need not each have their own "ANDROID". */
const internEnumValue = (word: SqlValue | undefined): string => ENUM_VALUES.get(word) ?? String(word);

let latestTimings: Timings = {
  heartbeatIntervalMs: 0,
  heartbeatTimeoutMs: 0,
  backgroundTimeoutMs: null,
  disconnectGraceMs: 0,
};

/** Nearly all sessions were told the same: rows in a row share what they can. */
const timingsFromRow = (row: SqlRow): Timings => {
  const timings: Timings = {
    heartbeatIntervalMs: row[7] as number,
    heartbeatTimeoutMs: row[8] as number,
    backgroundTimeoutMs: row[9] as number | null,
    disconnectGraceMs: row[10] as number,
  };
  if (!sameTimings(timings, latestTimings)) latestTimings = timings;
  return latestTimings;
};

export const pushEndedSessionRow = (flat: FlatRows, userId: UserId, ended: EndedSession): void => {
  pushSessionRow(flat, userId, ended.session);
  flat.push(ended.endedAt, ended.reason, ended.kickedBy);
};

/** For a session whose row is as it last was. */
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

/** @param isFirst is it the first one of its change? */
export const pushEventRow = (flat: FlatRows, event: PresenceEvent, isFirst: boolean): void => {
  flat.push(isFirst ? 1 : 0, event.userId, event.sessionId, event.platform, event.deviceId, event.reason);
  flat.push(event.sessionStatus, event.previousStatus, event.status, event.version, event.kickedBy);
  flat.push(event.customStatus, event.ipAddress, event.occurredAt);
};

/** The event alone: `seq` and `changeSeq` are the first two columns. */
export const eventFromRow = (row: SqlRow): PresenceEvent => ({
  userId: row[2] as UserId,
  sessionId: row[3] as SessionId,
  platform: row[4] as Platform,
  deviceId: row[5] as DeviceId,
  reason: row[6] as EventReason,
  sessionStatus: row[7] as Status,
  previousStatus: row[8] as Status,
  status: row[9] as Status,
  version: row[10] as number,
  kickedBy: row[11] as Platform | null,
  customStatus: row[12] as string | null,
  ipAddress: row[13] as string | null,
  occurredAt: row[14] as Millis,
});
