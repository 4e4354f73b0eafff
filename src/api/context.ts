/** The context of every resolver: the use cases, the caller and the connection. */
import type { Caller } from '../app/auth/caller.ts';
import type { Application } from '../app/application.ts';
import type { SocketId, SessionId } from '../core/ids.ts';

/** The WebSocket over which an operation arrived. */
export interface ApiSocket {
  readonly id: SocketId;
  /** Binds the socket to a session that logged in over it. Later operations act as this session too. */
  attachSession(sessionId: SessionId): void;
  /** Counts watched users. @throws RATE_LIMITED when the socket would watch too many users. */
  reserveWatches(users: number): void;
  /** Releases users that are no longer watched. */
  releaseWatches(users: number): void;
  /** Closes the socket with 4411, because its client reads events too slowly. */
  closeSlowConsumer(): void;
}

/** The root value of one query or mutation. It counts over all of its fields. */
export interface OperationRoot {
  /** Number of requested users. A user who is requested twice counts twice. */
  requestedUsers: number;
}

export interface ApiContext {
  readonly application: Application;
  /** The current caller. On a WebSocket, a login changes it. */
  readonly caller: Caller;
  readonly ipAddress: string | null;
  /** Null over HTTP. */
  readonly socket: ApiSocket | null;
}
