/** A restart whose wall clock is behind that of the run before: what was written then is of a time yet to come. */
import { expect, it } from 'vitest';
import { parseDeliveryId, addMs } from '../../../../src/core/ids.ts';
import { dead } from '../../../contract/webhook-records.ts';
import { hangs, refused, taken } from '../support/receiver.ts';
import { HOOK, DeliveryHarness, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const HOUR = 3_600_000;

/** The next run, an hour earlier. */
const setBack = (harness: DeliveryHarness): void => {
  harness.store.passes(-HOUR);
  harness.another().start();
};

it('what was not delivered yet is delivered at once, not when its time comes', async () => {
  const harness = await DeliveryHarness.atWork();
  harness.receiver.answer = hangs;
  await harness.logIn(userOf(0));
  await harness.timers.pass(250);
  const closed = harness.engine.close();
  await harness.timers.pass(2_000);
  await closed;
  harness.receiver.answer = taken;
  setBack(harness);
  await quiet();
  expect(harness.receiver.told.map(({ events }) => events)).toEqual([harness.store.events, harness.store.events]);
});

it('what had failed is tried again at once, and then as always', async () => {
  const harness = await DeliveryHarness.atWork();
  harness.receiver.answer = () => refused(503, { retryAfterMs: 60_000 });
  await harness.logIn(userOf(0));
  await harness.timers.pass(250);
  await harness.engine.close();
  setBack(harness);
  await quiet();
  expect(harness.receiver.told).toHaveLength(2);
  await harness.timers.pass(59_999);
  expect(harness.receiver.told).toHaveLength(2);
  harness.receiver.answer = taken;
  await harness.timers.pass(1);
  expect(await harness.deliveries('DELIVERED')).toMatchObject([{ webhookId: HOOK, attempts: 3 }]);
});

it('what fails then is given up in time', async () => {
  const harness = new DeliveryHarness({ retryForMs: 60_000 });
  await harness.hook();
  await harness.logIn(userOf(0));
  harness.receiver.answer = () => refused(503);
  setBack(harness);
  await harness.timers.pass(60_000);
  expect(await harness.deliveries()).toMatchObject([{ status: 'DEAD', webhookId: HOOK }]);
});

it('what was given to be redelivered, and has failed since or was not tried yet, is tried at once', async () => {
  const harness = await DeliveryHarness.atWork({ retryForMs: 3 * HOUR }, { reasons: [] });
  const events = await harness.logIn(userOf(0));
  const longAgo = addMs(harness.store.now(), -2 * HOUR);
  const given = (id: string) => ({ ...dead(id, { webhookId: HOOK, events, eventCount: 1 }), lastAttemptAt: longAgo });
  for (const id of ['tried', 'not tried']) await harness.webhooks.addDelivery(given(id));
  const redeliver = (id: string) =>
    harness.webhooks.requeueDeadDeliveries({ deliveryId: parseDeliveryId(id) }, (delivery) => ({
      ...delivery,
      status: 'RETRYING',
      attempts: 0,
      nextAttemptAt: harness.store.now(),
      giveUpAt: addMs(harness.store.now(), 3 * HOUR),
    }));
  harness.receiver.answer = () => refused(503, { retryAfterMs: 60_000 });
  await redeliver('tried');
  await quiet();
  await harness.engine.close();
  await redeliver('not tried');
  harness.receiver.answer = taken;
  setBack(harness);
  await quiet();
  expect(await harness.deliveries('DELIVERED')).toMatchObject([
    { id: 'not tried', attempts: 1 },
    { id: 'tried', attempts: 2 },
  ]);
});
