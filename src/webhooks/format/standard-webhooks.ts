/** The format STANDARD: each delivery is one request, as the Standard Webhooks specification defines it. */
import { createHmac } from 'node:crypto';
import { formatIsoTimestamp } from '../../app/shared/iso-timestamp.ts';
import { eventToJson } from '../../app/shared/event-json.ts';
import type { WebhookFormatter } from '../../app/ports/webhook-format.ts';
import type { Delivery } from '../../app/ports/webhook-store.ts';
import type { DeliveryId } from '../../core/ids.ts';
import { listValidSecrets } from '../../core/webhooks/webhook.ts';
import { decodeStandardSecret } from './secrets.ts';

export const standardFormat: WebhookFormatter = {
  *createRequests(webhook, delivery, { storeNow, wallClockNow }) {
    const body = createBody(delivery);
    if (body === null) return;
    // A secret that was set while the webhook had another format may not be a STANDARD secret.
    const keys = listValidSecrets(webhook, storeNow())
      .map(decodeStandardSecret)
      .filter((key) => key !== null);
    if (keys.length === 0) throw new Error(`Webhook ${webhook.id} has no valid secret for the format STANDARD.`);
    const timestampSeconds = Math.floor(wallClockNow() / 1_000);
    yield {
      url: new URL(webhook.url),
      headers: {
        'content-type': 'application/json',
        'webhook-id': delivery.id,
        'webhook-timestamp': String(timestampSeconds),
        'webhook-signature': createSignatureHeader(keys, delivery.id, timestampSeconds, body),
      },
      body,
      deliveredEventCount: delivery.events.length,
    };
  },
};

/** Identical for each attempt of a delivery. @returns null: there are no events to send. */
const createBody = ({ isTest, events, createdAt }: Delivery): string | null => {
  if (isTest) return JSON.stringify({ type: 'webhook.test', timestamp: formatIsoTimestamp(createdAt), data: {} });
  const last = events.at(-1);
  if (last === undefined) return null;
  return JSON.stringify({
    type: 'presence.events',
    timestamp: formatIsoTimestamp(last.occurredAt),
    data: { events: events.map(eventToJson) },
  });
};

/** The header `webhook-signature`, version 1: one signature for each key, so that a receiver may know any of them. */
const createSignatureHeader = (
  keys: readonly Buffer[],
  id: DeliveryId,
  timestampSeconds: number,
  body: string,
): string => {
  const signedContent = `${id}.${timestampSeconds}.${body}`;
  return keys.map((key) => `v1,${createHmac('sha256', key).update(signedContent, 'utf8').digest('base64')}`).join(' ');
};
