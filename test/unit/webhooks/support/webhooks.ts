/** Webhooks and deliveries as a courier or a format is given them: signed, and of one day. */
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { parseCursor, parseDeviceId, addMs, toMillis, parseUserId } from '../../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { delivery, loggedEvent, webhook } from '../../../contract/webhook-records.ts';

/** Two secrets as anybody might have made them: 24 bytes and 64. */
export const SECRET = `whsec_${Buffer.alloc(24, 'a secret').toString('base64')}`;
export const OTHER_SECRET = `whsec_${Buffer.alloc(64, 'another one').toString('base64')}`;

export const MOMENT = toMillis(Date.UTC(2026, 10, 21, 9, 30));

export const createTestWebhook = (changes: Partial<WebhookRecord> = {}): WebhookRecord =>
  webhook('wh_1', {
    url: 'https://hooks.example.com/presence',
    secret: SECRET,
    createdAt: MOMENT,
    changedAt: MOMENT,
    ...changes,
  });

/** The login of a user who has no other. */
export const createTestEvent = (position: number): LoggedEvent =>
  loggedEvent(position, {
    cursor: parseCursor(String(position)),
    userId: parseUserId(`user ${position}`),
    platform: 'IPHONE',
    deviceId: parseDeviceId('d1'),
    version: 1,
    customStatus: null,
    occurredAt: addMs(MOMENT, position),
  });

/** Not attempted yet. */
export const createTestDelivery = (changes: Partial<Delivery> = {}): Delivery => {
  const events = changes.events ?? [createTestEvent(1), createTestEvent(2)];
  return delivery('msg_1', {
    webhookId: createTestWebhook().id,
    events,
    eventCount: events.length,
    createdAt: MOMENT,
    attempts: 0,
    lastAttemptAt: null,
    lastStatus: null,
    lastError: null,
    nextAttemptAt: MOMENT,
    giveUpAt: addMs(MOMENT, 3 * 86_400_000),
    ...changes,
  });
};
