/**
 * The ports of webhooks: a store for webhooks, delivery progress and pending deliveries, a sender, and a URL policy.
 * Delivery engines on several nodes can share a store: a lease gives each shard to one of them at a time.
 */
import type { DeliveryStatus } from '../../core/enums.ts';
import type { Cursor, DeliveryId, Millis, UserId, WebhookId } from '../../core/ids.ts';
import { TEXT_RULES } from '../../core/texts.ts';
import type { DeliveryRecord, Shard, WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { LoggedEvent } from './presence-store.ts';

export type Delivery = DeliveryRecord<LoggedEvent>;

/** The right to deliver one shard of a webhook, or (shard null) the webhook's redeliveries. */
export interface ShardLease {
  readonly webhookId: WebhookId;
  readonly shard: Shard | null;
  /** Greater than that of every earlier lease of the shard. The store rejects writes with an older token. */
  readonly token: number;
  /** The lease ends then unless it is renewed. */
  readonly expiresAt: Millis;
}

/** How far a shard has been delivered. For the null shard: the start cursor of the webhook, and no deliveries. */
export interface ShardProgress {
  /** Every event up to here is delivered, dead, filtered out, in `pendingDelivery`, or of an isolated user. */
  readonly position: Cursor;
  /** The RETRYING delivery that the shard waits for, with its events. No later event is delivered before it ends. */
  readonly pendingDelivery: Delivery | null;
  readonly isolatedUsers: readonly IsolatedUser[];
}

/**
 * A user whose events the receiver refuses while it accepts others. The shard skips the events of this user, which have
 * deliveries of their own, one at a time and in order.
 */
export interface IsolatedUser {
  readonly userId: UserId;
  /** Every event of the user up to here is delivered, dead, filtered out, or in `pendingDelivery`. */
  readonly position: Cursor;
  /** The last event of the user after `position` that the shard skipped; null: none. */
  readonly skippedThrough: Cursor | null;
  /** The RETRYING delivery of the user; null: none at the moment. */
  readonly pendingDelivery: Delivery | null;
}

/** One change of a shard's progress. */
export interface ProgressUpdate {
  readonly position?: Cursor;
  /** New deliveries, and known ones (by id) that replace the stored ones. */
  readonly deliveries?: readonly Delivery[];
  /** Users who are isolated from now on, or whose state changed. Their pending deliveries are stored with them. */
  readonly isolatedUsers?: readonly IsolatedUser[];
  /** Users who are not isolated any more. Their deliveries stay as they are. */
  readonly rejoinedUsers?: readonly UserId[];
}

export interface DueDeliveries {
  readonly deliveries: readonly Delivery[];
  /** When the next of the other deliveries is due; null: there are no others. */
  readonly nextDueAt: Millis | null;
}

export interface DeliveryQuery {
  readonly webhookId?: WebhookId | undefined;
  readonly status?: DeliveryStatus | undefined;
  /** The page starts right after this delivery, whether it matches or not; null: with the latest delivery. */
  readonly after: DeliveryId | null;
  readonly limit: number;
}

export interface DeliveryPage {
  readonly deliveries: readonly Delivery[];
  readonly hasMore: boolean;
}

/**
 * Stores webhooks and deliveries. The promises of all writing methods resolve when the change is durable. They reject
 * like `PresenceStore.updateUser`, and nothing has changed then.
 */
export interface WebhookStore {
  /** All webhooks, in the order of their creation. */
  listWebhooks(): Promise<readonly WebhookRecord[]>;

  /** @throws BAD_USER_INPUT when there are `MAX_WEBHOOKS` already. */
  createWebhook(webhook: WebhookRecord): Promise<void>;

  /**
   * Updates of one webhook run one after another. `decide` must be pure.
   * @returns the changed webhook; null: it does not exist.
   */
  updateWebhook(id: WebhookId, decide: (webhook: WebhookRecord) => WebhookRecord): Promise<WebhookRecord | null>;

  /**
   * Also removes its deliveries and progress, and ends its leases.
   * @returns the removed webhook; null: it did not exist.
   */
  deleteWebhook(id: WebhookId): Promise<WebhookRecord | null>;

  /**
   * Registers a listener that is called after a webhook was created, changed or deleted, and after deliveries were
   * queued for redelivery. The listener must not throw.
   * @returns a function that removes the listener.
   */
  onWebhooksChanged(listener: () => void): () => void;

  /**
   * Leases to `holder`, for `leaseMs` from now, all shards (and the null shard) of all ACTIVE webhooks that no other
   * holder has. Leases that `holder` already has are renewed and keep their token. Leases of a webhook that is no
   * longer ACTIVE are neither renewed nor returned, but can be used for writing until they expire.
   * @returns all current leases of `holder`.
   */
  acquireLeases(holder: string, leaseMs: number): Promise<readonly ShardLease[]>;

  /** Ends all leases of `holder` at once, so that other holders can acquire them. */
  releaseLeases(holder: string): Promise<void>;

  /** @returns null when the lease is lost, which is final. The other methods with a lease report it likewise. */
  readProgress(lease: ShardLease): Promise<ShardProgress | null>;

  /**
   * Stores the whole update in one change.
   * @returns false when the lease is lost; nothing is stored then.
   * @throws TypeError for a delivery of another shard, and for a position or an isolated user of the null shard.
   */
  saveProgress(lease: ShardLease, update: ProgressUpdate): Promise<boolean>;

  /**
   * Up to `limit` RETRYING deliveries of the null shard that are due by `now`, the earliest first.
   * @param lease of the null shard.
   * @returns null when the lease is lost.
   */
  listDueDeliveries(lease: ShardLease, now: Millis, limit: number): Promise<DueDeliveries | null>;

  /**
   * Matching deliveries, the latest first, by the time at which each was first stored.
   * @throws BAD_USER_INPUT when `after` is not the id of a stored delivery.
   */
  listDeliveries(query: DeliveryQuery): Promise<DeliveryPage>;

  findDelivery(id: DeliveryId): Promise<Delivery | null>;

  /** Stores a delivery that needs no lease: a test. @throws BAD_USER_INPUT when its webhook does not exist. */
  addDelivery(delivery: Delivery): Promise<void>;

  /**
   * Moves DEAD deliveries to the null shard of their webhook: one, or all of a webhook. `revive` returns the changed
   * delivery. Deliveries that are not DEAD, or that `revive` leaves DEAD, do not change. A large number is changed
   * in several portions. If one portion fails, the earlier ones stay changed; a repeated call changes the rest.
   * @returns the changed deliveries, without their events.
   */
  requeueDeadDeliveries(
    which: { readonly deliveryId: DeliveryId } | { readonly webhookId: WebhookId },
    revive: (delivery: Delivery) => Delivery,
  ): Promise<readonly Delivery[]>;
}

export const MAX_WEBHOOKS = 100;

/** The result of one attempt to deliver. */
export interface AttemptReport {
  /** HTTP status of the response, of the last request if there were several; null: there was no response. */
  readonly status: number | null;
  /** Null: the receiver accepted it (2xx). Otherwise the cause, in words that may be shown to backends. */
  readonly error: string | null;
  /** How many of the delivery's events, from the first, need not be sent again. All of them when there is no error. */
  readonly deliveredEventCount: number;
  /** The delay that the receiver asked for before the next attempt, in ms; null: none. */
  readonly retryAfterMs: number | null;
}

/** The HTTP status with which a receiver asks for no further deliveries. */
export const HTTP_GONE = 410;

/** Sends webhook requests. */
export interface WebhookSender {
  /**
   * Sends the requests of one attempt one after another, until one fails. Never rejects: an error becomes a failed
   * attempt, and so does an abort by `signal`.
   */
  attemptDelivery(webhook: WebhookRecord, delivery: Delivery, signal: AbortSignal): Promise<AttemptReport>;
}

/** The maximum length of a webhook's URL, as written and in its normalised form. */
export const MAX_URL_CHARACTERS = TEXT_RULES.webhookUrl.maxCodePoints;

/** Decides which URLs a webhook may have. */
export interface WebhookUrlPolicy {
  /** @returns a sentence that explains why the URL is not allowed; null: it is. It does not resolve the host name. */
  getRejectionReason(url: URL): string | null;
}

/** Creates ids and secrets that cannot be guessed. */
export interface WebhookIdFactory {
  createWebhookId(): WebhookId;
  createDeliveryId(): DeliveryId;
  /** For the format STANDARD: `whsec_` and the Base64 of 32 random bytes. */
  createSecret(): string;
}
