/** Deliveries, redelivery and test deliveries. */
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { AttemptReport, Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { parseDeliveryId, parseWebhookId } from '../../../../src/core/ids.ts';
import type { WebhookState } from '../../../../src/core/enums.ts';
import { START } from '../support/fake-store.ts';
import { deferred, errorOf, isPending } from '../support/waiting.ts';
import { ABORTED_REPORT } from '../../webhooks/support/fake-sender.ts';
import { RETRY_FOR_MS, ACCEPTED_REPORT } from './webhook-parts.ts';
import { refusal, WebhookStage } from './webhook-service-harness.ts';

const UNKNOWN = parseWebhookId('unknown');

let harness: WebhookStage;

beforeEach(() => {
  harness = new WebhookStage();
});

describe('the list of deliveries', () => {
  const ALL = { status: null, webhookId: null, after: null, limit: 500 } as const;
  const idsOf = ({ deliveries }: { readonly deliveries: readonly Delivery[] }): readonly string[] =>
    deliveries.map(({ id }) => id);

  beforeEach(async () => {
    await harness.login();
  });

  it('is filtered by webhook and status, and paged by after and first', async () => {
    const [one, other] = [await harness.create(), await harness.create()];
    await harness.leave(one, 'a');
    await harness.leave(other, 'b');
    await harness.leave(one, 'c', { status: 'DELIVERED', events: [] });
    await harness.leave(one, 'd');
    expect(await harness.webhooks.listDeliveries(ALL)).toMatchObject({ hasMore: false });
    expect(idsOf(await harness.webhooks.listDeliveries(ALL))).toEqual(['d', 'c', 'b', 'a']);
    expect(idsOf(await harness.webhooks.listDeliveries({ ...ALL, webhookId: one.id }))).toEqual(['d', 'c', 'a']);
    expect(idsOf(await harness.webhooks.listDeliveries({ ...ALL, status: 'DEAD' }))).toEqual(['d', 'b', 'a']);
    const two = await harness.webhooks.listDeliveries({ ...ALL, limit: 2 });
    expect([idsOf(two), two.hasMore]).toEqual([['d', 'c'], true]);
    expect(idsOf(await harness.webhooks.listDeliveries({ ...ALL, after: parseDeliveryId('c') }))).toEqual(['b', 'a']);
    expect(await refusal(harness.webhooks.listDeliveries({ ...ALL, webhookId: UNKNOWN }))).toBe(
      'There is no webhook "unknown".',
    );
    await refusal(harness.webhooks.listDeliveries({ ...ALL, after: parseDeliveryId('z') }));
  });

  it.each([0, 1, 19, 20, 21, 40, 41])('contains each of %i deliveries once, whatever the page size', async (count) => {
    const webhook = await harness.create();
    for (let index = 0; index < count; index++) await harness.leave(webhook, `d${index}`);
    const latestFirst = Array.from({ length: count }, (_, index) => `d${count - 1 - index}`);
    for (const limit of [1, 20, 39, 500]) {
      const found: string[] = [];
      for (let more = true; more;) {
        const after = found.length === 0 ? null : parseDeliveryId(found.at(-1) ?? '');
        const page = await harness.webhooks.listDeliveries({ ...ALL, limit, after });
        expect(page.deliveries.length).toBe(Math.min(limit, count - found.length));
        found.push(...idsOf(page));
        more = page.hasMore;
      }
      expect(found).toEqual(latestFirst);
    }
  });

  it('ends a page with the delivery that reaches 500 events, and reads at most 20 more', async () => {
    const webhook = await harness.create();
    const [event] = harness.store.events;
    if (event === undefined) throw new Error('Nothing was logged.');
    for (let index = 0; index < 60; index++)
      await harness.leave(webhook, `d${index}`, { events: Array(249).fill(event) });
    const reading = vi.spyOn(harness.parts.store, 'listDeliveries');
    const page = await harness.webhooks.listDeliveries(ALL);
    expect([idsOf(page), page.hasMore]).toEqual([['d59', 'd58', 'd57'], true]);
    expect(reading.mock.calls.map(([{ limit }]) => limit)).toEqual([20]);
    const lastButOne = await harness.webhooks.listDeliveries({ ...ALL, after: parseDeliveryId('d4') });
    expect([idsOf(lastButOne), lastButOne.hasMore]).toEqual([['d3', 'd2', 'd1'], true]);
    const last = await harness.webhooks.listDeliveries({ ...ALL, after: parseDeliveryId('d3') });
    expect([idsOf(last), last.hasMore]).toEqual([['d2', 'd1', 'd0'], false]);
  });
});

describe('redeliver', () => {
  const PASSED = 12_345;

  beforeEach(async () => {
    await harness.login();
    harness.store.passes(PASSED);
  });

  const revived = { status: 'RETRYING', shard: null, attempts: 0, nextAttemptAt: START + PASSED } as const;

  it('retries a DEAD delivery now, for as long as a new one', async () => {
    const webhook = await harness.create();
    const dead = await harness.leave(webhook, 'a', { shard: 3 });
    const other = await harness.leave(webhook, 'b');
    expect(await harness.webhooks.redeliver({ deliveryId: dead.id, webhookId: null })).toBe(1);
    expect(await harness.parts.store.findDelivery(dead.id)).toEqual({
      ...dead,
      ...revived,
      giveUpAt: START + PASSED + RETRY_FOR_MS,
    });
    expect(await harness.parts.store.findDelivery(other.id)).toEqual(other);
  });

  it('retries all DEAD deliveries of a webhook, except those without events', async () => {
    const [one, other] = [await harness.create(), await harness.create()];
    await harness.leave(one, 'a');
    await harness.leave(other, 'of the other');
    const left = [
      await harness.leave(one, 'waiting', { status: 'RETRYING', nextAttemptAt: START }),
      await harness.leave(one, 'taken', { status: 'DELIVERED', events: [] }),
      await harness.leave(one, 'a test', { isTest: true, events: [] }),
      await harness.leave(one, 'lost', { events: [], eventCount: 0 }),
    ];
    await harness.leave(one, 'b');
    expect(await harness.webhooks.redeliver({ deliveryId: null, webhookId: one.id })).toBe(2);
    for (const id of ['a', 'b'])
      expect(await harness.parts.store.findDelivery(parseDeliveryId(id))).toMatchObject(revived);
    for (const delivery of left) expect(await harness.parts.store.findDelivery(delivery.id)).toEqual(delivery);
    expect(await harness.webhooks.redeliver({ deliveryId: null, webhookId: one.id })).toBe(0);
  });

  it.each<Partial<Delivery>>([
    { status: 'RETRYING', nextAttemptAt: START },
    { status: 'DELIVERED', events: [] },
  ])('one that is not DEAD is none: %j', async (change) => {
    const delivery = await harness.leave(await harness.create(), 'a', change);
    expect(await harness.webhooks.redeliver({ deliveryId: delivery.id, webhookId: null })).toBe(0);
    expect(await harness.parts.store.findDelivery(delivery.id)).toEqual(delivery);
  });

  it('rejects a delivery without events, and an unknown delivery or webhook', async () => {
    const lost = await harness.leave(await harness.create(), 'lost', { events: [] });
    expect(await refusal(harness.webhooks.redeliver({ deliveryId: lost.id, webhookId: null }))).toBe(
      'The delivery "lost" has no events to deliver.',
    );
    const unknown = parseDeliveryId('unknown');
    expect(await refusal(harness.webhooks.redeliver({ deliveryId: unknown, webhookId: null }))).toBe(
      'There is no delivery "unknown".',
    );
    expect(await refusal(harness.webhooks.redeliver({ deliveryId: null, webhookId: UNKNOWN }))).toBe(
      'There is no webhook "unknown".',
    );
  });

  it('rejects both ids together, and neither', async () => {
    const webhook = await harness.create();
    const dead = await harness.leave(webhook, 'a');
    for (const asked of [
      { deliveryId: dead.id, webhookId: webhook.id },
      { deliveryId: null, webhookId: null },
    ]) {
      expect(await refusal(harness.webhooks.redeliver(asked))).toBe('Set exactly one of deliveryId and webhookId.');
    }
    expect(await harness.parts.store.findDelivery(dead.id)).toEqual(dead);
  });
});

describe('a test delivery', () => {
  it('is sent once to the webhook, and stored as DELIVERED', async () => {
    const webhook = await harness.create();
    const { id, ...delivery } = await harness.webhooks.sendTestDelivery(webhook.id);
    expect(delivery).toEqual({
      webhookId: webhook.id,
      shard: null,
      isTest: true,
      status: 'DELIVERED',
      events: [],
      eventCount: 0,
      createdAt: START,
      attempts: 1,
      lastAttemptAt: START,
      lastStatus: 204,
      lastError: null,
      nextAttemptAt: null,
      giveUpAt: START,
    });
    expect(await harness.parts.store.findDelivery(id)).toEqual({ id, ...delivery });
    expect(harness.parts.sender.attempts).toMatchObject([{ webhook, delivery: { id, isTest: true, events: [] } }]);
  });

  it.each<WebhookState>(['ACTIVE', 'PAUSED', 'GONE'])('that fails is kept as DEAD, and leaves %s', async (state) => {
    const { id } = await harness.create();
    await harness.isIn(id, state);
    harness.parts.sender.nextReport = {
      status: 410,
      error: 'It answered 410.',
      deliveredEventCount: 0,
      retryAfterMs: null,
    };
    const delivery = await harness.webhooks.sendTestDelivery(id);
    expect(delivery).toMatchObject({ status: 'DEAD', lastStatus: 410, lastError: 'It answered 410.', attempts: 1 });
    expect(await harness.parts.store.findDelivery(delivery.id)).toEqual(delivery);
    expect((await harness.kept(id)).state).toBe(state);
  });

  it('to an unknown or deleted webhook is rejected', async () => {
    expect(await refusal(harness.webhooks.sendTestDelivery(UNKNOWN))).toBe('There is no webhook "unknown".');
    expect(harness.parts.sender.attempts).toEqual([]);
    const { id } = await harness.create();
    const answer = deferred<AttemptReport>();
    harness.parts.sender.nextReport = answer.promise;
    const test = harness.webhooks.sendTestDelivery(id);
    expect(await isPending(test)).toBe(true);
    await harness.webhooks.deleteWebhook(id);
    answer.resolve(ACCEPTED_REPORT);
    await refusal(test);
  });

  it('beside ten others is RATE_LIMITED, until one of them has ended', async () => {
    const { id } = await harness.create();
    const first = deferred<AttemptReport>();
    harness.parts.sender.nextReport = first.promise;
    const one = harness.webhooks.sendTestDelivery(id);
    expect(await isPending(one)).toBe(true);
    const never = deferred<AttemptReport>();
    harness.parts.sender.nextReport = never.promise;
    const others = Array.from({ length: 9 }, () => harness.webhooks.sendTestDelivery(id));
    expect(await isPending(Promise.race(others))).toBe(true);
    expect(await errorOf(harness.webhooks.sendTestDelivery(id))).toMatchObject({
      details: { code: 'RATE_LIMITED', retryAfterMs: 1_000 },
    });
    expect(harness.parts.sender.attempts).toHaveLength(10);
    first.resolve(ACCEPTED_REPORT);
    await one;
    harness.parts.sender.nextReport = ACCEPTED_REPORT;
    expect(await harness.webhooks.sendTestDelivery(id)).toMatchObject({ status: 'DELIVERED' });
    never.resolve(ACCEPTED_REPORT);
    await Promise.all(others);
  });

  it('that could not be stored frees its place', async () => {
    const { id } = await harness.create();
    const failure = new Error('disk full');
    const keeping = vi.spyOn(harness.parts.store, 'addDelivery').mockRejectedValue(failure);
    for (let index = 0; index < 11; index++) expect(await errorOf(harness.webhooks.sendTestDelivery(id))).toBe(failure);
    keeping.mockRestore();
    expect(await harness.webhooks.sendTestDelivery(id)).toMatchObject({ status: 'DELIVERED' });
  });

  it('that is running at close is aborted and stored, and so is a later one', async () => {
    const { id } = await harness.create();
    harness.parts.sender.nextReport = deferred<AttemptReport>().promise;
    const tests = [harness.webhooks.sendTestDelivery(id), harness.webhooks.sendTestDelivery(id)];
    expect(await isPending(Promise.race(tests))).toBe(true);
    harness.webhooks.close();
    harness.webhooks.close();
    for (const test of [...tests, harness.webhooks.sendTestDelivery(id)]) {
      const delivery = await test;
      expect(delivery).toMatchObject({ status: 'DEAD', lastStatus: null, lastError: ABORTED_REPORT.error });
      expect(await harness.parts.store.findDelivery(delivery.id)).toEqual(delivery);
    }
  });
});
