/** Converts webhooks and deliveries to rows and back. The order of the columns is defined here. */
import type { LoggedEvent } from '../../../app/ports/presence-store.ts';
import type { Delivery, IsolatedUser, ShardLease } from '../../../app/ports/webhook-store.ts';
import type { Cursor, DeliveryId, DeviceId, Millis, WebhookId } from '../../../core/ids.ts';
import { readStoredText } from '../../../core/texts.ts';
import type { WebhookRecord } from '../../../core/webhooks/webhook.ts';
import type { DeliveryStatus, EventReason, WebhookFormat, WebhookState } from '../../../core/enums.ts';
import type { FlatRows, SqlRow } from './rows.ts';

export const WEBHOOK_COLUMNS = [
  'webhookId',
  'url',
  'format',
  'secret',
  'previousSecret',
  'previousValidUntil',
  'reasons',
  'userStatusOnly',
  'state',
  'createdAt',
  'changedAt',
  'start',
] as const;

export const SHARD_COLUMNS = ['webhookId', 'shard', 'position'] as const;

export const ISOLATED_USER_COLUMNS = [
  'webhookId',
  'shard',
  'userId',
  'position',
  'skippedThrough',
  'deliveryId',
] as const;

export const DELIVERY_COLUMNS = [
  'deliveryId',
  'webhookId',
  'shard',
  'isTest',
  'status',
  'eventCount',
  'createdAt',
  'attempts',
  'lastAttemptAt',
  'lastStatus',
  'lastError',
  'nextAttemptAt',
  'giveUpAt',
  'settledAt',
  'events',
] as const;

export const webhookToRow = (webhook: WebhookRecord): FlatRows => [
  webhook.id,
  webhook.url,
  webhook.format,
  webhook.secret,
  webhook.previousSecret?.secret ?? null,
  webhook.previousSecret?.validUntil ?? null,
  webhook.reasons === null ? null : JSON.stringify(webhook.reasons),
  webhook.userStatusOnly ? 1 : 0,
  webhook.state,
  webhook.createdAt,
  webhook.changedAt,
  webhook.startCursor,
];

export const webhookFromRow = (row: SqlRow): WebhookRecord => ({
  id: row[0] as WebhookId,
  url: row[1] as string,
  format: row[2] as WebhookFormat,
  secret: row[3] as string | null,
  previousSecret: row[4] === null ? null : { secret: row[4] as string, validUntil: row[5] as Millis },
  reasons: row[6] === null ? null : (JSON.parse(row[6] as string) as readonly EventReason[]),
  userStatusOnly: row[7] === 1,
  state: row[8] as WebhookState,
  createdAt: row[9] as Millis,
  changedAt: row[10] as Millis,
  startCursor: row[11] as Cursor,
});

export const isolatedUserToRow = ({ webhookId, shard }: ShardLease, user: IsolatedUser): FlatRows => [
  webhookId,
  shard,
  user.userId,
  user.position,
  user.skippedThrough,
  user.pendingDelivery?.id ?? null,
];

export const deliveryToRow = (delivery: Delivery): FlatRows => [
  delivery.id,
  delivery.webhookId,
  delivery.shard,
  delivery.isTest ? 1 : 0,
  delivery.status,
  delivery.eventCount,
  delivery.createdAt,
  delivery.attempts,
  delivery.lastAttemptAt,
  delivery.lastStatus,
  delivery.lastError,
  delivery.nextAttemptAt,
  delivery.giveUpAt,
  delivery.status === 'RETRYING' ? null : (delivery.lastAttemptAt ?? delivery.createdAt),
  JSON.stringify(delivery.events),
];

/** Ignores `settledAt`, which follows from the other columns. */
export const deliveryFromRow = (row: SqlRow): Delivery => ({
  id: row[0] as DeliveryId,
  webhookId: row[1] as WebhookId,
  shard: row[2] as number | null,
  isTest: row[3] === 1,
  status: row[4] as DeliveryStatus,
  eventCount: row[5] as number,
  createdAt: row[6] as Millis,
  attempts: row[7] as number,
  lastAttemptAt: row[8] as Millis | null,
  lastStatus: row[9] as number | null,
  lastError: row[10] as string | null,
  nextAttemptAt: row[11] as Millis | null,
  giveUpAt: row[12] as Millis,
  events: (JSON.parse(row[14] as string) as readonly LoggedEvent[]).map(readStoredEvent),
});

/** An earlier version may have stored texts that are rejected today. See rows.ts. */
const readStoredEvent = (event: LoggedEvent): LoggedEvent => {
  const { customStatus } = event;
  const deviceId = readStoredText(event.deviceId) as DeviceId;
  const text = customStatus === null ? null : readStoredText(customStatus);
  return text === customStatus && deviceId === event.deviceId ? event : { ...event, deviceId, customStatus: text };
};
