/** A reference implementation of the webhook store in memory, written for clarity instead of speed. */
import {
  MAX_WEBHOOKS,
  type Delivery,
  type DeliveryPage,
  type DeliveryQuery,
  type DueDeliveries,
  type IsolatedUser,
  type ProgressUpdate,
  type ShardLease,
  type ShardProgress,
  type WebhookStore,
} from '../../src/app/ports/webhook-store.ts';
import { badUserInputError } from '../../src/core/errors.ts';
import type { Cursor, DeliveryId, Millis, UserId, WebhookId } from '../../src/core/ids.ts';
import { quoteText } from '../../src/core/quote.ts';
import { SHARDS_PER_WEBHOOK, type WebhookRecord } from '../../src/core/webhooks/webhook.ts';
import { LeaseTable } from '../../src/storage/leases.ts';

export interface MemoryWebhookStoreOptions {
  readonly clock: () => Millis;
}

const DAY_MS = 86_400_000;
const DEAD_RETENTION_MS = 30 * DAY_MS;
const DELIVERED_RETENTION_MS = DAY_MS;
const MAX_DELIVERED = 10_000;

export class MemoryWebhookStore implements WebhookStore {
  readonly #clock: () => Millis;
  readonly #leases = new LeaseTable();
  /** In the order of their creation. */
  readonly #webhooks = new Map<WebhookId, WebhookRecord>();
  /** By webhook and shard. A shard without an entry is at the start cursor of its webhook. */
  readonly #positions = new Map<string, Cursor>();
  /** By webhook and shard. */
  readonly #isolated = new Map<string, Map<UserId, IsolatedUser>>();
  /** In the order in which they were first stored. */
  readonly #deliveries = new Map<DeliveryId, Delivery>();
  readonly #listeners: (() => void)[] = [];
  #isClosed = false;

  constructor({ clock }: MemoryWebhookStoreOptions) {
    this.#clock = clock;
  }

