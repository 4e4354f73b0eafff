/** What one socket may take, in time and in room. */
import { GATE_LIMITS, type GateLimits } from './admission-queue.ts';

export interface SocketLimits extends GateLimits {
  /** How long a client may take to send `connection_init`, and we to answer it. */
  readonly initMs: number;
  /** How often every socket is pinged. */
  readonly pingMs: number;
  /** How long what is in flight may hold up a close. */
  readonly drainMs: number;
  /** How long a client may take to answer a close before it is cut off. It may have much to read before it. */
  readonly closeMs: number;
  /** The same for one that was never let in. */
  readonly strangerCloseMs: number;
  /** The same for all of them together when the server goes down, which cannot wait so long. */
  readonly lastCloseMs: number;
  /** Operations on one socket at once, subscriptions too. */
  readonly maxOperations: number;
  /** What a client may leave unread while it sends more. */
  readonly maxUnreadBytes: number;
}

export const SOCKET_LIMITS: SocketLimits = {
  ...GATE_LIMITS,
  initMs: 10_000,
  pingMs: 30_000,
  drainMs: 3_000,
  closeMs: 30_000,
  strangerCloseMs: 3_000,
  lastCloseMs: 6_000,
  maxOperations: 200,
  maxUnreadBytes: 8 * 1024 * 1024,
};

/** In so many pieces a message may come: what each of them takes is as much as what is in it, or more. */
export const MAX_PIECES = 1_024;

/** Pings that a socket without a session may leave unanswered. */
export const MAX_UNANSWERED_PINGS = 2;
