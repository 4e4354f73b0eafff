/**
 * Delivers one shard of one webhook in the order of the log. It sends one delivery at a time; a failed delivery blocks
 * the following ones until it is DELIVERED or DEAD. It keeps one delivery in memory.
 */
import type { LoggedEvent } from '../../app/ports/presence-store.ts';
import type { Delivery } from '../../app/ports/webhook-store.ts';
import { addMs, type Cursor, type Millis } from '../../core/ids.ts';
import type { PresenceEvent } from '../../core/records.ts';
import type { Shard, WebhookRecord } from '../../core/webhooks/webhook.ts';
import { attemptDelivery } from './attempt-delivery.ts';
import type { LeaseSession } from './lease-session.ts';
import { createDelivery, createLostEventsDelivery } from './new-delivery.ts';
import { MAX_BATCH_EVENTS, ShardLogReader, type ShardEvents } from './shard-log-reader.ts';
import { UnscannedEvents } from './unscanned-events.ts';

/** How long the first event of a batch waits for more. */
const BATCH_WINDOW_MS = 250;
/** A position at which nothing was delivered is saved within this time. */
const MAX_POSITION_SAVE_INTERVAL_MS = 60_000;

type Batch = ShardEvents & { readonly events: readonly [LoggedEvent, ...LoggedEvent[]] };

export class ShardWorker {
  readonly leaseSession: LeaseSession;
  readonly shard: Shard;
  readonly #logReader: ShardLogReader;
  readonly #position: ShardPosition;
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
    this.#logReader = new ShardLogReader(leaseSession, shard);
    this.#position = new ShardPosition(leaseSession);
    this.#cooldownUntil = leaseSession.deps.now();
  }

  /** When the oldest event occurred that is known to wait for delivery; null: none is known. */
  get oldestWaitingSince(): Millis | null {
    return this.#currentEventsSince ?? this.#unreadEventsSince ?? this.#unscanned.oldestOccurredAt;
  }

  /** Resolves when the session has ended. Never rejects. */
  deliverUntilLeaseEnds(): Promise<void> {
    return this.leaseSession.runReportingErrors(() => this.#deliverInOrder());
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
  }

  /** Advances an idle worker while the events that it skips are still cached in memory. */
  requestScanIfIdle(): void {
    if (this.#isIdle) this.requestScan();
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
    const { webhookStore } = this.leaseSession.deps;
    const failureMessage = 'Webhook delivery progress could not be read; the server retries.';
    const { position, pendingDelivery } = await this.leaseSession.callStoreWithLease(failureMessage, (lease) =>
      webhookStore.readProgress(lease),
    );
    this.#position.markSaved(position);
    if (pendingDelivery === null) return;
    this.#consecutiveFailures = pendingDelivery.attempts;
    await this.#retryUntilFinished(pendingDelivery);
  }

  /** Makes the first attempt. @returns the delivery if it has to be retried. */
  async #deliverBatch({ webhook, events, scannedThrough }: Batch): Promise<Delivery | null> {
    const delivery = createDelivery(this.#deliveryOrigin(), events, this.leaseSession.deps.retryForMs);
    const unfinished = await this.#attemptOnce(webhook, delivery, scannedThrough);
    this.#position.markSaved(scannedThrough);
    return unfinished;
  }

  async #retryUntilFinished(delivery: Delivery): Promise<void> {
    let unfinished: Delivery | null = delivery;
    while (unfinished !== null) {
      this.#currentEventsSince = unfinished.events[0]?.occurredAt ?? null;
      const webhook = await this.#waitForRetryTime(unfinished);
      unfinished = await this.#attemptOnce(webhook, unfinished);
    }
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

  /** @param position saved with the result. @returns the delivery if it has to be retried. */
  async #attemptOnce(webhook: WebhookRecord, delivery: Delivery, position?: Cursor): Promise<Delivery | null> {
    this.#attemptedChangedAt = webhook.changedAt;
    const consecutiveFailures = this.#consecutiveFailures;
    const transition = await attemptDelivery(this.leaseSession, { webhook, delivery, consecutiveFailures, position });
    this.#consecutiveFailures = transition.consecutiveFailures;
    this.#cooldownUntil = addMs(this.leaseSession.deps.now(), transition.cooldownMs);
    this.#currentEventsSince = null;
    return transition.delivery.status === 'RETRYING' ? transition.delivery : null;
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
        await this.#position.advanceTo(read.scannedThrough);
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
      const { generation: generation } = webhookCache;
      this.#unscanned.resetCount(MAX_BATCH_EVENTS);
      const read = await this.#logReader.readEvents(webhook, this.#position.current);
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
    const { current } = this.#position;
    if (current === null) return;
    await this.leaseSession.saveProgress({ delivery: createLostEventsDelivery(this.#deliveryOrigin(), current) });
    this.#position.resetToOldest();
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
    while (unscanned.isEmpty && !unscanned.isScanRequested && now() < this.#position.saveAt) {
      await this.leaseSession.waitUntil(this.#position.saveAt);
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

/** How far a shard has read the log. The position is saved with each delivery, and now and then without one. */
class ShardPosition {
  readonly #session: LeaseSession;
  /** Null: before the oldest event of the log. */
  #current: Cursor | null = null;
  #saved: Cursor | null = null;
  #saveAt: Millis;

  constructor(session: LeaseSession) {
    this.#session = session;
    this.#saveAt = session.deps.now();
  }

  get current(): Cursor | null {
    return this.#current;
  }

  /** When the position is saved next, even if nothing is delivered. */
  get saveAt(): Millis {
    return this.#saveAt;
  }

  /** The store has this position. */
  markSaved(position: Cursor): void {
    this.#current = this.#saved = position;
    this.#scheduleSave();
  }

  /** Moves on, and saves the position if that is due. @throws LeaseEndedError */
  async advanceTo(position: Cursor): Promise<void> {
    this.#current = position;
    if (this.#session.deps.now() < this.#saveAt) return;
    if (position !== this.#saved) {
      await this.#session.saveProgress({ position });
      this.#saved = position;
    }
    this.#scheduleSave();
  }

  /** Restarts before the oldest event; the new position is saved soon. */
  resetToOldest(): void {
    this.#current = null;
    this.#saveAt = this.#session.deps.now();
  }

  /** The random part spreads the writes of many shards. */
  #scheduleSave(): void {
    const { now, random } = this.#session.deps;
    this.#saveAt = addMs(now(), Math.ceil((MAX_POSITION_SAVE_INTERVAL_MS * (1 + random())) / 2));
  }
}

const isBatch = (read: ShardEvents): read is Batch => read.events.length > 0;
