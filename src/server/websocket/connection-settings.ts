/** What one socket may take, in time and in room. */
import { DEFAULT_ADMISSION_LIMITS, type AdmissionLimits } from './admission-queue.ts';

export interface ConnectionSettings extends AdmissionLimits {
  /** How long a client may take to send `connection_init`, and we to answer it. */
  readonly initTimeoutMs: number;
  /** How often every socket is pinged. */
  readonly pingIntervalMs: number;
  /** How long what is in flight may hold up a close. */
  readonly drainTimeoutMs: number;
  /** How long a client may take to answer a close before it is cut off. It may have much to read before it. */
  readonly closeTimeoutMs: number;
  /** The same for one that was never let in. */
  readonly unacknowledgedCloseTimeoutMs: number;
  /** The same for all of them together when the server goes down, which cannot wait so long. */
  readonly shutdownCloseTimeoutMs: number;
  /** Operations on one socket at once, subscriptions too. */
  readonly maxOperations: number;
  /** What a client may leave unread while it sends more. */
  readonly maxUnreadBytes: number;
}

export const DEFAULT_CONNECTION_SETTINGS: ConnectionSettings = {
  ...DEFAULT_ADMISSION_LIMITS,
  initTimeoutMs: 10_000,
  pingIntervalMs: 30_000,
  drainTimeoutMs: 3_000,
  closeTimeoutMs: 30_000,
  unacknowledgedCloseTimeoutMs: 3_000,
  shutdownCloseTimeoutMs: 6_000,
  maxOperations: 200,
  maxUnreadBytes: 8 * 1024 * 1024,
};

/** In so many pieces a message may come: what each of them takes is as much as what is in it, or more. */
export const MAX_MESSAGE_FRAGMENTS = 1_024;

/** Pings that a socket without a session may leave unanswered. */
export const MAX_UNANSWERED_PINGS = 2;
