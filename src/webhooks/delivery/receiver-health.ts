/** Reports once that a receiver starts to fail, and once that it recovers, however many attempts lie between. */
import type { AttemptReport, Delivery, ShardLease } from '../../app/ports/webhook-store.ts';
import type { UserId, WebhookId } from '../../core/ids.ts';
import type { Shard } from '../../core/webhooks/webhook.ts';
import type { DeliveryTransition } from './attempt-outcome.ts';

/** Fewer failures in a row are not reported: a retry usually succeeds. */
const MIN_REPORTED_FAILURES = 3;

/** The fields of a log line. The URL is left out, because it may contain secrets. */
export interface ReceiverStateChange {
  readonly webhook: WebhookId;
  /** Only where the change concerns one user. */
  readonly user?: UserId;
  /** HTTP status of the last response; null: there was none. */
  readonly status: number | null;
  /** Why the last attempt failed; null: it succeeded. */
  readonly reason: string | null;
}

interface FailingReceiver {
  /** The shards whose current delivery fails. */
  readonly shards: Set<Shard>;
  isDeadDeliveryReported: boolean;
}

export class ReceiverHealth {
  readonly #report: (message: string, change: ReceiverStateChange) => void;
  /** The receivers that were reported as failing. */
  readonly #failing = new Map<WebhookId, FailingReceiver>();

  constructor(report: (message: string, change: ReceiverStateChange) => void) {
    this.#report = report;
  }

  /**
   * Records a completed attempt. Redeliveries (shard null) are ignored: each retries alone, and the failure may be caused
   * by its content.
   */
  recordAttempt(lease: ShardLease, report: AttemptReport, transition: DeliveryTransition): void {
    const { webhookId, shard } = lease;
    if (shard === null || transition.isReceiverGone) return;
    const change = toStateChange(webhookId, report);
    if (report.error === null) this.#recordSuccess(shard, change);
    else if (transition.delivery.status === 'DEAD') this.#recordDeadDelivery(shard, change);
    else if (transition.consecutiveFailures >= MIN_REPORTED_FAILURES) this.#reportFailing(change).shards.add(shard);
  }

  /** The webhook became GONE. */
  reportWebhookGone(webhookId: WebhookId, report: AttemptReport): void {
    this.#report(
      'A webhook receiver answered 410; the webhook is GONE and gets no deliveries until it is enabled.',
      toStateChange(webhookId, report),
    );
  }

  /** The receiver refuses the events of this user and accepts others. */
  reportIsolatedUser(
    webhook: WebhookId,
    user: UserId,
    { lastStatus, lastError }: Pick<Delivery, 'lastStatus' | 'lastError'>,
  ): void {
    this.#report(
      'A webhook receiver refuses the events of a user; they are retried apart, and the other events go on.',
      { webhook, status: lastStatus, reason: lastError, user },
    );
  }

  /** All events of the user that waited apart are DELIVERED or DEAD. */
  reportRejoinedUser(webhookId: WebhookId, user: UserId): void {
    this.#report('No more events of a user wait apart for a webhook receiver.', {
      webhook: webhookId,
      status: null,
      reason: null,
      user,
    });
  }

  /** Another server delivers the shard from now on. */
  forgetShard({ webhookId, shard }: ShardLease): void {
    const receiver = this.#failing.get(webhookId);
    if (receiver === undefined || shard === null || !receiver.shards.delete(shard)) return;
    if (receiver.shards.size === 0) this.#failing.delete(webhookId);
  }

  /** Forgets the webhooks for which `exists` returns false. */
  retainWebhooks(exists: (id: WebhookId) => boolean): void {
    for (const id of this.#failing.keys()) if (!exists(id)) this.#failing.delete(id);
  }

  #reportFailing(change: ReceiverStateChange): FailingReceiver {
    const reported = this.#failing.get(change.webhook);
    if (reported !== undefined) return reported;
    const receiver: FailingReceiver = { shards: new Set(), isDeadDeliveryReported: false };
    this.#failing.set(change.webhook, receiver);
    this.#report('A webhook receiver fails; its deliveries will be retried.', change);
    return receiver;
  }

  /** The shard continues with its next delivery, but the receiver counts as failing until one succeeds. */
  #recordDeadDelivery(shard: Shard, change: ReceiverStateChange): void {
    const receiver = this.#reportFailing(change);
    receiver.shards.delete(shard);
    if (receiver.isDeadDeliveryReported) return;
    receiver.isDeadDeliveryReported = true;
    this.#report('A webhook delivery is DEAD after its last retry; it can be redelivered.', change);
  }

  #recordSuccess(shard: Shard, change: ReceiverStateChange): void {
    const receiver = this.#failing.get(change.webhook);
    if (receiver === undefined) return;
    receiver.shards.delete(shard);
    if (receiver.shards.size > 0) return;
    this.#failing.delete(change.webhook);
    this.#report('A webhook receiver accepts deliveries again.', change);
  }
}

const toStateChange = (webhook: WebhookId, { status, error }: AttemptReport): ReceiverStateChange => ({
  webhook,
  status,
  reason: error,
});
