/** What the doors let in, as an operator sets it. */
import type { RateSettings } from './rates.ts';
import type { SocketCountLimits } from './socket-counts.ts';

export interface DoorLimits extends SocketCountLimits, RateSettings {
  /** Users watched over one socket, all of its subscriptions together. */
  readonly maxWatchedPerSocket: number;
}
