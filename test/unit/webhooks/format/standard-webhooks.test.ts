/** The format STANDARD, verified with the library of the Standard Webhooks specification. */
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import type { WebhookRequest } from '../../../../src/app/ports/webhook-format.ts';
import type { Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { addMs, toMillis, type Millis } from '../../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../../src/core/webhooks/webhook.ts';
import { standardFormat } from '../../../../src/webhooks/format/standard-webhooks.ts';
import { ApiHarness } from '../../api/api-harness.ts';
import {
  createTestDelivery,
  createTestEvent,
  createTestWebhook,
  MOMENT,
  OTHER_SECRET,
  SECRET,
} from '../support/webhooks.ts';

/** Receivers compare timestamps with the wall clock. */
const now = (): Millis => toMillis(Date.now());

const requestsOf = (
  webhook: WebhookRecord,
  delivery: Delivery,
  at: () => Millis = now,
  wallClock = at,
): WebhookRequest[] => [...standardFormat.createRequests(webhook, delivery, { storeNow: at, wallClockNow: wallClock })];

const requestOf = (...given: Parameters<typeof requestsOf>): WebhookRequest => {
  const [request, ...more] = requestsOf(...given);
  if (request === undefined || more.length > 0) throw new Error('A delivery is one request.');
  return request;
};

const isTaken = (secret: string, { body, headers }: Pick<WebhookRequest, 'body' | 'headers'>): boolean => {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch (error) {
    if (error instanceof WebhookVerificationError) return false;
    throw error;
  }
};

describe('a delivery', () => {
  it('sends its events in one request', () => {
    const { url, headers, body, deliveredEventCount } = requestOf(createTestWebhook(), createTestDelivery(), () =>
      addMs(MOMENT, 1_999),
    );
    expect(url.href).toBe('https://hooks.example.com/presence');
    expect(deliveredEventCount).toBe(2);
    expect(headers).toEqual({
      'content-type': 'application/json',
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(Date.UTC(2026, 10, 21, 9, 30, 1) / 1_000),
      'webhook-signature': expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/) as string,
    });
    expect(JSON.parse(body)).toMatchObject({
      type: 'presence.events',
      timestamp: '2026-11-21T09:30:00.002Z',
      data: { events: [{ cursor: '1' }, { cursor: '2' }] },
    });
    expect(Object.keys(JSON.parse(body) as object)).toEqual(['type', 'timestamp', 'data']);
  });

  it('sends the same fields of an event as GraphQL', async () => {
    const harness = new ApiHarness();
    await harness.login('alice', 'ANDROID');
    harness.clock.advance(61_001);
    await harness.login('alice', 'WEB', 'd2');
    const { events } = await harness.executeAsBackend<{ events: { nodes: unknown[] } }>(`{ events { nodes {
      cursor changeId userId sessionId platform deviceId reason sessionStatus previousStatus status version kickedBy
      customStatus ipAddress occurredAt
    } } }`);
    const logged = await harness.store.eventLog.readEvents({ after: null, limit: 100 });
    const { body } = requestOf(createTestWebhook(), createTestDelivery({ events: logged.events }));
    expect(events.nodes).toHaveLength(3);
    expect(JSON.parse(body)).toStrictEqual({
      type: 'presence.events',
      timestamp: '2026-01-01T00:01:01.001Z',
      data: { events: events.nodes },
    });
  });

  it('has the same body and id in each attempt, with a new timestamp and signature', () => {
    const first = requestOf(createTestWebhook(), createTestDelivery(), () => MOMENT);
    const again = requestOf(createTestWebhook(), createTestDelivery(), () => addMs(MOMENT, 3_600_000));
    expect(again.body).toBe(first.body);
    expect(again.headers['webhook-id']).toBe(first.headers['webhook-id']);
    expect(Number(again.headers['webhook-timestamp'])).toBe(Number(first.headers['webhook-timestamp']) + 3_600);
    expect(again.headers['webhook-signature']).not.toBe(first.headers['webhook-signature']);
  });

  it('has the type webhook.test and no data for a test', () => {
    const { body, deliveredEventCount } = requestOf(
      createTestWebhook(),
      createTestDelivery({ isTest: true, events: [] }),
    );
    expect(JSON.parse(body)).toEqual({ type: 'webhook.test', timestamp: '2026-11-21T09:30:00.000Z', data: {} });
    expect(deliveredEventCount).toBe(0);
  });

  it('creates no request without events', () => {
    expect(requestsOf(createTestWebhook(), createTestDelivery({ events: [] }))).toEqual([]);
  });
});

