/** Creates deliveries from events of the log. */
import { createHash } from 'node:crypto';
import type { LoggedEvent } from '../../app/ports/presence-store.ts';
import type { Delivery } from '../../app/ports/webhook-store.ts';
import { addMs, toMillis, type Cursor, type DeliveryId, type Millis, type WebhookId } from '../../core/ids.ts';
import { NO_ATTEMPTS_YET, type Shard } from '../../core/webhooks/webhook.ts';

/** The shard that a new delivery belongs to, and its creation time. */
export interface DeliveryOrigin {
  readonly webhookId: WebhookId;
  readonly shard: Shard;
  readonly now: Millis;
}

/**
 * A RETRYING delivery of these events. The retry period starts with the first event, so the time that events waited
 * behind a failed delivery counts.
 * @param retryForMs the retry period, in ms.
 */
export const createDelivery = (
  { webhookId, shard, now }: DeliveryOrigin,
  events: readonly [LoggedEvent, ...LoggedEvent[]],
  retryForMs: number,
): Delivery => ({
  id: deriveDeliveryId(
    webhookId,
    events.map(({ cursor }) => cursor),
  ),
  webhookId,
  shard,
  isTest: false,
  status: 'RETRYING',
  events,
  eventCount: events.length,
  createdAt: now,
  ...NO_ATTEMPTS_YET,
  nextAttemptAt: now,
  // If the clock was ahead when the event occurred, the retry period must not become longer.
  giveUpAt: addMs(toMillis(Math.min(events[0].occurredAt, now)), retryForMs),
});

/** A DEAD delivery without events. It reports that retention removed events before they were delivered. */
export const createLostEventsDelivery = ({ webhookId, shard, now }: DeliveryOrigin, position: Cursor): Delivery => ({
  id: deriveDeliveryId(webhookId, ['lost', String(shard), position]),
  webhookId,
  shard,
  isTest: false,
  status: 'DEAD',
  events: [],
  eventCount: 0,
  createdAt: now,
  ...NO_ATTEMPTS_YET,
  lastError: `Retention removed events of shard ${shard} before they were sent. They are lost.`,
  nextAttemptAt: null,
  giveUpAt: now,
});

/**
 * The same input gives the same id, so a receiver recognises events that are sent again after a crash.
 * @param parts the cursors of the events.
 */
export const deriveDeliveryId = (webhookId: WebhookId, parts: readonly string[]): DeliveryId => {
  const hash = createHash('sha256').update(JSON.stringify([webhookId, ...parts]));
  return `msg_${hash.digest('base64url')}` as DeliveryId;
};
