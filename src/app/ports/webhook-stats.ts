/** What becomes of webhooks, in numbers: since this server started, and now. */
import type { Millis } from '../../core/ids.ts';
import type { WebhookState } from '../../core/enums.ts';

/** REFUSED: there was an answer, and it was no 2xx. */
export type AttemptOutcome = 'TAKEN' | 'REFUSED' | 'UNANSWERED';

export interface WebhookFigures {
  /** How many there are, as last read from the store. */
  readonly webhooks: Readonly<Record<WebhookState, number>>;
  /** Attempts that are over, but for those that were broken off and are made again. */
  readonly attempts: Readonly<Record<AttemptOutcome, number>>;
  /** In deliveries, or parts of them, that were taken. */
  readonly eventsDelivered: number;
  readonly deliveriesDead: number;
  /** How often a receiver said that it is gone. */
  readonly webhooksGone: number;
  /** How many shards are delivered by this engine now, those of what is redelivered included. */
  readonly shards: number;
  /**
   * When the oldest event happened that is known to be waiting for its receiver; null: none is. What waits for one that
   * is not ACTIVE, or is redelivered, does not count.
   */
  readonly oldestWaitingSince: Millis | null;
}