describe('the signature', () => {
  const events = [{ ...createTestEvent(1), customStatus: 'Zoë “away” 🚲 \ud83d\ude00' }];

  it('is accepted by a receiver that has the secret', () => {
    for (const secret of [SECRET, OTHER_SECRET]) {
      const request = requestOf(createTestWebhook({ secret }), createTestDelivery({ events }));
      expect(new Webhook(secret).verify(request.body, request.headers)).toEqual(JSON.parse(request.body));
      // Also as bytes, which is what a receiver gets.
      expect(isTaken(secret, { ...request, body: Buffer.from(request.body, 'utf8').toString('utf8') })).toBe(true);
    }
    expect(isTaken(OTHER_SECRET, requestOf(createTestWebhook(), createTestDelivery()))).toBe(false);
  });

  it('is made with both secrets during a rotation, the new one first, and then with the new one only', () => {
    const validUntil = now();
    const webhook = createTestWebhook({ secret: SECRET, previousSecret: { secret: OTHER_SECRET, validUntil } });
    const during = requestOf(webhook, createTestDelivery(), () => toMillis(validUntil - 1));
    expect(during.headers['webhook-signature']?.split(' ')).toHaveLength(2);
    expect(isTaken(SECRET, during)).toBe(true);
    expect(isTaken(OTHER_SECRET, during)).toBe(true);
    const [present] = during.headers['webhook-signature']?.split(' ') ?? [];
    expect(isTaken(SECRET, { ...during, headers: { ...during.headers, 'webhook-signature': present ?? '' } })).toBe(
      true,
    );

    const after = requestOf(webhook, createTestDelivery(), () => validUntil);
    expect(isTaken(SECRET, after)).toBe(true);
    expect(isTaken(OTHER_SECRET, after)).toBe(false);
  });

  it('is valid only for its body, id and timestamp', () => {
    const request = requestOf(createTestWebhook(), createTestDelivery());
    const at = Number(request.headers['webhook-timestamp']);
    const withHeader = (name: string, value: string): WebhookRequest => ({
      ...request,
      headers: { ...request.headers, [name]: value },
    });
    expect(isTaken(SECRET, request)).toBe(true);
    expect(isTaken(SECRET, { ...request, body: request.body.replace('user 1', 'user 7') })).toBe(false);
    expect(isTaken(SECRET, { ...request, body: `${request.body} ` })).toBe(false);
    expect(isTaken(SECRET, withHeader('webhook-id', 'msg_2'))).toBe(false);
    expect(isTaken(SECRET, withHeader('webhook-timestamp', String(at - 1)))).toBe(false);
  });

  it('uses the wall clock for its timestamp and the clock of the store for the validity of secrets', () => {
    const validUntil = addMs(now(), -3_600_000);
    const webhook = createTestWebhook({ previousSecret: { secret: OTHER_SECRET, validUntil } });
    const behind = requestOf(webhook, createTestDelivery(), () => toMillis(validUntil - 1), now);
    expect(isTaken(SECRET, behind)).toBe(true);
    expect(isTaken(OTHER_SECRET, behind)).toBe(true);
    const inTime = requestOf(webhook, createTestDelivery(), () => validUntil, now);
    expect(isTaken(SECRET, inTime)).toBe(true);
    expect(isTaken(OTHER_SECRET, inTime)).toBe(false);
  });

  it('is rejected by receivers after five minutes', () => {
    const old = requestOf(createTestWebhook(), createTestDelivery(), () => toMillis(Date.now() - 302_000));
    expect(isTaken(SECRET, old)).toBe(false);
  });

  it('is not made with a secret that was set for another format', () => {
    const validUntil = toMillis(Date.now() + 60_000);
    const webhook = createTestWebhook({ previousSecret: { secret: 'xxxxyyyy', validUntil } });
    expect(requestOf(webhook, createTestDelivery()).headers['webhook-signature']).toMatch(/^v1,[^ ]+$/);
  });

  it('is always present', () => {
    for (const secret of [null, 'xxxxyyyy']) {
      expect(() => requestsOf(createTestWebhook({ secret }), createTestDelivery())).toThrow(/no valid secret/);
    }
  });
});
