/**
 * The webhook store in the file of a presence store. Webhooks and leases are kept in memory, because a single server
 * uses the file. Positions and deliveries are read from the file. Writes go through the writer of the presence store
 * and share its commits.
 */
import {
  MAX_WEBHOOKS,
  type Delivery,
  type DeliveryPage,
  type DeliveryQuery,
  type DueDeliveries,
  type ProgressUpdate,
  type ShardLease,
  type ShardProgress,
  type WebhookStore,
} from '../../app/ports/webhook-store.ts';
import { badUserInputError } from '../../core/errors.ts';
import type { DeliveryId, Millis, WebhookId } from '../../core/ids.ts';
import { quoteText } from '../../core/quote.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import { DELIVERY_STATUSES } from '../../core/enums.ts';
import { LeaseTable } from '../leases.ts';
import { ListenerSet } from './listeners.ts';
import type { WebhookWrite } from './write/writer-messages.ts';
import type { WebhookReader } from './read/webhook-reader.ts';
import { deliveryToRow, isolatedUserToRow, webhookToRow } from './schema/webhook-rows.ts';

/** What the presence store provides. */
export interface WebhookStoreDeps {
  readonly reader: WebhookReader;
  readonly now: () => Millis;
  /** @throws StoreUnavailableError after the store was closed or has failed. */
  readonly assertOpen: () => void;
  /** Resolves when all writes are durable. Calls are written in order. Rejects if nothing was written. */
  readonly commitWrites: (writes: readonly WebhookWrite[]) => Promise<void>;
}

/** Each delivery may hold a hundred events: some ms in total. */
const REDELIVERIES_PER_COMMIT = 16;

export class SqliteWebhookStore implements WebhookStore {
  readonly #deps: WebhookStoreDeps;
  readonly #leases = new LeaseTable();
  readonly #listeners = new ListenerSet<void>();
  /** As last committed, in order of creation. */
  readonly #webhooks: Map<WebhookId, WebhookRecord>;
  /** Deletions in progress. Whether their leases are lost is not known yet. */
  readonly #deletions = new Map<WebhookId, Promise<unknown>>();
  /** Operations that depend on the current state run one after another. They are rare. */
  #lastExclusive: Promise<unknown> = Promise.resolve();
  /** Settles when all writes so far are durable or have failed. */
  #lastWrite: Promise<unknown> = Promise.resolve();

  constructor(shared: WebhookStoreDeps) {
    this.#deps = shared;
    this.#webhooks = new Map(shared.reader.readWebhooks().map((webhook) => [webhook.id, webhook]));
  }

  async listWebhooks(): Promise<readonly WebhookRecord[]> {
    this.#deps.assertOpen();
    return [...this.#webhooks.values()];
  }

  createWebhook(webhook: WebhookRecord): Promise<void> {
    return this.#runExclusive(async () => {
      if (this.#webhooks.size >= MAX_WEBHOOKS)
        throw badUserInputError(`There are already ${MAX_WEBHOOKS} webhooks, which is the maximum.`);
      await this.#saveWebhook(webhook);
    });
  }

