/** `webhookDeliveries`, `redeliver` and `testWebhook`. */
import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../src/app/ports/webhook-store.ts';
import { parseDeliveryId, toMillis } from '../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../src/core/webhooks/webhook.ts';
import { HOOK } from '../app/webhooks/webhook-service-harness.ts';
import { RETRY_FOR_MS } from '../app/webhooks/webhook-parts.ts';
import { ApiHarness } from './api-harness.ts';

const START = Date.UTC(2026, 0, 1);
const DELIVERY = `id webhookId status isTest eventCount events { cursor userId reason ipAddress occurredAt } createdAt
  attempts lastAttemptAt lastStatus lastError nextAttemptAt giveUpAt`;
const LIST = `query($status: DeliveryStatus, $webhookId: ID, $first: Int, $after: String) {
  webhookDeliveries(status: $status, webhookId: $webhookId, first: $first, after: $after) {
    nodes { ${DELIVERY} } pageInfo { hasNextPage endCursor }
  }
}`;
const REDELIVER = 'mutation($input: RedeliverInput!) { redeliver(input: $input) { count } }';

interface Page {
  readonly nodes: readonly (Record<string, unknown> & { readonly id: string })[];
  readonly pageInfo: unknown;
}

const list = async (harness: ApiHarness, variables: Record<string, unknown> = {}): Promise<Page> =>
  (await harness.executeAsBackend<{ webhookDeliveries: Page }>(LIST, variables)).webhookDeliveries;
const idsOf = ({ nodes }: Page): readonly string[] => nodes.map(({ id }) => id);

const create = async (harness: ApiHarness): Promise<WebhookRecord> =>
  (await harness.application.webhookService.createWebhook({ url: HOOK })).webhook;

/** Stores a DEAD delivery with the first event of the log. */
const storeDelivery = async (
  harness: ApiHarness,
  webhook: WebhookRecord,
  id: string,
  change: Partial<Delivery> = {},
): Promise<void> => {
  const { events } = await harness.store.eventLog.readEvents({ after: null, limit: 1 });
  await harness.webhooks.store.addDelivery({
    id: parseDeliveryId(id),
    webhookId: webhook.id,
    shard: null,
    isTest: false,
    status: 'DEAD',
    events,
    eventCount: 3,
    createdAt: toMillis(START + 1),
    attempts: 30,
    lastAttemptAt: toMillis(START + 2),
    lastStatus: 500,
    lastError: 'It answered 500.',
    nextAttemptAt: null,
    giveUpAt: toMillis(START + 3),
    ...change,
  });
};

/** Creates a harness with one logged-in user and one webhook. */
const createHarnessWithWebhook = async (): Promise<{
  readonly harness: ApiHarness;
  readonly webhook: WebhookRecord;
}> => {
  const harness = new ApiHarness();
  await harness.login('alice');
  return { harness, webhook: await create(harness) };
};

describe('webhookDeliveries', () => {
  it('contain all fields of a delivery and its events', async () => {
    const { harness, webhook } = await createHarnessWithWebhook();
    await storeDelivery(harness, webhook, 'a');
    const events = await harness.executeAsBackend<{ events: { nodes: readonly unknown[] } }>(
      '{ events { nodes { cursor userId reason ipAddress occurredAt } } }',
    );
    expect(events.events.nodes).toHaveLength(1);
    expect(await list(harness)).toEqual({
      nodes: [
        {
          id: 'a',
          webhookId: webhook.id,
          status: 'DEAD',
          isTest: false,
          eventCount: 3,
          events: events.events.nodes,
          createdAt: '2026-01-01T00:00:00.001Z',
          attempts: 30,
          lastAttemptAt: '2026-01-01T00:00:00.002Z',
          lastStatus: 500,
          lastError: 'It answered 500.',
          nextAttemptAt: null,
          giveUpAt: '2026-01-01T00:00:00.003Z',
        },
      ],
      pageInfo: { hasNextPage: false, endCursor: 'a' },
    });
  });

  it('are returned in pages, the newest first, filtered by status and webhook', async () => {
    const { harness, webhook } = await createHarnessWithWebhook();
    const other = await create(harness);
    await storeDelivery(harness, webhook, 'a');
    await storeDelivery(harness, other, 'b');
    await storeDelivery(harness, webhook, 'c', { status: 'RETRYING', nextAttemptAt: toMillis(START + 4) });
    const one = await list(harness, { first: 2 });
    expect([idsOf(one), one.pageInfo]).toEqual([['c', 'b'], { hasNextPage: true, endCursor: 'b' }]);
    const two = await list(harness, { first: 2, after: 'b' });
    expect([idsOf(two), two.pageInfo]).toEqual([['a'], { hasNextPage: false, endCursor: 'a' }]);
    const end = await list(harness, { after: 'a' });
    expect([idsOf(end), end.pageInfo]).toEqual([[], { hasNextPage: false, endCursor: 'a' }]);
    expect(idsOf(await list(harness, { status: 'DEAD' }))).toEqual(['b', 'a']);
    expect(idsOf(await list(harness, { webhookId: webhook.id }))).toEqual(['c', 'a']);
    expect(idsOf(await list(harness, { status: null, webhookId: null, first: null, after: null }))).toHaveLength(3);
    expect((await list(harness)).nodes[0]).toMatchObject({ nextAttemptAt: '2026-01-01T00:00:00.004Z' });
  });

  it('are empty at first, and have a default page size of 100', async () => {
    const { harness, webhook } = await createHarnessWithWebhook();
    expect((await list(harness)).pageInfo).toEqual({ hasNextPage: false, endCursor: null });
    for (let index = 0; index < 101; index++) await storeDelivery(harness, webhook, `d${index}`);
    expect((await list(harness)).nodes).toHaveLength(100);
  });

  it.each<[string, Record<string, unknown>]>([
    ['a page size of 0', { first: 0 }],
    ['a page size of 501', { first: 501 }],
    ['an unknown webhook', { webhookId: 'webhook-9' }],
    ['an empty id', { webhookId: '' }],
    ['an unknown endCursor', { after: 'z' }],
    ['an empty endCursor', { after: '' }],
    ['an unknown status', { status: 'LOST' }],
  ])('are answered BAD_USER_INPUT for %s', async (_what, variables) => {
    const { harness } = await createHarnessWithWebhook();
    expect((await harness.execute(LIST, { variables })).codes).toEqual(['BAD_USER_INPUT']);
    expect(harness.internalErrors).toEqual([]);
  });
});

