/**
 * Delivers the redeliveries of one webhook. Their order does not matter, so several run at once, each with its own
 * retries. A slow receiver keeps its slot until the attempt ends.
 */
import type { Delivery, DueDeliveries } from '../../app/ports/webhook-store.ts';
import { addMs, toMillis, type DeliveryId, type Millis } from '../../core/ids.ts';
import { attemptDelivery } from './attempt-delivery.ts';
import type { LeaseSession } from './lease-session.ts';

const MAX_CONCURRENT_ATTEMPTS = 4;
/** The store is read again after this time at the latest. */
const MAX_SCAN_INTERVAL_MS = 60_000;

export class RedeliveryWorker {
  readonly leaseSession: LeaseSession;
  readonly #attemptsInProgress = new Map<DeliveryId, Promise<void>>();

  constructor(leaseSession: LeaseSession) {
    this.leaseSession = leaseSession;
  }

  /** Resolves when the session and all attempts have ended. Never rejects. */
  async deliverUntilLeaseEnds(): Promise<void> {
    await this.leaseSession.runReportingErrors(() => this.#startDueAttempts());
    await Promise.all(this.#attemptsInProgress.values());
  }

  /** Deliveries may have been added: reads the store again. */
  requestScan(): void {
    this.leaseSession.interruptWait();
  }

  async #startDueAttempts(): Promise<never> {
    const { leaseSession } = this;
    for (;;) {
      await leaseSession.loadActiveWebhook();
      const due = await this.#findDueDeliveries();
      for (const delivery of due.deliveries) this.#startAttempt(delivery);
      await leaseSession.waitUntil(this.#nextScanAt(due.nextDueAt));
    }
  }

  #nextScanAt(nextDueAt: Millis | null): Millis {
    const now = this.leaseSession.deps.now();
    const latest = addMs(now, MAX_SCAN_INTERVAL_MS);
    // Deliveries in progress are still due in the store and may fill its answer, so a past `nextDueAt` is ignored.
    const isSlotFree = this.#attemptsInProgress.size < MAX_CONCURRENT_ATTEMPTS;
    return isSlotFree && nextDueAt !== null && nextDueAt > now ? toMillis(Math.min(nextDueAt, latest)) : latest;
  }

  /** If none is due, returns those dated in the future: the clock was set back, so their wait is unknown. */
  async #findDueDeliveries(): Promise<DueDeliveries> {
    const { now } = this.leaseSession.deps;
    const due = await this.#listDueBy(now());
    if (due.deliveries.length > 0 || due.nextDueAt === null) return due;
    const next = await this.#listDueBy(due.nextDueAt);
    return {
      deliveries: next.deliveries.filter((delivery) => isDatedInFuture(delivery, now())),
      nextDueAt: due.nextDueAt,
    };
  }

  #listDueBy(moment: Millis): Promise<DueDeliveries> {
    const { leaseSession } = this;
    const { webhookStore } = leaseSession.deps;
    return leaseSession.callStoreWithLease('Due redeliveries could not be read; the server retries.', (lease) =>
      webhookStore.listDueDeliveries(lease, moment, MAX_CONCURRENT_ATTEMPTS),
    );
  }

  #startAttempt(delivery: Delivery): void {
    if (this.#attemptsInProgress.size >= MAX_CONCURRENT_ATTEMPTS || this.#attemptsInProgress.has(delivery.id)) return;
    const attempt = this.leaseSession
      .runReportingErrors(() => this.#attemptOnce(delivery))
      .finally(() => {
        this.#attemptsInProgress.delete(delivery.id);
        this.leaseSession.interruptWait();
      });
    this.#attemptsInProgress.set(delivery.id, attempt);
  }

  async #attemptOnce(delivery: Delivery): Promise<void> {
    const webhook = await this.leaseSession.loadActiveWebhook();
    await attemptDelivery(this.leaseSession, {
      webhook,
      delivery,
      consecutiveFailures: delivery.attempts,
      save: (result) => this.leaseSession.saveProgress({ deliveries: [result] }),
    });
  }
}

/** A delivery without an attempt is due from its creation, so a later due time lies in the future. */
const isDatedInFuture = ({ attempts, lastAttemptAt }: Delivery, now: Millis): boolean =>
  attempts === 0 || (lastAttemptAt !== null && lastAttemptAt > now);
