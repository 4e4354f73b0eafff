/**
 * What webhooks need: a store for them and for what could not be delivered yet, and somebody who makes requests.
 * A store on several nodes lets each shard be told by one of them at a time: it leases it.
 */
import type { Cursor, DeliveryId, Millis, WebhookId } from '../../core/ids.ts';
import type { DeliveryStatus } from '../../core/enums.ts';
import type { DeliveryRecord, Shard, WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { LoggedEvent } from './presence-store.ts';

export type Delivery = DeliveryRecord<LoggedEvent>;

/** The right to deliver one shard of a webhook, or (shard null) what was given to it to be redelivered. */
export interface ShardLease {
  readonly webhookId: WebhookId;
  readonly shard: Shard | null;
  /** Higher than that of every earlier lease of the same shard: whoever has an older one may write nothing. */
  readonly token: number;
  /** Over unless it is renewed by then. */
  readonly expiresAt: Millis;
}

/** Where a shard stands. The null one stands nowhere: its webhook's start, and nothing pending. */
export interface ShardProgress {
  /** Everything up to here is delivered, dead, unwanted, or in `pending`. */
  readonly position: Cursor;
  /** The one RETRYING delivery of this shard, with its events; nothing later is delivered before it is settled. */
  readonly pendingDelivery: Delivery | null;
}

export interface DueDeliveries {
  readonly deliveries: readonly Delivery[];
  /** When the first of the others is due; null: there are no others. */
  readonly nextDueAt: Millis | null;
}

export interface DeliveryQuery {
  readonly webhookId?: WebhookId | undefined;
  readonly status?: DeliveryStatus | undefined;
  /** The latest first, by when each was first put there; right after this one, whether it matches or not. */
  readonly after: DeliveryId | null;
  readonly limit: number;
}

export interface DeliveryPage {
  readonly deliveries: readonly Delivery[];
  readonly hasMore: boolean;
}

/** Every promise resolves when what it says is durable, and rejects, with nothing changed, as `PresenceStore.update` does. */
export interface WebhookStore {
  /** All of them, in the order in which they were made, as last made durable. */
  listWebhooks(): Promise<readonly WebhookRecord[]>;

  /** @throws BAD_USER_INPUT when there are `MAX_WEBHOOKS` already. */
  createWebhook(webhook: WebhookRecord): Promise<void>;

  /**
   * Changes of one webhook run one after another. `decide` must be pure.
   * @returns the changed one; null: there is none.
   */
  updateWebhook(id: WebhookId, decide: (webhook: WebhookRecord) => WebhookRecord): Promise<WebhookRecord | null>;

  /** With its deliveries and positions; leases of it are lost. @returns what it was; null: there was none. */
  deleteWebhook(id: WebhookId): Promise<WebhookRecord | null>;

  /**
   * Calls `listener` after webhooks were made, changed or deleted, or deliveries given back to be delivered.
   * Returns the function that ends it. A listener must not throw.
   */
  onWebhooksChanged(listener: () => void): () => void;

  /**
   * Leases to `holder`, for `leaseMs` from now, every shard of every ACTIVE webhook (and the null one) that nobody
   * else holds, and renews those that it holds: with the same token. Those of a webhook that is no longer ACTIVE may be
   * written with until they are over, but are neither renewed nor returned.
   * @returns all that `holder` holds now.
   */
  acquireLeases(holder: string, leaseMs: number): Promise<readonly ShardLease[]>;

  /** Whatever `holder` holds is free for others, at once. */
  releaseLeases(holder: string): Promise<void>;

  /** @returns null: the lease is lost, for ever. So do the others that take a lease. */
  readProgress(lease: ShardLease): Promise<ShardProgress | null>;

  /**
   * Notes, in one change, how far a shard has come, and what became of a delivery: puts it as it stands,
   * or replaces what there is by its id. @returns false: the lease is lost, and nothing was written.
   * @throws TypeError for a delivery of another shard than the lease's, and for a position of the null one.
   */
  saveProgress(
    lease: ShardLease,
    progress: { readonly position?: Cursor; readonly delivery?: Delivery },
  ): Promise<boolean>;

  /**
   * Of the null shard, whose lease it wants: up to `limit` RETRYING deliveries that are due by `now`, the earliest first.
   */
  listDueDeliveries(lease: ShardLease, now: Millis, limit: number): Promise<DueDeliveries | null>;

  /** @throws BAD_USER_INPUT for an `after` that is (no longer) the id of a delivery. */
  listDeliveries(query: DeliveryQuery): Promise<DeliveryPage>;

  findDelivery(id: DeliveryId): Promise<Delivery | null>;

  /** Keeps one that nobody leases: a test. @throws BAD_USER_INPUT when its webhook is not there (any more). */
  addDelivery(delivery: Delivery): Promise<void>;

  /**
   * Gives DEAD deliveries to the null shard of their webhook, as `revive` changes each: one, or all of a webhook.
   * One that is not DEAD (any more), or that `revive` leaves DEAD, is left as it is. Very many are given in portions:
   * if one is refused, those before it are given, and asking again gives the rest.
   * @returns those that were given, without their events.
   */
  requeueDeadDeliveries(
    which: { readonly deliveryId: DeliveryId } | { readonly webhookId: WebhookId },
    revive: (delivery: Delivery) => Delivery,
  ): Promise<readonly Delivery[]>;
}

export const MAX_WEBHOOKS = 100;

/** How one attempt went. */
export interface AttemptReport {
  /** HTTP status of the answer; null: there was none. Of a delivery that takes several requests, of the last one made. */
  readonly status: number | null;
  /** Null: it was taken (2xx). Otherwise why not, in words that may be shown to backends. */
  readonly error: string | null;
  /** How many of the delivery's events need not be sent again: all of them without an error. */
  readonly deliveredEventCount: number;
  /** For how long the receiver wants to be left alone, in ms; null: it did not say. */
  readonly retryAfterMs: number | null;
}

/** The status with which a receiver wants to be told nothing more. */
export const HTTP_GONE = 410;

/** Makes the requests of one attempt, one after another. Never rejects: whatever goes wrong is an attempt that failed. */
export interface WebhookSender {
  attemptDelivery(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<AttemptReport>;
}

/** Of a webhook's URL, as it was given and as it is sent to. */
export const MAX_URL_CHARACTERS = 2_048;

/** What a webhook's URL may be. */
export interface WebhookUrlPolicy {
  /** @returns why nothing may be sent there, as a sentence; null: it may, as far as can be told without looking its name up. */
  getRejectionReason(url: URL): string | null;
}

/** Makes what must not be guessed. */
export interface WebhookSecretFactory {
  createWebhookId(): WebhookId;
  createDeliveryId(): DeliveryId;
  /** For STANDARD: `whsec_` and the Base64 of 32 bytes. */
  createSecret(): string;
}