describe('redeliver', () => {
  it('retries one delivery or all of a webhook, and returns the count', async () => {
    const { harness, webhook } = await createHarnessWithWebhook();
    for (const id of ['a', 'b', 'c']) await storeDelivery(harness, webhook, id);
    harness.clock.advance(5_000);
    expect(await harness.executeAsBackend(REDELIVER, { input: { deliveryId: 'b' } })).toEqual({
      redeliver: { count: 1 },
    });
    expect((await list(harness, { status: 'RETRYING' })).nodes).toMatchObject([
      {
        id: 'b',
        attempts: 0,
        lastStatus: 500,
        nextAttemptAt: '2026-01-01T00:00:05.000Z',
        giveUpAt: new Date(START + 5_000 + RETRY_FOR_MS).toISOString(),
      },
    ]);
    const all = { webhookId: webhook.id, deliveryId: null };
    expect(await harness.executeAsBackend(REDELIVER, { input: all })).toEqual({ redeliver: { count: 2 } });
    expect(await harness.executeAsBackend(REDELIVER, { input: all })).toEqual({ redeliver: { count: 0 } });
  });

  it.each<[string, object]>([
    ['neither field', {}],
    ['two nulls', { deliveryId: null, webhookId: null }],
    ['both fields', { deliveryId: 'a', webhookId: 'webhook-1' }],
    ['an unknown delivery', { deliveryId: 'z' }],
    ['an empty id', { deliveryId: '' }],
    ['an unknown webhook', { webhookId: 'webhook-9' }],
  ])('is answered BAD_USER_INPUT for %s, and retries nothing', async (_what, input) => {
    const { harness, webhook } = await createHarnessWithWebhook();
    await storeDelivery(harness, webhook, 'a');
    expect((await harness.execute(REDELIVER, { variables: { input } })).codes).toEqual(['BAD_USER_INPUT']);
    expect((await list(harness, { status: 'DEAD' })).nodes).toHaveLength(1);
    expect(harness.internalErrors).toEqual([]);
  });
});

describe('testWebhook', () => {
  const TEST = `mutation($id: ID!) { testWebhook(input: {id: $id}) { delivery { ${DELIVERY} } } }`;

  it('returns the test delivery, which is also listed', async () => {
    const { harness, webhook } = await createHarnessWithWebhook();
    const delivered = await harness.executeAsBackend<{ testWebhook: { delivery: Record<string, unknown> } }>(TEST, {
      id: webhook.id,
    });
    expect(delivered.testWebhook.delivery).toMatchObject({
      status: 'DELIVERED',
      isTest: true,
      lastStatus: 204,
      events: [],
    });
    harness.webhooks.sender.nextReport = {
      status: null,
      error: 'No response.',
      deliveredEventCount: 0,
      retryAfterMs: null,
    };
    const failed = await harness.executeAsBackend<{ testWebhook: { delivery: Record<string, unknown> } }>(TEST, {
      id: webhook.id,
    });
    expect(failed.testWebhook.delivery).toMatchObject({
      status: 'DEAD',
      lastStatus: null,
      lastError: 'No response.',
    });
    expect((await list(harness)).nodes).toEqual([failed.testWebhook.delivery, delivered.testWebhook.delivery]);
  });

  it('is answered BAD_USER_INPUT for an unknown webhook', async () => {
    const { harness } = await createHarnessWithWebhook();
    expect((await harness.execute(TEST, { variables: { id: 'webhook-9' } })).codes).toEqual(['BAD_USER_INPUT']);
    expect(harness.webhooks.sender.attempts).toEqual([]);
  });
});
