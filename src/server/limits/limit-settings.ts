/** The limits for clients that an operator can set. */
import type { RateSettings } from './rate-limiter.ts';
import type { SocketCountLimits } from './socket-limiter.ts';

export interface LimitSettings extends SocketCountLimits, RateSettings {
  /** Users watched by all subscriptions of one socket together. */
  readonly maxWatchedPerSocket: number;
}
