/** The records of users and sessions, and the events and changes that are published. They are never mutated. */
import type { DeviceId, SocketId, Millis, SessionId, UserId } from './ids.ts';
import type { Timings } from './policy.ts';
import type { AppState, EventReason, LiveStatus, Platform, Status } from './enums.ts';

/** Which other users a user may watch: all, the listed ones, or (null) as the server is configured. */
export type WatchScope = '*' | readonly UserId[] | null;

/** One login of one device, until it ends. */
export interface SessionRecord {
  readonly id: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly status: LiveStatus;
  readonly appState: AppState;
  /** The start of the background timeout; null while it does not run. */
  readonly backgroundSince: Millis | null;
  /** The timings that the client last received. */
  readonly timings: Timings;
  /** The start of the heartbeat timeout: the last activity, or a restart of the server. */
  readonly inactiveSince: Millis;
  /** The last activity, as shown to users. A restart does not change it. */
  readonly lastSeenAt: Millis;
  /** When the last socket closed, while the disconnect grace period runs; null otherwise. */
  readonly detachedAt: Millis | null;
  /** When a PUSH_ONLINE session expires; null while it is ONLINE. */
  readonly pushExpiresAt: Millis | null;
  /** The open sockets authenticated as this session. */
  readonly socketIds: readonly SocketId[];
  readonly appVersion: string | null;
  readonly osVersion: string | null;
  readonly ipAddress: string | null;
  readonly loggedInAt: Millis;
  /** SHA-256 of the secret in the session token, base64url. The token itself is not stored. */
  readonly tokenHash: string;
  readonly watchScope: WatchScope;
}

export interface EndedSession {
  readonly session: SessionRecord;
  readonly reason: EventReason;
  readonly endedAt: Millis;
  /** For KICKED: the platform of the login that kicked it. Null for other reasons. */
  readonly kickedBy: Platform | null;
}

export interface UserRecord {
  readonly id: UserId;
  /** Rises with each status change. 0 for a user who never logged in, or whose record was removed. */
  readonly version: number;
  /** The next version is greater than this too: 0, or the highest version of a removed record. */
  readonly versionFloor: number;
  readonly status: Status;
  /** When the status or the custom status last changed. Null for an unknown user. */
  readonly changedAt: Millis | null;
  /** Why it last changed. Null for an unknown user. */
  readonly reason: EventReason | null;
  readonly lastSeenAt: Millis | null;
  readonly customStatus: string | null;
  /** JWTs of this user that were issued before this time are rejected. */
  readonly tokensRevokedBefore: Millis | null;
  /** The live sessions, in the order of their logins. */
  readonly sessions: readonly SessionRecord[];
}

/** One change of one session, with its effect on the user. One row of the event log. */
export interface PresenceEvent {
  readonly userId: UserId;
  readonly sessionId: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly reason: EventReason;
  readonly sessionStatus: Status;
  /** The user's status before the event. */
  readonly previousStatus: Status;
  readonly status: Status;
  readonly version: number;
  readonly kickedBy: Platform | null;
  readonly customStatus: string | null;
  readonly ipAddress: string | null;
  readonly occurredAt: Millis;
}

/** What watchers receive: the user's status after a change, or in a snapshot. */
export interface StatusChange {
  readonly userId: UserId;
  readonly status: Status;
  readonly version: number;
  /** Null in a snapshot. */
  readonly previousStatus: Status | null;
  readonly reason: EventReason | null;
  readonly platform: Platform | null;
  readonly changedAt: Millis | null;
  readonly lastSeenAt: Millis | null;
  readonly customStatus: string | null;
}

/** A socket whose session ended or timed out. The server must close it. */
export interface LostSocket {
  readonly socketId: SocketId;
  readonly sessionId: SessionId;
  readonly reason: EventReason;
  /** False: the session timed out and is PUSH_ONLINE, so the client may reconnect. */
  readonly isSessionEnded: boolean;
}

/** One atomic change of a user: its events, the status change if there is one, and the sockets to close. */
export interface UserChange {
  readonly events: readonly PresenceEvent[];
  readonly statusChange: StatusChange | null;
  readonly lostSockets: readonly LostSocket[];
}

/** The record of a user who never logged in, or whose record was removed. */
export const createUnknownUser = (id: UserId, versionFloor: number): UserRecord => ({
  id,
  version: 0,
  versionFloor,
  status: 'OFFLINE',
  changedAt: null,
  reason: null,
  lastSeenAt: null,
  customStatus: null,
  tokensRevokedBefore: null,
  sessions: [],
});

/** The highest status of the sessions. */
export const computeUserStatus = (sessions: readonly SessionRecord[]): Status => {
  if (sessions.some((session) => session.status === 'ONLINE')) return 'ONLINE';
  return sessions.length > 0 ? 'PUSH_ONLINE' : 'OFFLINE';
};

export const findSession = (user: UserRecord, id: SessionId): SessionRecord | undefined =>
  user.sessions.find((session) => session.id === id);

export const hasOpenSocket = (session: SessionRecord): boolean => session.socketIds.length > 0;

/** The current status, as the first message of a subscription. */
export const createStatusSnapshot = (user: UserRecord): StatusChange => ({
  userId: user.id,
  status: user.status,
  version: user.version,
  previousStatus: null,
  reason: user.reason,
  platform: null,
  changedAt: user.changedAt,
  lastSeenAt: user.lastSeenAt,
  customStatus: user.customStatus,
});
