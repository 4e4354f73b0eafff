/** Computes how one attempt changes a delivery, and counts the results of attempts. */
import type { AttemptResult } from '../../app/ports/webhook-stats.ts';
import { HTTP_GONE, type AttemptReport, type Delivery } from '../../app/ports/webhook-store.ts';
import type { Millis } from '../../core/ids.ts';
import { computeNextAttemptAt, computeCooldownAfterDeadMs } from './backoff.ts';

const HTTP_TOO_MANY_REQUESTS = 429;

export interface AttemptContext {
  /** When the attempt started. */
  readonly startedAt: Millis;
  /** When the attempt ended. */
  readonly now: Millis;
  /** Number of failed attempts in a row before this one. */
  readonly consecutiveFailures: number;
  /** At least 0, less than 1. */
  readonly random: number;
}

export interface DeliveryTransition {
  /** The delivery after the attempt. */
  readonly delivery: Delivery;
  /** Number of failed attempts in a row, including this one. Partial success restarts the count at 1. */
  readonly consecutiveFailures: number;
  /** The receiver answered 410: it wants no more deliveries. */
  readonly isReceiverGone: boolean;
  /** The receiver answered 429 or sent Retry-After: it wants fewer requests, whatever their content is. */
  readonly asksForPause: boolean;
  /** How long the shard waits before its next delivery, in ms. */
  readonly cooldownMs: number;
}

export const applyAttemptToDelivery = (
  delivery: Delivery,
  report: AttemptReport,
  context: AttemptContext,
): DeliveryTransition => {
  const { startedAt, now, random } = context;
  const attempted = {
    ...delivery,
    attempts: delivery.attempts + 1,
    lastAttemptAt: startedAt,
    lastStatus: report.status,
    lastError: report.error,
    nextAttemptAt: null,
  };
  if (report.error === null) {
    return {
      delivery: { ...attempted, status: 'DELIVERED', events: [] },
      consecutiveFailures: 0,
      isReceiverGone: false,
      asksForPause: false,
      cooldownMs: 0,
    };
  }
  const consecutiveFailures = report.deliveredEventCount > 0 ? 1 : context.consecutiveFailures + 1;
  const events = delivery.events.slice(report.deliveredEventCount);
  const { retryAfterMs } = report;
  const { giveUpAt } = delivery;
  const nextAttemptAt = computeNextAttemptAt({ now, consecutiveFailures, random, retryAfterMs, giveUpAt });
  const isReceiverGone = report.status === HTTP_GONE;
  const asksForPause = report.status === HTTP_TOO_MANY_REQUESTS || retryAfterMs !== null;
  if (nextAttemptAt === null && !isReceiverGone) {
    return {
      delivery: { ...attempted, status: 'DEAD', events },
      consecutiveFailures,
      isReceiverGone,
      asksForPause,
      cooldownMs: computeCooldownAfterDeadMs(retryAfterMs),
    };
  }
  // A delivery to a GONE webhook never becomes DEAD: it is retried when the webhook is enabled again.
  return {
    delivery: { ...attempted, status: 'RETRYING', events, nextAttemptAt: nextAttemptAt ?? now },
    consecutiveFailures,
    isReceiverGone,
    asksForPause,
    cooldownMs: 0,
  };
};

/** What an engine has done since it was created. */
export class DeliveryCounters {
  readonly attempts: Record<AttemptResult, number> = { TAKEN: 0, REFUSED: 0, UNANSWERED: 0 };
  eventsDelivered = 0;
  deliveriesDead = 0;
  webhooksGone = 0;

  /** Counts a completed attempt. @param before the delivery before the attempt. @param after the same, after it. */
  countAttempt(report: AttemptReport, before: Delivery, after: Delivery): void {
    this.attempts[classifyAttempt(report)]++;
    this.eventsDelivered += before.events.length - after.events.length;
    if (after.status === 'DEAD') this.deliveriesDead++;
  }
}

const classifyAttempt = ({ status, error }: AttemptReport): AttemptResult => {
  if (error === null) return 'TAKEN';
  return status === null ? 'UNANSWERED' : 'REFUSED';
};
