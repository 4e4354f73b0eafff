/** The records of webhooks and deliveries, event filters and shards. It does not define how requests are sent. */
import type { Cursor, DeliveryId, Millis, WebhookId } from '../ids.ts';
import type { PresenceEvent } from '../records.ts';
import type { DeliveryStatus, EventReason, WebhookFormat, WebhookState } from '../enums.ts';

export interface WebhookRecord {
  readonly id: WebhookId;
  /** http or https, exactly as the backend wrote it. */
  readonly url: string;
  readonly format: WebhookFormat;
  /** Signs the requests. Null: they are not signed, which only TENCENT allows. */
  readonly secret: string | null;
  /** The secret before it, which also signs until `validUntil`. */
  readonly previousSecret: { readonly secret: string; readonly validUntil: Millis } | null;
  /** Delivers only events with one of these reasons; null: all events. */
  readonly reasons: readonly EventReason[] | null;
  /** Delivers only events that change the user's status. */
  readonly userStatusOnly: boolean;
  readonly state: WebhookState;
  readonly createdAt: Millis;
  readonly changedAt: Millis;
  /** The end of the log when the webhook was created. It receives the events after it. */
  readonly startCursor: Cursor;
}

/** Whether the event is delivered. A changed filter applies to events that are not in a delivery yet. */
export const matchesEventFilter = (
  { reasons, userStatusOnly }: Pick<WebhookRecord, 'reasons' | 'userStatusOnly'>,
  { reason, status, previousStatus }: PresenceEvent,
): boolean => (reasons === null || reasons.includes(reason)) && (!userStatusOnly || status !== previousStatus);

/** The previous secret, if it is still valid. */
export const findValidPreviousSecret = (
  { previousSecret }: Pick<WebhookRecord, 'previousSecret'>,
  now: Millis,
): WebhookRecord['previousSecret'] =>
  previousSecret !== null && previousSecret.validUntil > now ? previousSecret : null;

/** The secrets that sign now, the current one first. */
export const listValidSecrets = (
  webhook: Pick<WebhookRecord, 'secret' | 'previousSecret'>,
  now: Millis,
): readonly string[] =>
  [webhook.secret, findValidPreviousSecret(webhook, now)?.secret].filter((secret) => typeof secret === 'string');

/** One of the parallel delivery queues of a webhook, by number. A user's events are always in the same one. */
export type Shard = number;

export const SHARDS_PER_WEBHOOK = 8;

/** FNV-1a over UTF-16 units, which distributes users evenly. It must never change: progress is stored by shard number. */
export const computeShard = (userId: string): Shard => {
  let hash = 0x811c9dc5;
  for (let at = 0; at < userId.length; at++) hash = Math.imul(hash ^ userId.charCodeAt(at), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % SHARDS_PER_WEBHOOK;
};

/** The state of one delivery. `Event` is the type of a logged event, which the core does not define. */
export interface DeliveryRecord<Event> {
  /** The same in all attempts, so that the receiver can recognise a repetition. */
  readonly id: DeliveryId;
  readonly webhookId: WebhookId;
  /** The shard that waits for it; null for a redelivery or a test, which no shard waits for. */
  readonly shard: Shard | null;
  readonly isTest: boolean;
  readonly status: DeliveryStatus;
  /** The events that are not delivered yet, in the order of the log. Empty when DELIVERED. */
  readonly events: readonly Event[];
  /** The number of events when the delivery was created. */
  readonly eventCount: number;
  readonly createdAt: Millis;
  readonly attempts: number;
  readonly lastAttemptAt: Millis | null;
  /** HTTP status of the last response; null: there was none. */
  readonly lastStatus: number | null;
  /** Why the last attempt failed, as text; null: it did not fail. */
  readonly lastError: string | null;
  /** Null unless RETRYING. */
  readonly nextAttemptAt: Millis | null;
  /** If an attempt fails at or after this time, the delivery becomes DEAD. */
  readonly giveUpAt: Millis;
}

/** The attempt fields of a new delivery. */
export const NO_ATTEMPTS_YET = { attempts: 0, lastAttemptAt: null, lastStatus: null, lastError: null } as const;
