/** What the doors let in, as an operator sets it. */
import type { RateSettings } from './rate-limiter.ts';
import type { SocketCountLimits } from './socket-limiter.ts';

export interface DoorLimits extends SocketCountLimits, RateSettings {
  /** Users watched over one socket, all of its subscriptions together. */
  readonly maxWatchedPerSocket: number;
}
