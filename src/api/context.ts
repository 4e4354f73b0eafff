/** What every resolver is given: the use cases, and who is asking from where. */
import type { Caller } from '../app/auth/caller.ts';
import type { Application } from '../app/application.ts';
import type { SocketId, SessionId } from '../core/ids.ts';

/** The socket an operation came over. */
export interface ApiSocket {
  readonly id: SocketId;
  /** A login made over this socket has attached it to a session: from now on it acts as that one too. */
  attachSession(sessionId: SessionId): void;
  /** @throws RATE_LIMITED when so many more users may not be watched over it. */
  reserveWatches(users: number): void;
  /** So many of them are not watched any more. */
  releaseWatches(users: number): void;
  /** Its reader is too slow for the feed: close it with 4411. */
  closeSlowConsumer(): void;
}

/** The root of one query or mutation: what its fields have asked for so far, all together. */
export interface OperationRoot {
  /** Users asked about, each as often as she was. */
  requestedUsers: number;
}

export interface ApiContext {
  readonly application: Application;
  /** As of now: on a socket, a login changes it. */
  readonly caller: Caller;
  readonly ipAddress: string | null;
  /** Null over HTTP. */
  readonly socket: ApiSocket | null;
}
