/** How a delivery begins. */
import { createHash } from 'node:crypto';
import type { LoggedEvent } from '../../app/ports/presence-store.ts';
import type { Delivery } from '../../app/ports/webhook-store.ts';
import { later, millis, type Cursor, type DeliveryId, type Millis, type WebhookId } from '../../core/ids.ts';
import { NOT_TRIED, type Shard } from '../../core/webhooks/webhook.ts';

/** What an unsent delivery belongs to, and when it is made. */
export interface Origin {
  readonly webhookId: WebhookId;
  readonly shard: Shard;
  readonly now: Millis;
}

/**
 * Events read from the log that go out together. Its time runs from the first of them: what waited behind a delivery
 * that failed has waited already.
 */
export const composed = (
  { webhookId, shard, now }: Origin,
  events: readonly [LoggedEvent, ...LoggedEvent[]],
  retryForMs: number,
): Delivery => ({
  id: idOf(
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
  ...NOT_TRIED,
  nextAttemptAt: now,
  // Never later than it should be for a clock that was ahead when it happened.
  giveUpAt: later(millis(Math.min(events[0].occurredAt, now)), retryForMs),
});

/** Says, where deliveries are looked for, that events were removed from the log before they could be delivered. */
export const lost = ({ webhookId, shard, now }: Origin, position: Cursor): Delivery => ({
  id: idOf(webhookId, ['lost', String(shard), position]),
  webhookId,
  shard,
  isTest: false,
  status: 'DEAD',
  events: [],
  eventCount: 0,
  createdAt: now,
  ...NOT_TRIED,
  lastError: `The retention removed events before it was their turn: what there was of some users (those of shard ${shard}) was never sent.`,
  nextAttemptAt: null,
  giveUpAt: now,
});

/** The same events, read again after a crash, are the same delivery: whoever has taken it recognises it. */
const idOf = (webhookId: WebhookId, what: readonly string[]): DeliveryId => {
  const hash = createHash('sha256').update(JSON.stringify([webhookId, ...what]));
  return `msg_${hash.digest('base64url')}` as DeliveryId;
};
