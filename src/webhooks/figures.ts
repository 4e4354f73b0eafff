/** What the engine has done since it was made, and how far it is behind. */
import type { Attempt } from '../app/webhook-ports.ts';
import type { Millis } from '../core/ids.ts';

export const ATTEMPT_OUTCOMES = ['TAKEN', 'REFUSED', 'UNANSWERED'] as const;
/** REFUSED: there was an answer, and it was no 2xx. */
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

export interface WebhookFigures {
  /** Attempts that are over, but for those that were broken off and are made again. */
  readonly attempts: Readonly<Record<AttemptOutcome, number>>;
  /** In deliveries, or parts of them, that were taken. */
  readonly eventsDelivered: number;
  readonly deliveriesDead: number;
  /** How often a receiver said that it is gone. */
  readonly webhooksGone: number;
  /** How many shards are delivered by this engine now, those of what is redelivered included. */
  readonly shards: number;
  /** When the oldest event happened that is known to be waiting for its receiver; null: none is. */
  readonly oldestWaitingSince: Millis | null;
}

export const attemptOutcome = ({ status, error }: Attempt): AttemptOutcome => {
  if (error === null) return 'TAKEN';
  return status === null ? 'UNANSWERED' : 'REFUSED';
};

export class Tally {
  readonly attempts: Record<AttemptOutcome, number> = { TAKEN: 0, REFUSED: 0, UNANSWERED: 0 };
  eventsDelivered = 0;
  deliveriesDead = 0;
  webhooksGone = 0;
}
