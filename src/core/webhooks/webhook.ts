/** What a webhook is, what of it is wanted, and what may become of a delivery. How it is delivered is not said here. */
import type { Cursor, DeliveryId, Millis, WebhookId } from '../ids.ts';
import type { PresenceEvent } from '../records.ts';
import type { DeliveryStatus, EventReason, WebhookFormat, WebhookState } from '../enums.ts';

export interface WebhookRecord {
  readonly id: WebhookId;
  /** http or https, as it was given. */
  readonly url: string;
  readonly format: WebhookFormat;
  /** What requests are signed with; null: they are not, which only TENCENT allows. */
  readonly secret: string | null;
  /** The one before, which signs beside it for a while. */
  readonly previousSecret: { readonly secret: string; readonly validUntil: Millis } | null;
  /** Only events with one of these; null: with any. */
  readonly reasons: readonly EventReason[] | null;
  /** Only events that change the user's status. */
  readonly userStatusOnly: boolean;
  readonly state: WebhookState;
  readonly createdAt: Millis;
  readonly changedAt: Millis;
  /** The end of the log when it was made: it is told what comes after. */
  readonly startCursor: Cursor;
}

/** Is the event to be delivered? A changed filter holds for whatever is not in a delivery yet. */
export const matchesEventFilter = (
  { reasons, userStatusOnly }: Pick<WebhookRecord, 'reasons' | 'userStatusOnly'>,
  { reason, status, previousStatus }: PresenceEvent,
): boolean => (reasons === null || reasons.includes(reason)) && (!userStatusOnly || status !== previousStatus);

/** The secret before the present one, while it signs too. */
export const findValidPreviousSecret = (
  { previousSecret }: Pick<WebhookRecord, 'previousSecret'>,
  now: Millis,
): WebhookRecord['previousSecret'] =>
  previousSecret !== null && previousSecret.validUntil > now ? previousSecret : null;

/** The secrets that sign now, the present one first. */
export const listValidSecrets = (
  webhook: Pick<WebhookRecord, 'secret' | 'previousSecret'>,
  now: Millis,
): readonly string[] =>
  [webhook.secret, findValidPreviousSecret(webhook, now)?.secret].filter((secret) => typeof secret === 'string');

/** One of the ways, side by side, in which a webhook is told: the users whose ids fall on it, each always on the same. */
export type Shard = number;

export const SHARDS_PER_WEBHOOK = 8;

/** FNV-1a over UTF-16: spreads users evenly, and must never change, for what a shard has delivered is kept by its number. */
export const computeShard = (userId: string): Shard => {
  let hash = 0x811c9dc5;
  for (let at = 0; at < userId.length; at++) hash = Math.imul(hash ^ userId.charCodeAt(at), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % SHARDS_PER_WEBHOOK;
};

/** What is known of a delivery. `Event`: how the events stand in the log, which core does not know. */
export interface DeliveryRecord<Event> {
  /** What the receiver knows it by, however often it is sent. */
  readonly id: DeliveryId;
  readonly webhookId: WebhookId;
  /** The shard that goes on when it is settled; null: nobody waits for it (redelivered by hand, or a test). */
  readonly shard: Shard | null;
  readonly isTest: boolean;
  readonly status: DeliveryStatus;
  /** What is still to be delivered, in the order of the log; of a DELIVERED one nothing is kept. */
  readonly events: readonly Event[];
  /** How many there were at first. */
  readonly eventCount: number;
  readonly createdAt: Millis;
  readonly attempts: number;
  readonly lastAttemptAt: Millis | null;
  /** HTTP status of the last answer; null: there was none. */
  readonly lastStatus: number | null;
  /** What was wrong with the last attempt, in words; null: nothing. */
  readonly lastError: string | null;
  /** Of a RETRYING one alone. */
  readonly nextAttemptAt: Millis | null;
  /** An attempt that fails from then on is the last. */
  readonly giveUpAt: Millis;
}

/** Of a delivery of which no attempt was made yet. */
export const NO_ATTEMPTS_YET = { attempts: 0, lastAttemptAt: null, lastStatus: null, lastError: null } as const;
