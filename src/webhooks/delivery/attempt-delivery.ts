/** Makes one attempt of a delivery and saves its result. */
import type { AttemptReport, Delivery } from '../../app/ports/webhook-store.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import { applyAttemptToDelivery, type DeliveryTransition } from './attempt-outcome.ts';
import { LeaseEndedError, type LeaseSession } from './lease-session.ts';

export interface AttemptInput {
  readonly webhook: WebhookRecord;
  readonly delivery: Delivery;
  /** Number of failed attempts in a row before this one. */
  readonly consecutiveFailures: number;
  /** Saves the delivery after the attempt. @throws LeaseEndedError */
  readonly save: (delivery: Delivery) => Promise<void>;
}

/**
 * @throws LeaseEndedError when the session is stopped before the attempt, or aborted during it. An aborted attempt does not
 * count; only the events that the receiver accepted before the abort are saved as delivered.
 */
export const attemptDelivery = async (session: LeaseSession, input: AttemptInput): Promise<DeliveryTransition> => {
  const { webhook, delivery, consecutiveFailures, save } = input;
  const { now, random, counters, receiverHealth } = session.deps;
  const startedAt = now();
  const report = await sendDelivery(session, webhook, delivery, save);
  const transition = applyAttemptToDelivery(delivery, report, {
    startedAt,
    now: now(),
    random: random(),
    consecutiveFailures,
  });
  await save(transition.delivery);
  counters.countAttempt(report, delivery, transition.delivery);
  receiverHealth.recordAttempt(session.lease, report, transition);
  if (transition.isReceiverGone) await markWebhookGone(session, webhook, report);
  return transition;
};

/**
 * Sends a delivery once. The result is not saved.
 * @param savePartial saves a delivery that was accepted in part when the attempt is aborted, so that nothing is sent again.
 * @throws LeaseEndedError as `attemptDelivery`.
 */
export const sendDelivery = async (
  session: LeaseSession,
  webhook: WebhookRecord,
  delivery: Delivery,
  savePartial: (delivery: Delivery) => Promise<void>,
): Promise<AttemptReport> => {
  const { now, counters, receiverStates } = session.deps;
  // The session may have been stopped while the log was read.
  session.throwIfStopped();
  // If the lease was not renewed in time, another server may already deliver the shard.
  if (session.lease.expiresAt <= now()) throw new LeaseEndedError();
  const report = await sendReportingErrors(session, webhook, delivery);
  receiverStates.getState(webhook.id).recordAttempt(report);
  session.throwIfLost();
  if (report.error === null || !session.abortSignal.aborted) return report;
  const { deliveredEventCount } = report;
  if (deliveredEventCount > 0) {
    await savePartial({ ...delivery, events: delivery.events.slice(deliveredEventCount) });
    counters.eventsDelivered += deliveredEventCount;
  }
  throw new LeaseEndedError();
};

const sendReportingErrors = async (
  { deps, abortSignal }: LeaseSession,
  webhook: WebhookRecord,
  delivery: Delivery,
): Promise<AttemptReport> => {
  try {
    return await deps.sender.attemptDelivery(webhook, delivery, abortSignal);
  } catch (error) {
    deps.onWarning(error, 'A webhook delivery attempt failed because of an internal error; it is retried.');
    return { status: null, error: 'Internal server error.', deliveredEventCount: 0, retryAfterMs: null };
  }
};

/**
 * Sets the webhook to GONE, unless it was changed since the attempt started: it may be paused, have another URL, or have
 * been enabled again after another shard set it to GONE.
 */
export const markWebhookGone = async (
  session: LeaseSession,
  { id, changedAt }: WebhookRecord,
  report: AttemptReport,
): Promise<void> => {
  const { webhookStore, counters, receiverHealth, now } = session.deps;
  let isNewlyGone = false;
  await session.retryStoreCall('A webhook could not be set to GONE; the server retries.', () =>
    webhookStore.updateWebhook(id, (webhook) => {
      isNewlyGone = webhook.state === 'ACTIVE' && webhook.changedAt === changedAt;
      return isNewlyGone ? { ...webhook, state: 'GONE', changedAt: now() } : webhook;
    }),
  );
  if (!isNewlyGone) return;
  counters.webhooksGone++;
  receiverHealth.reportWebhookGone(id, report);
};
