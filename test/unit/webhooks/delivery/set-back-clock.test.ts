/** A restart with a clock that is behind the previous run: the saved times are in the future. */
import { expect, it } from 'vitest';
import { parseDeliveryId, addMs } from '../../../../src/core/ids.ts';
import { deadDelivery } from '../../../contract/webhook-records.ts';
import { hangUntilAborted, rejectWithStatus, acceptDelivery } from '../support/fake-sender.ts';
import { WEBHOOK_ID, DeliveryHarness, userIdOfShard } from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const HOUR = 3_600_000;

/** The next run, with a clock one hour behind. */
const setBack = (harness: DeliveryHarness): void => {
  harness.store.passes(-HOUR);
  harness.createEngine().start();
};

it('delivers pending events at once, although they are dated in the future', async () => {
  const harness = await DeliveryHarness.start();
  harness.sender.respond = hangUntilAborted;
  await harness.logIn(userIdOfShard(0));
  await harness.timers.advance(250);
  const closed = harness.engine.close();
  await harness.timers.advance(2_000);
  await closed;
  harness.sender.respond = acceptDelivery;
  setBack(harness);
  await settleEngines();
  expect(harness.sender.attempts.map(({ events }) => events)).toEqual([harness.store.events, harness.store.events]);
});

it('retries failed deliveries at once, and then with the usual backoff', async () => {
  const harness = await DeliveryHarness.start();
  harness.sender.respond = () => rejectWithStatus(503, { retryAfterMs: 60_000 });
  await harness.logIn(userIdOfShard(0));
  await harness.timers.advance(250);
  await harness.engine.close();
  setBack(harness);
  await settleEngines();
  expect(harness.sender.attempts).toHaveLength(2);
  await harness.timers.advance(59_999);
  expect(harness.sender.attempts).toHaveLength(2);
  harness.sender.respond = acceptDelivery;
  await harness.timers.advance(1);
  expect(await harness.deliveries('DELIVERED')).toMatchObject([{ webhookId: WEBHOOK_ID, attempts: 3 }]);
});

it('makes failing deliveries DEAD without extending the retry period', async () => {
  const harness = new DeliveryHarness({ retryForMs: 60_000 });
  await harness.createWebhook();
  await harness.logIn(userIdOfShard(0));
  harness.sender.respond = () => rejectWithStatus(503);
  setBack(harness);
  await harness.timers.advance(60_000);
  expect(await harness.deliveries()).toMatchObject([{ status: 'DEAD', webhookId: WEBHOOK_ID }]);
});

it('attempts redeliveries at once, whether they failed before or not', async () => {
  const harness = await DeliveryHarness.start({ retryForMs: 3 * HOUR }, { reasons: [] });
  const events = await harness.logIn(userIdOfShard(0));
  const longAgo = addMs(harness.store.now(), -2 * HOUR);
  const given = (id: string) => ({
    ...deadDelivery(id, { webhookId: WEBHOOK_ID, events, eventCount: 1 }),
    lastAttemptAt: longAgo,
  });
  for (const id of ['tried', 'not tried']) await harness.webhooks.addDelivery(given(id));
  const redeliver = (id: string) =>
    harness.webhooks.requeueDeadDeliveries({ deliveryId: parseDeliveryId(id) }, (delivery) => ({
      ...delivery,
      status: 'RETRYING',
      attempts: 0,
      nextAttemptAt: harness.store.now(),
      giveUpAt: addMs(harness.store.now(), 3 * HOUR),
    }));
  harness.sender.respond = () => rejectWithStatus(503, { retryAfterMs: 60_000 });
  await redeliver('tried');
  await settleEngines();
  await harness.engine.close();
  await redeliver('not tried');
  harness.sender.respond = acceptDelivery;
  setBack(harness);
  await settleEngines();
  expect(await harness.deliveries('DELIVERED')).toMatchObject([
    { id: 'not tried', attempts: 1 },
    { id: 'tried', attempts: 2 },
  ]);
});
