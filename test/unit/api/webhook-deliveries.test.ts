/** Deliveries as backends read them, redeliver them, and try one out. */
import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../src/app/ports/webhook-store.ts';
import { deliveryId, millis } from '../../../src/core/ids.ts';
import type { WebhookRecord } from '../../../src/core/webhooks/webhook.ts';
import { HOOK } from '../app/webhooks/webhook-service-harness.ts';
import { RETRY_FOR_MS } from '../app/webhooks/webhook-parts.ts';
import { World } from './api-harness.ts';

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

const list = async (world: World, variables: Record<string, unknown> = {}): Promise<Page> =>
  (await world.backend<{ webhookDeliveries: Page }>(LIST, variables)).webhookDeliveries;
const idsOf = ({ nodes }: Page): readonly string[] => nodes.map(({ id }) => id);

const create = async (world: World): Promise<WebhookRecord> =>
  (await world.porchlight.webhooks.create({ url: HOOK })).webhook;

/** Puts a delivery, with the first event of the log, where it is left after it was given up. */
const leave = async (
  world: World,
  webhook: WebhookRecord,
  id: string,
  change: Partial<Delivery> = {},
): Promise<void> => {
  const { events } = await world.store.log.read({ after: null, limit: 1 });
  await world.webhooks.store.addDelivery({
    id: deliveryId(id),
    webhookId: webhook.id,
    shard: null,
    isTest: false,
    status: 'DEAD',
    events,
    eventCount: 3,
    createdAt: millis(START + 1),
    attempts: 30,
    lastAttemptAt: millis(START + 2),
    lastStatus: 500,
    lastError: 'It answered 500.',
    nextAttemptAt: null,
    giveUpAt: millis(START + 3),
    ...change,
  });
};

/** With one user logged in, and one webhook. */
const worldWithWebhook = async (): Promise<{ readonly world: World; readonly webhook: WebhookRecord }> => {
  const world = new World();
  await world.login('alice');
  return { world, webhook: await create(world) };
};

