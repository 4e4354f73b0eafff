/**
 * What is known of a user, and what is told of a change: plain values, replaced and never mutated.
 */
import type { DeviceId, SocketId, Millis, SessionId, UserId } from './ids.ts';
import type { Timings } from './policy.ts';
import type { AppState, EventReason, LiveStatus, Platform, Status } from './enums.ts';

/** Whom a user may ask about beside herself; null leaves it to the server's setting. */
export type WatchScope = '*' | readonly UserId[] | null;

/** One login of one device, while it lasts. */
export interface SessionRecord {
  readonly id: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly status: LiveStatus;
  readonly appState: AppState;
  /** Since when the background limit runs; null while it does not. */
  readonly backgroundSince: Millis | null;
  /** The timings this session was last told. */
  readonly timings: Timings;
  /** The moment silence is counted from: the last sign of life, or a restart of the server. */
  readonly inactiveSince: Millis;
  /** The last sign of life, as told to people: a restart does not touch it. */
  readonly lastSeenAt: Millis;
  /** When the last socket closed while a grace is running; null otherwise. */
  readonly detachedAt: Millis | null;
  /** When a PUSH_ONLINE session ends; null while it is ONLINE. */
  readonly pushExpiresAt: Millis | null;
  /** The open sockets authenticated as this session. */
  readonly socketIds: readonly SocketId[];
  readonly appVersion: string | null;
  readonly osVersion: string | null;
  readonly ipAddress: string | null;
  readonly loggedInAt: Millis;
  /** SHA-256 of the token's secret, base64url: the token itself is kept nowhere. */
  readonly tokenHash: string;
  readonly watchScope: WatchScope;
}

export interface EndedSession {
  readonly session: SessionRecord;
  readonly reason: EventReason;
  readonly endedAt: Millis;
  /** For KICKED: the platform whose login did it. */
  readonly kickedBy: Platform | null;
}

export interface UserRecord {
  readonly id: UserId;
  /** 0 for a user never seen (or forgotten). */
  readonly version: number;
  /** The next version is above this one too: 0, or the highest version ever forgotten. */
  readonly versionFloor: number;
  readonly status: Status;
  /** When the status or the custom text last changed, and why. Null for a user never seen. */
  readonly changedAt: Millis | null;
  readonly reason: EventReason | null;
  readonly lastSeenAt: Millis | null;
  readonly customStatus: string | null;
  /** JWTs of this user issued before this moment are refused. */
  readonly tokensRevokedBefore: Millis | null;
  /** The live sessions, in the order of their logins. */
  readonly sessions: readonly SessionRecord[];
}

/** One thing that happened to one session, and what it did to its user. */
export interface PresenceEvent {
  readonly userId: UserId;
  readonly sessionId: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly reason: EventReason;
  readonly sessionStatus: Status;
  /** The user's status before and after. */
  readonly previousStatus: Status;
  readonly status: Status;
  readonly version: number;
  readonly kickedBy: Platform | null;
  readonly customStatus: string | null;
  readonly ipAddress: string | null;
  readonly occurredAt: Millis;
}

/** What watchers are told. */
export interface StatusChange {
  readonly userId: UserId;
  readonly status: Status;
  readonly version: number;
  /** Null in a snapshot, which is no change. */
  readonly previousStatus: Status | null;
  readonly reason: EventReason | null;
  readonly platform: Platform | null;
  readonly changedAt: Millis | null;
  readonly lastSeenAt: Millis | null;
  readonly customStatus: string | null;
}

/** A socket whose session ended or timed out under it: it is to be closed. */
export interface LostSocket {
  readonly socketId: SocketId;
  readonly sessionId: SessionId;
  readonly reason: EventReason;
  /** False: the session timed out and is PUSH_ONLINE, so the client may connect again. */
  readonly isSessionEnded: boolean;
}

/** Events that belong together, the one change of the user's status they make, if any, and the sockets they cost. */
export interface UserChange {
  readonly events: readonly PresenceEvent[];
  readonly statusChange: StatusChange | null;
  readonly lostSockets: readonly LostSocket[];
}

/** A user of whom nothing is known. */
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

/** A user's status is the highest of her sessions. */
export const computeUserStatus = (sessions: readonly SessionRecord[]): Status => {
  if (sessions.some((session) => session.status === 'ONLINE')) return 'ONLINE';
  return sessions.length > 0 ? 'PUSH_ONLINE' : 'OFFLINE';
};

export const findSession = (user: UserRecord, id: SessionId): SessionRecord | undefined =>
  user.sessions.find((session) => session.id === id);

export const hasOpenSocket = (session: SessionRecord): boolean => session.socketIds.length > 0;

/** The present as the first message of a subscription tells it. */
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
