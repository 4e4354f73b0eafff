/** The commands that change a user, as data, and the outcome of applying one. */
import type { DeviceId, Millis, SessionId, SocketId } from './ids.ts';
import type { EndedSession, SessionRecord, UserChange, UserRecord, WatchScope } from './records.ts';
import type { AppState, Platform } from './enums.ts';

/** Creates a session. It ends the sessions that the multi-device policy does not allow beside the new one. */
export interface LoginCommand {
  readonly type: 'login';
  readonly sessionId: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly tokenHash: string;
  readonly appVersion: string | null;
  readonly osVersion: string | null;
  readonly ipAddress: string | null;
  readonly watchScope: WatchScope;
  /** The socket that sent the login; it is attached to the new session. Null over HTTP. */
  readonly socketId: SocketId | null;
}

/** Activity that also reports the app state and updates the session's timings from the policy. */
export interface HeartbeatCommand {
  readonly type: 'heartbeat';
  readonly sessionId: SessionId;
  /** Null: unchanged. */
  readonly appState: AppState | null;
  readonly ipAddress: string | null;
}

/** Activity other than a heartbeat. */
export interface ActivityCommand {
  readonly type: 'activity';
  readonly sessionId: SessionId;
  /** The socket that it arrived on; ignored unless that socket is attached to the session. Null over HTTP. */
  readonly socketId: SocketId | null;
  readonly ipAddress: string | null;
}

/** A socket authenticated as the session. */
export interface AttachSocketCommand {
  readonly type: 'attachSocket';
  readonly sessionId: SessionId;
  readonly socketId: SocketId;
  readonly ipAddress: string | null;
}

/** A socket closed. */
export interface DetachSocketCommand {
  readonly type: 'detachSocket';
  readonly socketId: SocketId;
  /** True: the server closed it for its own reasons. The session is not disconnected; its heartbeat timeout continues. */
  readonly closedByServer: boolean;
}

export interface LogoutCommand {
  readonly type: 'logout';
  readonly sessionId: SessionId;
}

export interface SetCustomStatusCommand {
  readonly type: 'setCustomStatus';
  readonly sessionId: SessionId;
  /** Null removes it. */
  readonly text: string | null;
}

/** A backend ends the matching sessions. A null filter matches every session. */
export interface EndSessionsCommand {
  readonly type: 'endSessions';
  readonly platform: Platform | null;
  readonly sessionId: SessionId | null;
  /** Also rejects JWTs that were issued before now. */
  readonly revokeTokens: boolean;
}

/** Time has passed: sessions whose deadline has come time out or end. */
export interface ExpireCommand {
  readonly type: 'expire';
  /**
   * Only deadlines up to this time are applied; omitted: up to now. A command that waited in the user's queue must not
   * time out a session whose activity is behind it in that queue.
   */
  readonly dueBy?: Millis;
}

export type Command =
  | LoginCommand
  | HeartbeatCommand
  | ActivityCommand
  | AttachSocketCommand
  | DetachSocketCommand
  | LogoutCommand
  | SetCustomStatusCommand
  | EndSessionsCommand
  | ExpireCommand;

export interface CommandOutcome {
  /** The same object when nothing changed. */
  readonly user: UserRecord;
  readonly changes: readonly UserChange[];
  /** Sessions that ended, in the order of their events. */
  readonly endedSessions: readonly EndedSession[];
  /** The session named by the command, after the command; its last state if it ended. Null if there is none. */
  readonly session: SessionRecord | null;
  /** True: the change must be durable before it is published or answered. False for activity alone. */
  readonly mustBeDurable: boolean;
}
