/** Statistics of webhook deliveries by this server. Counters start at 0 when the server starts. */
import type { WebhookState } from '../../core/enums.ts';
import type { Millis } from '../../core/ids.ts';

/** TAKEN: a 2xx response. REFUSED: another response. UNANSWERED: no response. */
export type AttemptResult = 'TAKEN' | 'REFUSED' | 'UNANSWERED';

export interface WebhookStats {
  /** The number of webhooks, as last read from the store. */
  readonly webhooksByState: Readonly<Record<WebhookState, number>>;
  /** Completed attempts. Aborted attempts that are repeated are not counted. */
  readonly attemptsByResult: Readonly<Record<AttemptResult, number>>;
  /** Events in accepted requests. */
  readonly deliveredEvents: number;
  readonly deadDeliveries: number;
  /** How often a receiver answered 410. */
  readonly goneWebhooks: number;
  /** The shards that this server delivers now, with the null shards of redeliveries. */
  readonly activeShards: number;
  /**
   * When the oldest known undelivered event occurred; null: there is none. Events of webhooks that are not ACTIVE,
   * redeliveries, and events of isolated users are not included.
   */
  readonly oldestPendingEventAt: Millis | null;
  /** Users whose events a receiver refuses while it accepts others, counted once for each webhook. */
  readonly isolatedUsers: number;
}
