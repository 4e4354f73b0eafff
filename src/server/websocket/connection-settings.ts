/** Timeouts and limits of one WebSocket. */
import { DEFAULT_ADMISSION_LIMITS, type AdmissionLimits } from './admission-queue.ts';

export interface ConnectionSettings extends AdmissionLimits {
  /** The time for a client to send `connection_init`, and for the server to answer it. */
  readonly initTimeoutMs: number;
  /** The interval at which every socket is pinged. */
  readonly pingIntervalMs: number;
  /** Unanswered pings after which a socket without a session is terminated. */
  readonly maxUnansweredPings: number;
  /** How long running operations can delay a close. */
  readonly drainTimeoutMs: number;
  /** The time for a client to answer a close frame before it is terminated. It may have to read much data first. */
  readonly closeTimeoutMs: number;
  /** The same for a client whose `connection_init` was never acknowledged. */
  readonly unacknowledgedCloseTimeoutMs: number;
  /** The same for all clients together when the server shuts down. */
  readonly shutdownCloseTimeoutMs: number;
  /** Concurrent operations of one socket, subscriptions included. */
  readonly maxOperations: number;
  /** Unread bytes of a client. A client that sends more while it leaves more unread is disconnected. */
  readonly maxUnreadBytes: number;
}

export const DEFAULT_CONNECTION_SETTINGS: ConnectionSettings = {
  ...DEFAULT_ADMISSION_LIMITS,
  initTimeoutMs: 10_000,
  pingIntervalMs: 25_000,
  maxUnansweredPings: 2,
  drainTimeoutMs: 3_000,
  closeTimeoutMs: 30_000,
  unacknowledgedCloseTimeoutMs: 3_000,
  shutdownCloseTimeoutMs: 6_000,
  maxOperations: 200,
  maxUnreadBytes: 8 * 1024 * 1024,
};

/** Fragments of one message. Each takes as much memory as its content, or more. */
export const MAX_MESSAGE_FRAGMENTS = 1_024;

/** A client that answers pings within this time is never terminated. Mobile networks delay packets for many seconds. */
const MIN_PONG_WAIT_MS = 50_000;

/** With a short interval, more pings may stay unanswered. */
export const createPingSettings = (
  pingIntervalMs: number,
): Pick<ConnectionSettings, 'pingIntervalMs' | 'maxUnansweredPings'> => ({
  pingIntervalMs,
  maxUnansweredPings: Math.max(
    DEFAULT_CONNECTION_SETTINGS.maxUnansweredPings,
    Math.ceil(MIN_PONG_WAIT_MS / pingIntervalMs),
  ),
});
