/** The format STANDARD: a delivery is one request, by the Standard Webhooks convention. */
import { isoMoment } from '../../app/shared/iso-timestamp.ts';
import { toldEvent } from '../../app/shared/event-json.ts';
import type { Format } from '../../app/ports/webhook-format.ts';
import type { Delivery } from '../../app/ports/webhook-store.ts';
import { secretsInForce } from '../../core/webhooks/webhook.ts';
import { standardKey } from './secrets.ts';
import { signatures } from './signature.ts';

export const standardFormat: Format = {
  *requests(webhook, delivery, { now, wallClock }) {
    const body = bodyOf(delivery);
    if (body === null) return;
    // One that was given while the webhook had another format signs nothing here.
    const keys = secretsInForce(webhook, now())
      .map(standardKey)
      .filter((key) => key !== null);
    if (keys.length === 0) throw new Error(`The webhook ${webhook.id} has no secret that STANDARD can sign with.`);
    const timestamp = Math.floor(wallClock() / 1_000);
    yield {
      url: new URL(webhook.url),
      headers: {
        'content-type': 'application/json',
        'webhook-id': delivery.id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signatures(keys, delivery.id, timestamp, body),
      },
      body,
      eventsDone: delivery.events.length,
    };
  },
};

/** The same each time a delivery is sent. Null: there is nothing to tell. */
const bodyOf = ({ isTest, events, createdAt }: Delivery): string | null => {
  if (isTest) return JSON.stringify({ type: 'webhook.test', timestamp: isoMoment(createdAt), data: {} });
  const last = events.at(-1);
  if (last === undefined) return null;
  return JSON.stringify({
    type: 'presence.events',
    timestamp: isoMoment(last.occurredAt),
    data: { events: events.map(toldEvent) },
  });
};
