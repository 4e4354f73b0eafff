/** Makes one attempt of a delivery and saves its result. */
import type { AttemptReport, Delivery } from '../../app/ports/webhook-store.ts';
import type { Cursor } from '../../core/ids.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import { applyAttemptToDelivery, type DeliveryTransition } from './attempt-outcome.ts';
import { LeaseEndedError, type LeaseSession } from './lease-session.ts';

export interface AttemptInput {
  readonly webhook: WebhookRecord;
  readonly delivery: Delivery;
  /** Number of failed attempts in a row before this one. */
  readonly consecutiveFailures: number;
  /** Saved together with the result. */
  readonly position?: Cursor | undefined;
}

/**
 * @throws LeaseEndedError when the session is stopped before the attempt, or aborted during it. An aborted attempt does not
 * count; only the events that the receiver accepted before the abort are saved as delivered.
 */
export const attemptDelivery = async (session: LeaseSession, input: AttemptInput): Promise<DeliveryTransition> => {
  const { webhook, delivery, consecutiveFailures, position } = input;
  const { now, random, counters, receiverHealth } = session.deps;
  const startedAt = now();
  // The session may have been stopped while the log was read.
  session.throwIfStopped();
  // If the lease was not renewed in time, another server may already deliver the shard.
  if (session.lease.expiresAt <= startedAt) throw new LeaseEndedError();
  const report = await sendAttempt(session, webhook, delivery);
  session.throwIfLost();
  if (report.error !== null && session.abortSignal.aborted) {
    await savePartialDelivery(session, input, report.deliveredEventCount);
    throw new LeaseEndedError();
  }
  const transition = applyAttemptToDelivery(delivery, report, {
    startedAt,
    now: now(),
    random: random(),
    consecutiveFailures,
  });
  await saveDelivery(session, transition.delivery, position);
  counters.countAttempt(report, delivery, transition.delivery);
  receiverHealth.recordAttempt(session.lease, report, transition);
  if (transition.isReceiverGone) await markWebhookGone(session, webhook, report);
  return transition;
};

const sendAttempt = async (
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

const saveDelivery = (session: LeaseSession, delivery: Delivery, position: Cursor | undefined): Promise<void> =>
  session.saveProgress({ delivery, ...(position === undefined ? {} : { position }) });

/** Saves what an aborted attempt delivered, so that it is not sent again. */
const savePartialDelivery = async (
  session: LeaseSession,
  { delivery, position }: AttemptInput,
  deliveredEventCount: number,
): Promise<void> => {
  if (deliveredEventCount === 0) return;
  await saveDelivery(session, { ...delivery, events: delivery.events.slice(deliveredEventCount) }, position);
  session.deps.counters.eventsDelivered += deliveredEventCount;
};

/**
 * Sets the webhook to GONE, unless it was changed since the attempt started: it may be paused, have another URL, or have
 * been enabled again after another shard set it to GONE.
 */
const markWebhookGone = async (
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
