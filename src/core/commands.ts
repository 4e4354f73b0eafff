/** Everything that can happen to a user, as data, and what comes of it. */
import type { DeviceId, SocketId, Millis, SessionId } from './ids.ts';
import type { Change, EndedSession, SessionRecord, UserRecord, Watch } from './records.ts';
import type { AppState, Platform } from './enums.ts';

export interface Login {
  readonly type: 'login';
  readonly sessionId: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly tokenHash: string;
  readonly appVersion: string | null;
  readonly osVersion: string | null;
  readonly ipAddress: string | null;
  readonly watch: Watch;
  /** The socket the login was made over, which moves to the new session. */
  readonly link: SocketId | null;
}

export type Command =
  | Login
  | {
      readonly type: 'heartbeat';
      readonly sessionId: SessionId;
      /** Null: as it was. */
      readonly appState: AppState | null;
      readonly ipAddress: string | null;
    }
  /** A sign of life other than a heartbeat. Over a socket it counts only while that one is attached. */
  | {
      readonly type: 'life';
      readonly sessionId: SessionId;
      readonly link: SocketId | null;
      readonly ipAddress: string | null;
    }
  | {
      readonly type: 'attach';
      readonly sessionId: SessionId;
      readonly link: SocketId;
      readonly ipAddress: string | null;
    }
  /** A socket is gone. `byServer`: closed for the server's own reasons, which is no DISCONNECT. */
  | { readonly type: 'detach'; readonly link: SocketId; readonly byServer: boolean }
  | { readonly type: 'logout'; readonly sessionId: SessionId }
  | {
      readonly type: 'customStatus';
      readonly sessionId: SessionId;
      readonly text: string | null;
    }
  /** A backend ends the sessions that match. */
  | {
      readonly type: 'end';
      readonly platform: Platform | null;
      readonly sessionId: SessionId | null;
      readonly revokeTokens: boolean;
    }
  /**
   * Time has passed. Only what was due by `dueBy` happens (left out: by now), for whoever gives a sign of life while
   * the wake waits for its turn has been heard before it.
   */
  | { readonly type: 'wake'; readonly dueBy?: Millis };

export interface Outcome {
  /** The same object when nothing at all changed. */
  readonly user: UserRecord;
  readonly changes: readonly Change[];
  /** Sessions that ended, in the order of their events. */
  readonly ended: readonly EndedSession[];
  /** The session the command was about, as it is now (as it last was, once ended); null when there is none. */
  readonly session: SessionRecord | null;
  /** Must this be on disk before anyone hears of it? Signs of life alone need not. */
  readonly durable: boolean;
}