  async listWebhooks(): Promise<readonly WebhookRecord[]> {
    this.#checkOpen();
    return [...this.#webhooks.values()];
  }

  async createWebhook(webhook: WebhookRecord): Promise<void> {
    this.#checkOpen();
    if (this.#webhooks.size >= MAX_WEBHOOKS)
      throw badUserInputError(`There are already ${MAX_WEBHOOKS} webhooks, which is the maximum.`);
    this.#webhooks.set(webhook.id, webhook);
    this.#notifyListeners();
  }

  async updateWebhook(id: WebhookId, decide: (webhook: WebhookRecord) => WebhookRecord): Promise<WebhookRecord | null> {
    this.#checkOpen();
    const webhook = this.#webhooks.get(id);
    if (webhook === undefined) return null;
    const changed = decide(webhook);
    if (changed === webhook) return webhook;
    this.#webhooks.set(id, changed);
    this.#notifyListeners();
    return changed;
  }

  async deleteWebhook(id: WebhookId): Promise<WebhookRecord | null> {
    this.#checkOpen();
    const webhook = this.#webhooks.get(id);
    if (webhook === undefined) return null;
    this.#leases.removeLeasesOfWebhook(id);
    this.#webhooks.delete(id);
    for (let shard = 0; shard < SHARDS_PER_WEBHOOK; shard++) {
      this.#positions.delete(shardKey({ webhookId: id, shard }));
      this.#isolated.delete(shardKey({ webhookId: id, shard }));
    }
    for (const { id: deliveryId, webhookId } of this.#listAll())
      if (webhookId === id) this.#deliveries.delete(deliveryId);
    this.#notifyListeners();
    return webhook;
  }

  onWebhooksChanged(listener: () => void): () => void {
    this.#listeners.push(listener);
    return () => {
      this.#listeners.splice(this.#listeners.indexOf(listener), 1);
    };
  }

  async acquireLeases(holder: string, leaseMs: number): Promise<readonly ShardLease[]> {
    this.#checkOpen();
    const active = [...this.#webhooks.values()].filter(({ state }) => state === 'ACTIVE').map(({ id }) => id);
    return this.#leases.acquireOrRenewLeases(holder, leaseMs, active, this.#clock());
  }

  async releaseLeases(holder: string): Promise<void> {
    this.#checkOpen();
    this.#leases.releaseLeasesOfHolder(holder);
  }

  async readProgress(lease: ShardLease): Promise<ShardProgress | null> {
    this.#checkOpen();
    const webhook = this.#webhooks.get(lease.webhookId);
    if (webhook === undefined || !this.#holds(lease)) return null;
    const isolatedUsers = [...(this.#isolated.get(shardKey(lease))?.values() ?? [])].map((user) => ({
      ...user,
      pendingDelivery: user.pendingDelivery && this.#deliveries.get(user.pendingDelivery.id)!,
    }));
    const ofIsolatedUsers = new Set(isolatedUsers.map(({ pendingDelivery }) => pendingDelivery?.id));
    const pending = this.#retrying(lease).find(({ id }) => !ofIsolatedUsers.has(id)) ?? null;
    return {
      position: this.#positions.get(shardKey(lease)) ?? webhook.startCursor,
      pendingDelivery: lease.shard === null ? null : pending,
      isolatedUsers,
    };
  }

  async saveProgress(
    lease: ShardLease,
    { position, deliveries = [], isolatedUsers = [], rejoinedUsers = [] }: ProgressUpdate,
  ): Promise<boolean> {
    this.#checkOpen();
    const all = [...deliveries, ...isolatedUsers.flatMap(({ pendingDelivery }) => pendingDelivery ?? [])];
    if (all.some(({ webhookId, shard }) => webhookId !== lease.webhookId || shard !== lease.shard)) {
      throw new TypeError('A delivery can only be noted under a lease of its own shard.');
    }
    if (position !== undefined && lease.shard === null) throw new TypeError('The null shard has no position.');
    if (isolatedUsers.length > 0 && lease.shard === null) throw new TypeError('The null shard isolates no users.');
    if (!this.#holds(lease)) return false;
    if (position !== undefined) this.#positions.set(shardKey(lease), position);
    for (const delivery of all) this.#deliveries.set(delivery.id, delivery);
    const isolated = this.#isolated.get(shardKey(lease)) ?? new Map<UserId, IsolatedUser>();
    this.#isolated.set(shardKey(lease), isolated);
    for (const user of isolatedUsers) isolated.set(user.userId, user);
    for (const userId of rejoinedUsers) isolated.delete(userId);
    return true;
  }

  async listDueDeliveries(lease: ShardLease, now: Millis, limit: number): Promise<DueDeliveries | null> {
    this.#checkOpen();
    if (!this.#holds(lease)) return null;
    const waiting = this.#retrying({ ...lease, shard: null }).sort((one, other) => dueAt(one) - dueAt(other));
    const deliveries = waiting.filter((delivery) => dueAt(delivery) <= now).slice(0, limit);
    return { deliveries, nextDueAt: waiting[deliveries.length]?.nextAttemptAt ?? null };
  }

  async listDeliveries({ webhookId, status, after, limit }: DeliveryQuery): Promise<DeliveryPage> {
    this.#checkOpen();
    const latestFirst = this.#listAll().reverse();
    const start = after === null ? 0 : latestFirst.findIndex(({ id }) => id === after) + 1;
    if (after !== null && start === 0) throw badUserInputError(`There is no delivery ${quoteText(after)}.`);
    const matching = latestFirst
      .slice(start)
      .filter((delivery) => webhookId === undefined || delivery.webhookId === webhookId)
      .filter((delivery) => status === undefined || delivery.status === status);
    return { deliveries: matching.slice(0, limit), hasMore: matching.length > limit };
  }

  async findDelivery(id: DeliveryId): Promise<Delivery | null> {
    this.#checkOpen();
    return this.#deliveries.get(id) ?? null;
  }

  async addDelivery(delivery: Delivery): Promise<void> {
    this.#checkOpen();
    if (!this.#webhooks.has(delivery.webhookId))
      throw badUserInputError(`There is no webhook ${quoteText(delivery.webhookId)}.`);
    this.#deliveries.set(delivery.id, delivery);
  }

  async requeueDeadDeliveries(
    which: { readonly deliveryId: DeliveryId } | { readonly webhookId: WebhookId },
    revive: (delivery: Delivery) => Delivery,
  ): Promise<readonly Delivery[]> {
    this.#checkOpen();
    const given = this.#listAll()
      .filter(({ status }) => status === 'DEAD')
      .filter(({ id, webhookId }) => ('deliveryId' in which ? id === which.deliveryId : webhookId === which.webhookId))
      .map((delivery): Delivery => ({ ...revive(delivery), shard: null }))
      .filter(({ status }) => status !== 'DEAD');
    for (const delivery of given) this.#deliveries.set(delivery.id, delivery);
    if (given.length > 0) this.#notifyListeners();
    return given.map((delivery) => ({ ...delivery, events: [] }));
  }

  /** Removes everything that is older than the retention. */
  async purge(): Promise<void> {
    const now = this.#clock();
    const delivered = new Map<WebhookId, number>();
    for (const { id, webhookId, status, lastAttemptAt, createdAt } of this.#listAll().reverse()) {
      const settledAt = lastAttemptAt ?? createdAt;
      if (status === 'DEAD' && settledAt <= now - DEAD_RETENTION_MS) this.#deliveries.delete(id);
      if (status !== 'DELIVERED') continue;
      const later = delivered.get(webhookId) ?? 0;
      if (settledAt <= now - DELIVERED_RETENTION_MS || later >= MAX_DELIVERED) this.#deliveries.delete(id);
      else delivered.set(webhookId, later + 1);
    }
  }

  /** Later calls are rejected. */
  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #listAll(): Delivery[] {
    return [...this.#deliveries.values()];
  }

  #retrying({ webhookId, shard }: ShardLease): Delivery[] {
    return this.#listAll().filter(
      (delivery) => delivery.webhookId === webhookId && delivery.shard === shard && delivery.status === 'RETRYING',
    );
  }

  #holds(lease: ShardLease): boolean {
    return this.#leases.isLeaseValid(lease, this.#clock());
  }

  #notifyListeners(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new Error('The store is closed.');
  }
}

const shardKey = ({ webhookId, shard }: Pick<ShardLease, 'webhookId' | 'shard'>): string => `${webhookId} ${shard}`;
const dueAt = ({ nextAttemptAt }: Delivery): number => nextAttemptAt ?? 0;
