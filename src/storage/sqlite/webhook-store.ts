/**
 * The webhook store in the file of a presence store. Webhooks and leases are held in memory, for one server has the file;
 * positions and deliveries are read from it. What is written goes through the presence store's writer, in its commits.
 */
import {
  MAX_WEBHOOKS,
  type Delivery,
  type DeliveryPage,
  type DeliveryQuery,
  type DueDeliveries,
  type Lease,
  type ShardProgress,
  type WebhookStore,
} from '../../app/ports/webhook-store.ts';
import { badUserInput } from '../../core/errors.ts';
import type { Cursor, DeliveryId, Millis, WebhookId } from '../../core/ids.ts';
import { quoted } from '../../core/quote.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import { DELIVERY_STATUSES } from '../../core/enums.ts';
import { Leases } from '../leases.ts';
import { Listeners } from './listeners.ts';
import type { WebhookWrite } from './write/writer-messages.ts';
import type { WebhookReader } from './read/webhook-reader.ts';
import { deliveryRow, webhookRow } from './schema/webhook-rows.ts';

/** What the presence store lends. */
export interface Shared {
  readonly reader: WebhookReader;
  readonly now: () => Millis;
  /** @throws once the store is closed or dead. */
  readonly checkOpen: () => void;
  /** Resolves when all of it is durable, in the order of the calls; rejects with nothing written. */
  readonly write: (writes: readonly WebhookWrite[]) => Promise<void>;
}

/** Each may have a hundred events: some ms. */
const REDELIVERED_AT_ONCE = 16;

export class SqliteWebhookStore implements WebhookStore {
  readonly #shared: Shared;
  readonly #leases = new Leases();
  readonly #listeners = new Listeners<void>();
  /** As last made durable, in the order in which they were made. */
  readonly #webhooks: Map<WebhookId, WebhookRecord>;
  /** Being deleted: whether their leases are lost is not known yet. */
  readonly #deletions = new Map<WebhookId, Promise<unknown>>();
  /** Whatever is decided by what is there runs one after another. It is not what happens often. */
  #turn: Promise<unknown> = Promise.resolve();
  /** When it resolves, everything that was to be written is on the disk, or is not. */
  #written: Promise<unknown> = Promise.resolve();

  constructor(shared: Shared) {
    this.#shared = shared;
    this.#webhooks = new Map(shared.reader.webhooks().map((webhook) => [webhook.id, webhook]));
  }