  updateWebhook(id: WebhookId, decide: (webhook: WebhookRecord) => WebhookRecord): Promise<WebhookRecord | null> {
    return this.#runExclusive(async () => {
      const webhook = this.#webhooks.get(id);
      if (webhook === undefined) return null;
      const changed = decide(webhook);
      if (changed !== webhook) await this.#saveWebhook(changed);
      return changed;
    });
  }

  deleteWebhook(id: WebhookId): Promise<WebhookRecord | null> {
    return this.#runExclusive(async () => {
      const webhook = this.#webhooks.get(id);
      if (webhook === undefined) return null;
      const deletion = this.#commitWrites([{ kind: 'delete', webhookId: id }]).then(() => {
        this.#webhooks.delete(id);
        this.#leases.removeLeasesOfWebhook(id);
      });
      this.#deletions.set(
        id,
        deletion.catch(() => undefined),
      );
      try {
        await deletion;
      } finally {
        this.#deletions.delete(id);
      }
      this.#listeners.notifyAll();
      return webhook;
    });
  }

  onWebhooksChanged(listener: () => void): () => void {
    return this.#listeners.addListener(listener);
  }

  async acquireLeases(holder: string, leaseMs: number): Promise<readonly ShardLease[]> {
    this.#deps.assertOpen();
    const active = [...this.#webhooks.values()].filter(({ state }) => state === 'ACTIVE').map(({ id }) => id);
    return this.#leases.acquireOrRenewLeases(holder, leaseMs, active, this.#deps.now());
  }

  async releaseLeases(holder: string): Promise<void> {
    this.#deps.assertOpen();
    this.#leases.releaseLeasesOfHolder(holder);
  }

  async readProgress(lease: ShardLease): Promise<ShardProgress | null> {
    const webhook = await this.#webhookAfterPendingWrites(lease);
    if (webhook === null) return null;
    const { webhookId, shard } = lease;
    if (shard === null) return { position: webhook.startCursor, pendingDelivery: null, isolatedUsers: [] };
    const { reader } = this.#deps;
    return {
      position: reader.readPosition(webhookId, shard) ?? webhook.startCursor,
      pendingDelivery: reader.findPendingDelivery(webhookId, shard),
      isolatedUsers: reader.readIsolatedUsers(webhookId, shard),
    };
  }

  async saveProgress(lease: ShardLease, update: ProgressUpdate): Promise<boolean> {
    this.#deps.assertOpen();
    const { webhookId } = lease;
    const writes = createProgressWrites(lease, update);
    const deletion = this.#deletions.get(webhookId);
    if (deletion !== undefined) {
      await deletion;
      this.#deps.assertOpen();
    }
    if (!this.#isLeaseValid(lease)) return false;
    if (writes.length > 0) await this.#commitWrites(writes);
    return true;
  }

  async listDueDeliveries(lease: ShardLease, now: Millis, limit: number): Promise<DueDeliveries | null> {
    if ((await this.#webhookAfterPendingWrites(lease)) === null) return null;
    const { reader } = this.#deps;
    const waiting = reader.listScheduledRedeliveries(lease.webhookId, limit + 1);
    const due = waiting.slice(0, limit).filter(({ dueAt }) => dueAt <= now);
    return {
      deliveries: reader.readDeliveries(due.map(({ seq }) => seq)),
      nextDueAt: (waiting[due.length]?.dueAt ?? null) as Millis | null,
    };
  }

  async listDeliveries({ webhookId, status, after, limit }: DeliveryQuery): Promise<DeliveryPage> {
    this.#deps.assertOpen();
    // Deliveries of a deleted webhook may remain for a while.
    const webhooks = [...this.#webhooks.keys()].filter((id) => webhookId === undefined || id === webhookId);
    const statuses = status === undefined ? DELIVERY_STATUSES : [status];
    const { reader } = this.#deps;
    return reader.readInTransaction(() => {
      const before = after === null ? Number.MAX_SAFE_INTEGER : this.#requireSeq(after);
      const seqs = webhooks
        .flatMap((id) => statuses.flatMap((each) => reader.listSeqsBefore(id, each, before, limit + 1)))
        .sort((one, other) => other - one);
      return { deliveries: reader.readDeliveries(seqs.slice(0, limit)), hasMore: seqs.length > limit };
    });
  }

  async findDelivery(id: DeliveryId): Promise<Delivery | null> {
    this.#deps.assertOpen();
    const delivery = this.#deps.reader.findDelivery(id);
    return delivery !== null && this.#webhooks.has(delivery.webhookId) ? delivery : null;
  }

  addDelivery(delivery: Delivery): Promise<void> {
    return this.#runExclusive(async () => {
      const { webhookId } = delivery;
      if (!this.#webhooks.has(webhookId)) throw badUserInputError(`There is no webhook ${quoteText(webhookId)}.`);
      await this.#commitWrites([{ kind: 'delivery', row: deliveryToRow(delivery) }]);
    });
  }

  requeueDeadDeliveries(
    which: { readonly deliveryId: DeliveryId } | { readonly webhookId: WebhookId },
    revive: (delivery: Delivery) => Delivery,
  ): Promise<readonly Delivery[]> {
    return this.#runExclusive(async () => {
      const redelivered: Delivery[] = [];
      try {
        for (const dead of 'deliveryId' in which
          ? this.#deadDelivery(which.deliveryId)
          : this.#deadDeliveriesOf(which.webhookId)) {
          this.#deps.assertOpen();
          const revived = dead
            .map((delivery): Delivery => ({ ...revive(delivery), shard: null }))
            .filter(({ status }) => status !== 'DEAD');
          if (revived.length === 0) continue;
          await this.#commitWrites(revived.map((delivery) => ({ kind: 'delivery', row: deliveryToRow(delivery) })));
          redelivered.push(...revived.map((delivery) => ({ ...delivery, events: [] })));
        }
      } finally {
        if (redelivered.length > 0) this.#listeners.notifyAll();
      }
      return redelivered;
    });
  }

  /** Resolves when all earlier operations are durable or have failed. Call it when no new operations are accepted. */
  async waitUntilIdle(): Promise<void> {
    await this.#lastExclusive;
    await this.#lastWrite;
  }

  *#deadDelivery(id: DeliveryId): Iterable<readonly Delivery[]> {
    const delivery = this.#deps.reader.findDelivery(id);
    if (delivery?.status === 'DEAD' && this.#webhooks.has(delivery.webhookId)) yield [delivery];
  }

  /**
   * Yields batches, each read when it is requested. Ends at the delivery that is the last at the start, even if more
   * become DEAD meanwhile.
   */
  *#deadDeliveriesOf(webhookId: WebhookId): Iterable<readonly Delivery[]> {
    const { reader } = this.#deps;
    if (!this.#webhooks.has(webhookId)) return;
    const [last = 0] = reader.listSeqsBefore(webhookId, 'DEAD', Number.MAX_SAFE_INTEGER, 1);
    for (let after = 0; after < last;) {
      const seqs = reader.listSeqsAfter(webhookId, 'DEAD', after, REDELIVERIES_PER_COMMIT);
      yield reader.readDeliveries(seqs);
      after = seqs.at(-1) ?? last;
    }
  }

  #requireSeq(id: DeliveryId): number {
    const place = this.#deps.reader.findDeliverySortKey(id);
    // Deliveries of a deleted webhook may remain for a while.
    if (place !== null && this.#webhooks.has(place.webhookId)) return place.seq;
    throw badUserInputError(`There is no delivery ${quoteText(id)}.`);
  }

  async #saveWebhook(webhook: WebhookRecord): Promise<void> {
    await this.#commitWrites([{ kind: 'webhook', row: webhookToRow(webhook) }]);
    this.#webhooks.set(webhook.id, webhook);
    this.#listeners.notifyAll();
  }

  /**
   * Returns the webhook of a valid lease, after all writes of previous lease holders are on disk. Null: the lease is
   * lost.
   */
  async #webhookAfterPendingWrites(lease: ShardLease): Promise<WebhookRecord | null> {
    this.#deps.assertOpen();
    await this.#lastWrite;
    this.#deps.assertOpen();
    return this.#isLeaseValid(lease) ? (this.#webhooks.get(lease.webhookId) ?? null) : null;
  }

  #isLeaseValid(lease: ShardLease): boolean {
    return this.#leases.isLeaseValid(lease, this.#deps.now());
  }

  async #runExclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#deps.assertOpen();
    const own = this.#lastExclusive.then(work);
    // The caller of a rejected operation handles its error. The next operation runs anyway.
    this.#lastExclusive = own.catch(() => undefined);
    return own;
  }

  #commitWrites(writes: readonly WebhookWrite[]): Promise<void> {
    const written = this.#deps.commitWrites(writes);
    this.#lastWrite = written.catch(() => undefined);
    return written;
  }
}

