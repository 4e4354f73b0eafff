/** Webhooks and deliveries to test with. */
import type { Delivery } from '../../src/app/webhook-ports.ts';
import type { LoggedEvent } from '../../src/app/ports.ts';
import { cursor, deliveryId, deviceId, later, millis, sessionId, userId, webhookId } from '../../src/core/ids.ts';
import type { WebhookRecord } from '../../src/core/webhook.ts';

/** Two secrets as anybody might have made them: 24 bytes and 64. */
export const SECRET = `whsec_${Buffer.alloc(24, 'a secret').toString('base64')}`;
export const OTHER_SECRET = `whsec_${Buffer.alloc(64, 'another one').toString('base64')}`;

export const MOMENT = millis(Date.UTC(2026, 10, 21, 9, 30));

export const aWebhook = (changes: Partial<WebhookRecord> = {}): WebhookRecord => ({
  id: webhookId('wh_1'),
  url: 'https://hooks.example.com/presence',
  format: 'STANDARD',
  secret: SECRET,
  previousSecret: null,
  reasons: null,
  userStatusOnly: false,
  state: 'ACTIVE',
  createdAt: MOMENT,
  changedAt: MOMENT,
  start: cursor('0'),
  ...changes,
});

export const anEvent = (position: number): LoggedEvent => ({
  cursor: cursor(String(position)),
  changeId: `change ${position}`,
  userId: userId(`user ${position}`),
  sessionId: sessionId(`session ${position}`),
  platform: 'IPHONE',
  deviceId: deviceId('d1'),
  reason: 'LOGIN',
  sessionStatus: 'ONLINE',
  previousStatus: 'OFFLINE',
  status: 'ONLINE',
  version: 1,
  kickedBy: null,
  customStatus: null,
  ipAddress: '192.0.2.7',
  occurredAt: later(MOMENT, position),
});

export const aDelivery = (changes: Partial<Delivery> = {}): Delivery => {
  const events = changes.events ?? [anEvent(1), anEvent(2)];
  return {
    id: deliveryId('msg_1'),
    webhookId: webhookId('wh_1'),
    shard: 0,
    isTest: false,
    status: 'RETRYING',
    events,
    eventCount: events.length,
    createdAt: MOMENT,
    attempts: 0,
    lastAttemptAt: null,
    lastStatus: null,
    lastError: null,
    nextAttemptAt: MOMENT,
    giveUpAt: later(MOMENT, 3 * 86_400_000),
    ...changes,
  };
};
