/** Counts what an engine has done since it was made. */
import type { AttemptOutcome } from '../../app/ports/webhook-stats.ts';
import type { Attempt } from '../../app/ports/webhook-store.ts';

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
