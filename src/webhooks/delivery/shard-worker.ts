/**
 * Delivers one shard of one webhook in the order of the log. It sends one delivery at a time; a failed delivery blocks
 * the following ones until it is DELIVERED or DEAD. Only the events of isolated users are sent beside it.
 */
import type { LoggedEvent } from '../../app/ports/presence-store.ts';
import type { AttemptReport, Delivery } from '../../app/ports/webhook-store.ts';
import { addMs, type Millis, type UserId } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import type { Shard, WebhookRecord } from '../../core/webhooks/webhook.ts';
import { DeliverySplitter } from '../isolation/delivery-splitter.ts';
import { IsolatedUserWorker } from '../isolation/isolated-user-worker.ts';
import type { ReceiverState } from '../isolation/receiver-state.ts';
import { attemptDelivery } from './attempt-delivery.ts';
import { applyAttemptToDelivery, type DeliveryTransition } from './attempt-outcome.ts';
import type { LeaseSession } from './lease-session.ts';
import { createDelivery, createLostEventsDelivery } from './new-delivery.ts';
import { MAX_BATCH_EVENTS, ShardLogReader, type ShardEvents } from './shard-log-reader.ts';
import { ShardProgress, type ScannedPart } from './shard-progress.ts';
import { UnscannedEvents } from './unscanned-events.ts';

/** How long the first event of a batch waits for more. */
const BATCH_WINDOW_MS = 250;

type Batch = ShardEvents & { readonly events: readonly [LoggedEvent, ...LoggedEvent[]] };

export class ShardWorker {
  readonly leaseSession: LeaseSession;
  readonly shard: Shard;
  readonly #logReader: ShardLogReader;
  readonly #progress: ShardProgress;
  readonly #receiver: ReceiverState;
  readonly #splitter: DeliverySplitter;
  readonly #isolatedWorkers = new Map<UserId, IsolatedUserWorker>();
  readonly #isolatedWork = new Set<Promise<void>>();
  readonly #unscanned = new UnscannedEvents();
  #consecutiveFailures = 0;
  #cooldownUntil: Millis;
  /** `changedAt` of the webhook at the last attempt; null: this worker made none yet. */
  #attemptedChangedAt: Millis | null = null;
  /** When the oldest event of the current batch or delivery occurred. */
  #currentEventsSince: Millis | null = null;
  /** When the last event that was read occurred, if the log has more. Events that follow wait since then at most. */
  #unreadEventsSince: Millis | null = null;
  #isIdle = false;

