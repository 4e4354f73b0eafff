/** What becomes of a delivery by one attempt. */
import { GONE, type Attempt, type Delivery } from '../../app/ports/webhook-store.ts';
import type { Millis } from '../../core/ids.ts';
import { restMs, retryAt } from './backoff.ts';

export interface Circumstances {
  /** When the attempt began, and when it was over. */
  readonly startedAt: Millis;
  readonly now: Millis;
  /** How many attempts in a row had failed before this one. */
  readonly failures: number;
  /** At least 0, less than 1. */
  readonly random: number;
}

export interface Settled {
  /** As it stands now. */
  readonly delivery: Delivery;
  /** How many attempts in a row have failed by now: one that brought something on its way begins anew. */
  readonly failures: number;
  /** The receiver wants to be told nothing more. */
  readonly isGone: boolean;
  /** For how long, in ms, the receiver is to be left alone before it is told something else. */
  readonly restMs: number;
}

export const outcomeOf = (delivery: Delivery, attempt: Attempt, circumstances: Circumstances): Settled => {
  const { startedAt, now, random } = circumstances;
  const tried = {
    ...delivery,
    attempts: delivery.attempts + 1,
    lastAttemptAt: startedAt,
    lastStatus: attempt.status,
    lastError: attempt.error,
    nextAttemptAt: null,
  };
  if (attempt.error === null) {
    return { delivery: { ...tried, status: 'DELIVERED', events: [] }, failures: 0, isGone: false, restMs: 0 };
  }
  const failures = attempt.eventsDone > 0 ? 1 : circumstances.failures + 1;
  const events = delivery.events.slice(attempt.eventsDone);
  const { retryAfterMs } = attempt;
  const nextAttemptAt = retryAt({ now, failures, random, retryAfterMs, giveUpAt: delivery.giveUpAt });
  const isGone = attempt.status === GONE;
  if (nextAttemptAt === null && !isGone) {
    return { delivery: { ...tried, status: 'DEAD', events }, failures, isGone, restMs: restMs(retryAfterMs) };
  }
  // Of a receiver that is gone nothing is given up: it is told the rest when somebody says that it is there again.
  return {
    delivery: { ...tried, status: 'RETRYING', events, nextAttemptAt: nextAttemptAt ?? now },
    failures,
    isGone,
    restMs: 0,
  };
};
