/** Deliveries that a backend has requested again. */
import { expect, it } from 'vitest';
import type { Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { addMs } from '../../../../src/core/ids.ts';
import { deadDelivery } from '../../../contract/webhook-records.ts';
import { hangUntilAborted, rejectWithStatus, acceptDelivery } from '../support/fake-sender.ts';
import { WEBHOOK_ID, DeliveryHarness, userIdOfShard } from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const RETRY_FOR_MS = 300_000;

/** DEAD deliveries with the event of one login each; the webhook has received nothing else. */
const withDead = async (count: number): Promise<DeliveryHarness> => {
  const harness = await DeliveryHarness.start({ retryForMs: RETRY_FOR_MS }, { reasons: [] });
  for (let number = 0; number < count; number++) {
    const events = await harness.logIn(userIdOfShard(0, number));
    const now = harness.store.now();
    const at = { createdAt: now, lastAttemptAt: now, giveUpAt: now };
    await harness.webhooks.addDelivery(
      deadDelivery(`dead ${number}`, { webhookId: WEBHOOK_ID, events, eventCount: 1, ...at }),
    );
  }
  return harness;
};

const redeliver = (harness: DeliveryHarness): Promise<readonly Delivery[]> =>
  harness.webhooks.requeueDeadDeliveries({ webhookId: WEBHOOK_ID }, (delivery) => ({
    ...delivery,
    status: 'RETRYING',
    attempts: 0,
    nextAttemptAt: harness.store.now(),
    giveUpAt: addMs(harness.store.now(), RETRY_FOR_MS),
  }));

it('sends a redelivery at once with its original id', async () => {
  const harness = await withDead(2);
  await redeliver(harness);
  await settleEngines();
  expect(harness.sender.attempts.map(({ id, events }) => [id, events])).toEqual([
    ['dead 0', harness.store.events.slice(0, 1)],
    ['dead 1', harness.store.events.slice(1)],
  ]);
  expect(await harness.deliveries()).toMatchObject([
    { status: 'DELIVERED', shard: null, attempts: 1 },
    { status: 'DELIVERED', shard: null, attempts: 1 },
  ]);
});

it('sends four at once, and a hanging attempt does not block the other slots', async () => {
  const harness = await withDead(12);
  harness.sender.respond = (sent, signal) =>
    sent.id === 'dead 0' ? hangUntilAborted(sent, signal) : acceptDelivery(sent);
  await redeliver(harness);
  await settleEngines();
  expect(harness.sender.attempts).toHaveLength(12);
  expect(await harness.deliveries('RETRYING')).toMatchObject([{ id: 'dead 0', attempts: 0 }]);
});

it('never sends more than four at once, and none of them twice at once', async () => {
  const harness = await withDead(12);
  harness.sender.respond = async (sent, signal) => {
    await harness.timers.wait(10_000, signal);
    return acceptDelivery(sent);
  };
  await redeliver(harness);
  await harness.timers.advance(9_999);
  expect(harness.sender.attempts).toHaveLength(4);
  await harness.timers.advance(1);
  expect(harness.sender.attempts).toHaveLength(8);
  await harness.timers.advance(20_000);
  expect(new Set(harness.sender.attempts.map(({ id }) => id)).size).toBe(12);
  expect(harness.sender.attempts).toHaveLength(12);
});

it('retries each redelivery independently and makes it DEAD again after the retry period', async () => {
  const harness = await withDead(6);
  const start = harness.store.now();
  harness.sender.respond = (sent) => (sent.id === 'dead 1' ? rejectWithStatus(500) : acceptDelivery(sent));
  await redeliver(harness);
  await harness.timers.advance(3_500);
  const times = harness.sender.attempts.filter(({ id }) => id === 'dead 1').map(({ at }) => at - start);
  expect(times).toEqual([0, 500, 1_500, 3_500]);
  expect(harness.sender.attempts).toHaveLength(5 + 4);
  await harness.timers.advance(RETRY_FOR_MS);
  expect(await harness.deliveries('DEAD')).toMatchObject([
    { id: 'dead 1', shard: null, lastAttemptAt: start + RETRY_FOR_MS },
  ]);
});

it('waits while the webhook is paused and continues afterwards', async () => {
  const harness = await withDead(1);
  await harness.updateWebhook({ state: 'PAUSED' });
  await redeliver(harness);
  await harness.timers.advance(60_000);
  expect(harness.sender.attempts).toEqual([]);
  await harness.updateWebhook({ state: 'ACTIVE' });
  await settleEngines();
  expect(harness.sender.attempts).toHaveLength(1);
});

it('keeps a redelivery that is answered with 410 and sets the webhook to GONE', async () => {
  const harness = await withDead(1);
  harness.sender.respond = () => rejectWithStatus(410);
  await redeliver(harness);
  await harness.timers.advance(600_000);
  expect(harness.sender.attempts).toHaveLength(1);
  expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'GONE' }]);
  expect(await harness.deliveries()).toMatchObject([{ status: 'RETRYING', shard: null }]);
});

it('aborts redeliveries when the engine closes and sends them again after the next start', async () => {
  const harness = await withDead(2);
  harness.sender.respond = hangUntilAborted;
  await redeliver(harness);
  await settleEngines();
  const closing = harness.engine.close();
  await harness.timers.advance(2_000);
  await closing;
  expect(await harness.deliveries('RETRYING')).toMatchObject([{ attempts: 0 }, { attempts: 0 }]);
  harness.sender.respond = acceptDelivery;
  harness.createEngine().start();
  await settleEngines();
  expect(await harness.deliveries('RETRYING')).toEqual([]);
});
