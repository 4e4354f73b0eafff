/** What becomes of webhooks, in numbers: since this server started, and now. */
import type { Millis } from '../../core/ids.ts';
import type { WebhookState } from '../../core/enums.ts';

/** REFUSED: there was an answer, and it was no 2xx. */
export type AttemptResult = 'TAKEN' | 'REFUSED' | 'UNANSWERED';

export interface WebhookStats {
  /** How many there are, as last read from the store. */
  readonly webhooksByState: Readonly<Record<WebhookState, number>>;
  /** Attempts that are over, but for those that were broken off and are made again. */
  readonly attemptsByResult: Readonly<Record<AttemptResult, number>>;
  /** In deliveries, or parts of them, that were taken. */
  readonly deliveredEvents: number;
  readonly deadDeliveries: number;
  /** How often a receiver said that it is gone. */
  readonly goneWebhooks: number;
  /** How many shards are delivered by this engine now, those of what is redelivered included. */
  readonly activeShards: number;
  /**
   * When the oldest event happened that is known to be waiting for its receiver; null: none is. What waits for one that
   * is not ACTIVE, or is redelivered, does not count.
   */
  readonly oldestPendingEventAt: Millis | null;
}
