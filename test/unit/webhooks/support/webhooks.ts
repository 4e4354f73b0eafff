/** Sample webhooks and deliveries for tests of senders and formats. */
import type { LoggedEvent } from '../../../../src/app/ports/presence-store.ts';
import type { Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { parseCursor, parseDeviceId, addMs, toMillis, parseUserId } from '../../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { delivery, loggedEvent, webhook } from '../../../contract/webhook-records.ts';

/** Secrets of the smallest and the largest size: 24 and 64 bytes. */
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

/** The first login of a user. */
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

/** A delivery without an attempt. */
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