/** @throws TypeError for what does not belong to the shard of the lease. */
const createProgressWrites = (
  lease: ShardLease,
  { position, deliveries = [], isolatedUsers = [], rejoinedUsers = [] }: ProgressUpdate,
): readonly WebhookWrite[] => {
  const { webhookId, shard } = lease;
  if (position !== undefined && shard === null) throw new TypeError('The null shard has no position.');
  if (isolatedUsers.length > 0 && shard === null) throw new TypeError('The null shard has no isolated users.');
  const allDeliveries = [...deliveries, ...isolatedUsers.flatMap(({ pendingDelivery }) => pendingDelivery ?? [])];
  if (allDeliveries.some((delivery) => delivery.webhookId !== webhookId || delivery.shard !== shard)) {
    throw new TypeError('A delivery can only be saved with a lease of its own shard.');
  }
  return [
    ...(position === undefined ? [] : [{ kind: 'position' as const, row: [webhookId, shard, position] }]),
    ...allDeliveries.map((delivery) => ({ kind: 'delivery' as const, row: deliveryToRow(delivery) })),
    ...isolatedUsers.map((user) => ({ kind: 'isolated-user' as const, row: isolatedUserToRow(lease, user) })),
    ...rejoinedUsers.map((userId) => ({ kind: 'rejoined-user' as const, key: [webhookId, shard, userId] })),
  ];
};