  constructor(leaseSession: LeaseSession, shard: Shard) {
    this.leaseSession = leaseSession;
    this.shard = shard;
    this.#progress = new ShardProgress(leaseSession);
    this.#progress.onUserSkipped = (userId) => this.#isolatedWorkers.get(userId)?.wake();
    this.#logReader = new ShardLogReader(leaseSession, shard, this.#progress);
    this.#receiver = leaseSession.deps.receiverStates.getState(leaseSession.lease.webhookId);
    this.#splitter = new DeliverySplitter({
      session: leaseSession,
      shard,
      progress: this.#progress,
      receiver: this.#receiver,
      logReader: this.#logReader,
      getConsecutiveFailures: () => this.#consecutiveFailures,
      resetFailures: () => (this.#consecutiveFailures = 0),
      attemptWhole: (webhook, delivery) => this.#attemptOnce(webhook, delivery),
      applyFailure: (delivery, report, startedAt) => this.#applyFailure(delivery, report, startedAt),
      onIsolated: (userId) => this.#startIsolatedWorker(userId),
    });
    this.#cooldownUntil = leaseSession.deps.now();
  }

  /** When the oldest event occurred that is known to wait for delivery; null: none is known. */
  get oldestWaitingSince(): Millis | null {
    return this.#currentEventsSince ?? this.#unreadEventsSince ?? this.#unscanned.oldestOccurredAt;
  }

  /** Resolves when the session and all attempts have ended. Never rejects. */
  async deliverUntilLeaseEnds(): Promise<void> {
    await this.leaseSession.runReportingErrors(() => this.#deliverInOrder());
    await Promise.all(this.#isolatedWork);
    this.#receiver.releaseIsolation(this.#progress.isolatedUserCount);
  }

  /** Called for every commit of this shard. Cheap: it stops counting when a batch is complete. */
  countCommittedEvents(events: readonly PresenceEvent[]): void {
    if (this.#unscanned.isThresholdReached) return;
    const { deps, lease } = this.leaseSession;
    const webhook = deps.webhookCache.getCachedWebhook(lease.webhookId);
    if (webhook === undefined) return;
    if (this.#unscanned.countWantedEvents(webhook, events)) this.leaseSession.interruptWait();
  }

  /** The webhook may have changed: reads the log again even without new events. */
  requestScan(): void {
    this.#unscanned.requestScan();
    this.leaseSession.interruptWait();
    this.#receiver.endPause();
    for (const worker of this.#isolatedWorkers.values()) worker.wake();
  }

  /** Advances an idle worker while the events that it skips are still cached in memory. */
  requestScanIfIdle(): void {
    if (!this.#isIdle) return;
    this.#unscanned.requestScan();
    this.leaseSession.interruptWait();
  }

  async #deliverInOrder(): Promise<never> {
    await this.#restoreProgress();
    for (;;) {
      const batch = await this.#waitForBatch();
      const unfinished = await this.#deliverBatch(batch);
      if (unfinished !== null) await this.#retryUntilFinished(unfinished);
    }
  }

  async #restoreProgress(): Promise<void> {
    const pendingDelivery = await this.#progress.restore();
    const isolated = this.#progress.listIsolatedUserIds();
    this.#receiver.restoreIsolation(isolated.length);
    for (const userId of isolated) this.#startIsolatedWorker(userId);
    if (pendingDelivery === null) return;
    this.#consecutiveFailures = pendingDelivery.attempts;
    await this.#retryUntilFinished(pendingDelivery);
  }

  #startIsolatedWorker(userId: UserId): void {
    const worker = new IsolatedUserWorker(
      { session: this.leaseSession, shard: this.shard, progress: this.#progress, receiver: this.#receiver },
      userId,
    );
    this.#isolatedWorkers.set(userId, worker);
    const work = this.leaseSession
      .runReportingErrors(() => worker.deliverUntilRejoined())
      .finally(() => {
        if (this.#isolatedWorkers.get(userId) === worker) this.#isolatedWorkers.delete(userId);
        this.#isolatedWork.delete(work);
      });
    this.#isolatedWork.add(work);
  }

  /** Makes the first attempt. @returns the delivery if it has to be retried. */
  async #deliverBatch(batch: Batch): Promise<Delivery | null> {
    const created = createDelivery(this.#deliveryOrigin(), batch.events, this.leaseSession.deps.retryForMs);
    const { delivery } = await this.#attemptOnce(batch.webhook, created, batch);
    return delivery.status === 'RETRYING' ? delivery : null;
  }

  async #retryUntilFinished(delivery: Delivery): Promise<void> {
    this.#splitter.startDelivery();
    let unfinished: Delivery | null = delivery;
    while (unfinished !== null) {
      this.#currentEventsSince = unfinished.events[0]?.occurredAt ?? null;
      const webhook = await this.#waitForRetryTime(unfinished);
      this.#attemptedChangedAt = webhook.changedAt;
      unfinished = await this.#splitter.retryDelivery(webhook, unfinished);
    }
    this.#currentEventsSince = null;
  }

  /** Ends early when the webhook has changed since the last attempt. @returns the current webhook. */
  async #waitForRetryTime(delivery: Delivery): Promise<WebhookRecord> {
    const { nextAttemptAt } = delivery;
    const { now } = this.leaseSession.deps;
    for (;;) {
      const webhook = await this.leaseSession.loadActiveWebhook();
      if (nextAttemptAt === null || nextAttemptAt <= now()) return webhook;
      if (this.#hasChangedSinceAttempt(webhook, delivery)) return webhook;
      // The clock was set back since the last attempt, so the wait is unknown.
      if (delivery.lastAttemptAt !== null && delivery.lastAttemptAt > now()) return webhook;
      await this.leaseSession.waitUntil(nextAttemptAt);
    }
  }

  #hasChangedSinceAttempt({ changedAt }: WebhookRecord, { lastAttemptAt }: Delivery): boolean {
    return this.#attemptedChangedAt === null
      ? changedAt > (lastAttemptAt ?? 0)
      : changedAt !== this.#attemptedChangedAt;
  }

  /** @param scanned saved with the result. */
  async #attemptOnce(webhook: WebhookRecord, delivery: Delivery, scanned?: ScannedPart): Promise<DeliveryTransition> {
    this.#attemptedChangedAt = webhook.changedAt;
    const transition = await attemptDelivery(this.leaseSession, {
      webhook,
      delivery,
      consecutiveFailures: this.#consecutiveFailures,
      save: (result) => this.#progress.commit(() => ({ scanned, deliveries: [result] })),
    });
    this.#consecutiveFailures = transition.consecutiveFailures;
    this.#cooldownUntil = addMs(this.leaseSession.deps.now(), transition.cooldownMs);
    this.#currentEventsSince = null;
    return transition;
  }

  /** An attempt of a part of the delivery failed. */
  #applyFailure(delivery: Delivery, report: AttemptReport, startedAt: Millis): Delivery {
    const { now, random, counters, receiverHealth } = this.leaseSession.deps;
    const context = { startedAt, now: now(), random: random(), consecutiveFailures: this.#consecutiveFailures };
    const transition = applyAttemptToDelivery(delivery, report, context);
    this.#consecutiveFailures = transition.consecutiveFailures;
    this.#cooldownUntil = addMs(now(), transition.cooldownMs);
    if (transition.delivery.status === 'DEAD') counters.deliveriesDead++;
    receiverHealth.recordAttempt(this.leaseSession.lease, report, transition);
    return transition.delivery;
  }

  async #waitForBatch(): Promise<Batch> {
    const { now } = this.leaseSession.deps;
    while (now() < this.#cooldownUntil) await this.leaseSession.waitUntil(this.#cooldownUntil);
    for (;;) {
      const read = await this.#readEvents();
      if (isBatch(read)) {
        const sendAt = this.#batchSendTime(read);
        if (sendAt <= now()) return read;
        await this.#waitForEvents(sendAt, MAX_BATCH_EVENTS - read.events.length);
      } else {
        await this.#progress.advanceTo(read);
        if (read.isEndOfLog) await this.#waitForFirstEvent();
      }
    }
  }

  /** A full batch is sent at once, others when the batch window of the first event ends. */
  #batchSendTime({ events, isEndOfLog }: Batch): Millis {
    const now = this.leaseSession.deps.now();
    const { occurredAt } = events[0];
    if (events.length >= MAX_BATCH_EVENTS || !isEndOfLog) return now;
    // An event of the future was logged before the clock was set back, so it has waited already.
    return occurredAt > now ? now : addMs(occurredAt, BATCH_WINDOW_MS);
  }

  async #readEvents(): Promise<ShardEvents> {
    const { webhookCache } = this.leaseSession.deps;
    for (;;) {
      const webhook = await this.leaseSession.loadActiveWebhook();
      const { generation } = webhookCache;
      this.#unscanned.resetCount(MAX_BATCH_EVENTS);
      const read = await this.#logReader.readEvents(webhook);
      if (read === null) {
        await this.#skipExpiredEvents();
      } else if (generation === webhookCache.generation) {
        this.#currentEventsSince = read.events[0]?.occurredAt ?? null;
        this.#unreadEventsSince = read.isEndOfLog ? null : (read.events.at(-1)?.occurredAt ?? this.#unreadEventsSince);
        return read;
      }
      // Otherwise a webhook changed while the log was read, so the filter may be outdated.
    }
  }

  /** Continues with the oldest event of the log, and saves a DEAD delivery that reports the gap. */
  async #skipExpiredEvents(): Promise<void> {
    const { deps, lease } = this.leaseSession;
    const { position } = this.#progress;
    if (position === null) return;
    const lost = createLostEventsDelivery(this.#deliveryOrigin(), position);
    await this.#progress.commit(() => ({ deliveries: [lost] }));
    this.#progress.resetToOldest();
    deps.counters.deliveriesDead++;
    deps.onWarning(
      new Error(`Shard ${this.shard} of webhook ${lease.webhookId} continues with the oldest event in the log.`),
      'Retention removed events before they were delivered to a webhook; they are skipped.',
    );
  }

  /** Waits for the first wanted event and then for its batch window, or until the log must be read anyway. */
  async #waitForFirstEvent(): Promise<void> {
    const { now } = this.leaseSession.deps;
    const unscanned = this.#unscanned;
    this.#isIdle = true;
    while (unscanned.isEmpty && !unscanned.isScanRequested && now() < this.#progress.saveAt) {
      await this.leaseSession.waitUntil(this.#progress.saveAt);
    }
    this.#isIdle = false;
    const { oldestOccurredAt } = unscanned;
    if (oldestOccurredAt !== null)
      await this.#waitForEvents(addMs(oldestOccurredAt, BATCH_WINDOW_MS), MAX_BATCH_EVENTS);
  }

  /** Waits until `count` events were committed since the last read, or until `until`. */
  async #waitForEvents(until: Millis, count: number): Promise<void> {
    const { now } = this.leaseSession.deps;
    const unscanned = this.#unscanned;
    unscanned.setThreshold(count);
    while (!unscanned.isThresholdReached && !unscanned.isScanRequested && now() < until) {
      await this.leaseSession.waitUntil(until);
    }
  }

  #deliveryOrigin() {
    const { deps, lease } = this.leaseSession;
    return { webhookId: lease.webhookId, shard: this.shard, now: deps.now() };
  }
}

const isBatch = (read: ShardEvents): read is Batch => read.events.length > 0;