  async webhooks(): Promise<readonly WebhookRecord[]> {
    this.#shared.checkOpen();
    return [...this.#webhooks.values()];
  }

  createWebhook(webhook: WebhookRecord): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#webhooks.size >= MAX_WEBHOOKS) throw badUserInput(`There are ${MAX_WEBHOOKS} webhooks already.`);
      await this.#put(webhook);
    });
  }

  updateWebhook(id: WebhookId, decide: (webhook: WebhookRecord) => WebhookRecord): Promise<WebhookRecord | null> {
    return this.#inTurn(async () => {
      const webhook = this.#webhooks.get(id);
      if (webhook === undefined) return null;
      const changed = decide(webhook);
      if (changed !== webhook) await this.#put(changed);
      return changed;
    });
  }

  deleteWebhook(id: WebhookId): Promise<WebhookRecord | null> {
    return this.#inTurn(async () => {
      const webhook = this.#webhooks.get(id);
      if (webhook === undefined) return null;
      const deletion = this.#write([{ kind: 'delete', webhookId: id }]).then(() => {
        this.#webhooks.delete(id);
        this.#leases.lose(id);
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
      this.#listeners.tell();
      return webhook;
    });
  }

  onWebhooks(listener: () => void): () => void {
    return this.#listeners.add(listener);
  }

  async lease(holder: string, leaseMs: number): Promise<readonly Lease[]> {
    this.#shared.checkOpen();
    const active = [...this.#webhooks.values()].filter(({ state }) => state === 'ACTIVE').map(({ id }) => id);
    return this.#leases.lease(holder, leaseMs, active, this.#shared.now());
  }

  async release(holder: string): Promise<void> {
    this.#shared.checkOpen();
    this.#leases.release(holder);
  }

  async progress(lease: Lease): Promise<ShardProgress | null> {
    const webhook = await this.#settledUnder(lease);
    if (webhook === null) return null;
    const { webhookId, shard } = lease;
    if (shard === null) return { position: webhook.start, pending: null };
    const { reader } = this.#shared;
    return {
      position: reader.position(webhookId, shard) ?? webhook.start,
      pending: reader.pending(webhookId, shard),
    };
  }

  async note(
    lease: Lease,
    { position, delivery }: { readonly position?: Cursor; readonly delivery?: Delivery },
  ): Promise<boolean> {
    this.#shared.checkOpen();
    const { webhookId, shard } = lease;
    const writes: WebhookWrite[] = [];
    if (position !== undefined) {
      if (shard === null) throw new TypeError('The null shard has no position.');
      writes.push({ kind: 'position', row: [webhookId, shard, position] });
    }
    if (delivery !== undefined) {
      if (delivery.webhookId !== webhookId || delivery.shard !== shard) {
        throw new TypeError('A delivery can only be noted under a lease of its own shard.');
      }
      writes.push({ kind: 'delivery', row: deliveryRow(delivery) });
    }
    const deletion = this.#deletions.get(webhookId);
    if (deletion !== undefined) {
      await deletion;
      this.#shared.checkOpen();
    }
    if (!this.#holds(lease)) return false;
    if (writes.length > 0) await this.#write(writes);
    return true;
  }

  async due(lease: Lease, now: Millis, limit: number): Promise<DueDeliveries | null> {
    if ((await this.#settledUnder(lease)) === null) return null;
    const { reader } = this.#shared;
    const waiting = reader.waiting(lease.webhookId, limit + 1);
    const due = waiting.slice(0, limit).filter(({ at }) => at <= now);
    return {
      deliveries: reader.at(due.map(({ seq }) => seq)),
      nextAt: (waiting[due.length]?.at ?? null) as Millis | null,
    };
  }

  async deliveries({ webhookId, status, after, limit }: DeliveryQuery): Promise<DeliveryPage> {
    this.#shared.checkOpen();
    // Of a webhook that was deleted there may be some left.
    const webhooks = [...this.#webhooks.keys()].filter((id) => webhookId === undefined || id === webhookId);
    const statuses = status === undefined ? DELIVERY_STATUSES : [status];
    const { reader } = this.#shared;
    return reader.atOnce(() => {
      const before = after === null ? Number.MAX_SAFE_INTEGER : this.#placeOf(after);
      const places = webhooks
        .flatMap((id) => statuses.flatMap((each) => reader.placesBefore(id, each, before, limit + 1)))
        .sort((one, other) => other - one);
      return { deliveries: reader.at(places.slice(0, limit)), hasMore: places.length > limit };
    });
  }

  async findDelivery(id: DeliveryId): Promise<Delivery | null> {
    this.#shared.checkOpen();
    const delivery = this.#shared.reader.find(id);
    return delivery !== null && this.#webhooks.has(delivery.webhookId) ? delivery : null;
  }

  addDelivery(delivery: Delivery): Promise<void> {
    return this.#inTurn(async () => {
      const { webhookId } = delivery;
      if (!this.#webhooks.has(webhookId)) throw badUserInput(`There is no webhook ${quoted(webhookId)}.`);
      await this.#write([{ kind: 'delivery', row: deliveryRow(delivery) }]);
    });
  }

  redeliver(
    which: { readonly deliveryId: DeliveryId } | { readonly webhookId: WebhookId },
    revive: (delivery: Delivery) => Delivery,
  ): Promise<readonly Delivery[]> {
    return this.#inTurn(async () => {
      const given: Delivery[] = [];
      try {
        for (const dead of 'deliveryId' in which ? this.#oneDead(which.deliveryId) : this.#allDead(which.webhookId)) {
          this.#shared.checkOpen();
          const revived = dead
            .map((delivery): Delivery => ({ ...revive(delivery), shard: null }))
            .filter(({ status }) => status !== 'DEAD');
          if (revived.length === 0) continue;
          await this.#write(revived.map((delivery) => ({ kind: 'delivery', row: deliveryRow(delivery) })));
          given.push(...revived.map((delivery) => ({ ...delivery, events: [] })));
        }
      } finally {
        if (given.length > 0) this.#listeners.tell();
      }
      return given;
    });
  }

  /** Resolves when everything that was asked for before is durable, or was refused. To be awaited when nothing more is taken. */
  async settled(): Promise<void> {
    await this.#turn;
    await this.#written;
  }

  *#oneDead(id: DeliveryId): Iterable<readonly Delivery[]> {
    const delivery = this.#shared.reader.find(id);
    if (delivery?.status === 'DEAD' && this.#webhooks.has(delivery.webhookId)) yield [delivery];
  }

  /** In portions, each read when it is asked for. Comes to an end, though more may die meanwhile. */
  *#allDead(webhookId: WebhookId): Iterable<readonly Delivery[]> {
    const { reader } = this.#shared;
    if (!this.#webhooks.has(webhookId)) return;
    const [last = 0] = reader.placesBefore(webhookId, 'DEAD', Number.MAX_SAFE_INTEGER, 1);
    for (let after = 0; after < last;) {
      const places = reader.placesAfter(webhookId, 'DEAD', after, REDELIVERED_AT_ONCE);
      yield reader.at(places);
      after = places.at(-1) ?? last;
    }
  }

  #placeOf(id: DeliveryId): number {
    const place = this.#shared.reader.placeOf(id);
    // Of a webhook that was deleted there may be some left.
    if (place !== null && this.#webhooks.has(place.webhookId)) return place.seq;
    throw badUserInput(`There is no delivery ${quoted(id)} (any more).`);
  }

  async #put(webhook: WebhookRecord): Promise<void> {
    await this.#write([{ kind: 'webhook', row: webhookRow(webhook) }]);
    this.#webhooks.set(webhook.id, webhook);
    this.#listeners.tell();
  }

  /**
   * The webhook of a lease that is in force, when everything is on the disk that whoever held the shard before had
   * the right to write. Null: the lease is lost.
   */
  async #settledUnder(lease: Lease): Promise<WebhookRecord | null> {
    this.#shared.checkOpen();
    await this.#written;
    this.#shared.checkOpen();
    return this.#holds(lease) ? (this.#webhooks.get(lease.webhookId) ?? null) : null;
  }

  #holds(lease: Lease): boolean {
    return this.#leases.holds(lease, this.#shared.now());
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#shared.checkOpen();
    const own = this.#turn.then(work);
    // What was refused is its caller's; the next one runs all the same.
    this.#turn = own.catch(() => undefined);
    return own;
  }

  #write(writes: readonly WebhookWrite[]): Promise<void> {
    const written = this.#shared.write(writes);
    this.#written = written.catch(() => undefined);
    return written;
  }
}