describe('webhookDeliveries', () => {
  it('tell everything of a delivery, its events as events', async () => {
    const { world, webhook } = await worldWithWebhook();
    await leave(world, webhook, 'a');
    const events = await world.backend<{ events: { nodes: readonly unknown[] } }>(
      '{ events { nodes { cursor userId reason ipAddress occurredAt } } }',
    );
    expect(events.events.nodes).toHaveLength(1);
    expect(await list(world)).toEqual({
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

  it('come page by page, the latest first, by status and webhook', async () => {
    const { world, webhook } = await worldWithWebhook();
    const other = await create(world);
    await leave(world, webhook, 'a');
    await leave(world, other, 'b');
    await leave(world, webhook, 'c', { status: 'RETRYING', nextAttemptAt: millis(START + 4) });
    const one = await list(world, { first: 2 });
    expect([idsOf(one), one.pageInfo]).toEqual([['c', 'b'], { hasNextPage: true, endCursor: 'b' }]);
    const two = await list(world, { first: 2, after: 'b' });
    expect([idsOf(two), two.pageInfo]).toEqual([['a'], { hasNextPage: false, endCursor: 'a' }]);
    const end = await list(world, { after: 'a' });
    expect([idsOf(end), end.pageInfo]).toEqual([[], { hasNextPage: false, endCursor: 'a' }]);
    expect(idsOf(await list(world, { status: 'DEAD' }))).toEqual(['b', 'a']);
    expect(idsOf(await list(world, { webhookId: webhook.id }))).toEqual(['c', 'a']);
    expect(idsOf(await list(world, { status: null, webhookId: null, first: null, after: null }))).toHaveLength(3);
    expect((await list(world)).nodes[0]).toMatchObject({ nextAttemptAt: '2026-01-01T00:00:00.004Z' });
  });

  it('are none at first, and 100 where it is not said how many', async () => {
    const { world, webhook } = await worldWithWebhook();
    expect((await list(world)).pageInfo).toEqual({ hasNextPage: false, endCursor: null });
    for (let index = 0; index < 101; index++) await leave(world, webhook, `d${index}`);
    expect((await list(world)).nodes).toHaveLength(100);
  });

  it.each<[string, Record<string, unknown>]>([
    ['a page of none', { first: 0 }],
    ['a page of 501', { first: 501 }],
    ['a webhook that there is not', { webhookId: 'webhook-9' }],
    ['an id of nothing', { webhookId: '' }],
    ['after what is no delivery', { after: 'z' }],
    ['after nothing', { after: '' }],
    ['a status unheard of', { status: 'LOST' }],
  ])('%s: BAD_USER_INPUT', async (_what, variables) => {
    const { world } = await worldWithWebhook();
    expect((await world.ask(LIST, { variables })).codes).toEqual(['BAD_USER_INPUT']);
    expect(world.faults).toEqual([]);
  });
});

describe('redeliver', () => {
  it('tries one again, or all of a webhook, and says how many', async () => {
    const { world, webhook } = await worldWithWebhook();
    for (const id of ['a', 'b', 'c']) await leave(world, webhook, id);
    world.clock.advance(5_000);
    expect(await world.backend(REDELIVER, { input: { deliveryId: 'b' } })).toEqual({ redeliver: { count: 1 } });
    expect((await list(world, { status: 'RETRYING' })).nodes).toMatchObject([
      {
        id: 'b',
        attempts: 0,
        lastStatus: 500,
        nextAttemptAt: '2026-01-01T00:00:05.000Z',
        giveUpAt: new Date(START + 5_000 + RETRY_FOR_MS).toISOString(),
      },
    ]);
    const all = { webhookId: webhook.id, deliveryId: null };
    expect(await world.backend(REDELIVER, { input: all })).toEqual({ redeliver: { count: 2 } });
    expect(await world.backend(REDELIVER, { input: all })).toEqual({ redeliver: { count: 0 } });
  });

  it.each<[string, object]>([
    ['neither', {}],
    ['neither, in words', { deliveryId: null, webhookId: null }],
    ['both', { deliveryId: 'a', webhookId: 'webhook-1' }],
    ['a delivery that there is not', { deliveryId: 'z' }],
    ['an id of nothing', { deliveryId: '' }],
    ['a webhook that there is not', { webhookId: 'webhook-9' }],
  ])('%s: BAD_USER_INPUT, and nothing is redelivered', async (_what, input) => {
    const { world, webhook } = await worldWithWebhook();
    await leave(world, webhook, 'a');
    expect((await world.ask(REDELIVER, { variables: { input } })).codes).toEqual(['BAD_USER_INPUT']);
    expect((await list(world, { status: 'DEAD' })).nodes).toHaveLength(1);
    expect(world.faults).toEqual([]);
  });
});

describe('testWebhook', () => {
  const TEST = `mutation($id: ID!) { testWebhook(input: {id: $id}) { delivery { ${DELIVERY} } } }`;

  it('answers with what became of it, which is listed too', async () => {
    const { world, webhook } = await worldWithWebhook();
    const taken = await world.backend<{ testWebhook: { delivery: Record<string, unknown> } }>(TEST, { id: webhook.id });
    expect(taken.testWebhook.delivery).toMatchObject({
      status: 'DELIVERED',
      isTest: true,
      lastStatus: 204,
      events: [],
    });
    world.webhooks.courier.answer = { status: null, error: 'Nobody answered.', eventsDone: 0, retryAfterMs: null };
    const failed = await world.backend<{ testWebhook: { delivery: Record<string, unknown> } }>(TEST, {
      id: webhook.id,
    });
    expect(failed.testWebhook.delivery).toMatchObject({
      status: 'DEAD',
      lastStatus: null,
      lastError: 'Nobody answered.',
    });
    expect((await list(world)).nodes).toEqual([failed.testWebhook.delivery, taken.testWebhook.delivery]);
  });

  it('of a webhook that there is not: BAD_USER_INPUT', async () => {
    const { world } = await worldWithWebhook();
    expect((await world.ask(TEST, { variables: { id: 'webhook-9' } })).codes).toEqual(['BAD_USER_INPUT']);
    expect(world.webhooks.courier.attempts).toEqual([]);
  });
});
