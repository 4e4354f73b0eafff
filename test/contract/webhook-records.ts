/** Complete webhooks and deliveries for tests, so that a test sets only the fields it needs. */
import type { LoggedEvent } from '../../src/app/ports/presence-store.ts';
import type { Delivery } from '../../src/app/ports/webhook-store.ts';
import {
  parseDeliveryId,
  parseDeviceId,
  toMillis,
  parseSessionId,
  parseUserId,
  parseWebhookId,
  type Cursor,
} from '../../src/core/ids.ts';
import type { WebhookRecord } from '../../src/core/webhooks/webhook.ts';

export const cursorAt = (seq: number): Cursor => `a log.${seq}` as Cursor;

export const webhook = (id: string, fields: Partial<WebhookRecord> = {}): WebhookRecord => ({
  id: parseWebhookId(id),
  url: `https://example.com/${id}`,
  format: 'STANDARD',
  secret: 'whsec_c2VjcmV0',
  previousSecret: null,
  reasons: null,
  userStatusOnly: false,
  state: 'ACTIVE',
  createdAt: toMillis(1_000),
  changedAt: toMillis(2_000),
  startCursor: cursorAt(7),
  ...fields,
});

export const loggedEvent = (seq: number, fields: Partial<LoggedEvent> = {}): LoggedEvent => ({
  cursor: cursorAt(seq),
  changeId: `change ${seq}`,
  userId: parseUserId('alice'),
  sessionId: parseSessionId(`s${seq}`),
  platform: 'WEB',
  deviceId: parseDeviceId('the "laptop"\u2028'),
  reason: 'LOGIN',
  sessionStatus: 'ONLINE',
  previousStatus: 'OFFLINE',
  status: 'ONLINE',
  version: seq,
  kickedBy: null,
  customStatus: 'out for lunch 🥪',
  ipAddress: '192.0.2.7',
  occurredAt: toMillis(5_000 + seq),
  ...fields,
});

/** RETRYING, of shard 0 of the webhook w1. */
export const delivery = (id: string, fields: Partial<Delivery> = {}): Delivery => ({
  id: parseDeliveryId(id),
  webhookId: parseWebhookId('w1'),
  shard: 0,
  isTest: false,
  status: 'RETRYING',
  events: [loggedEvent(8), loggedEvent(9, { reason: 'LOGOUT', kickedBy: 'MAC', customStatus: null, ipAddress: null })],
  eventCount: 2,
  createdAt: toMillis(10_000),
  attempts: 1,
  lastAttemptAt: toMillis(11_000),
  lastStatus: 503,
  lastError: 'It answered 503.',
  nextAttemptAt: toMillis(12_000),
  giveUpAt: toMillis(20_000),
  ...fields,
});

const COMPLETED = { nextAttemptAt: null } as const;

export const deadDelivery = (id: string, fields: Partial<Delivery> = {}): Delivery =>
  delivery(id, { ...COMPLETED, status: 'DEAD', ...fields });

export const completedDelivery = (id: string, fields: Partial<Delivery> = {}): Delivery =>
  delivery(id, { ...COMPLETED, status: 'DELIVERED', events: [], lastStatus: 204, lastError: null, ...fields });
