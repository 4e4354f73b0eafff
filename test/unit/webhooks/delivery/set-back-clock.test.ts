/** A restart whose wall clock is behind that of the run before: what was written then is of a time yet to come. */
import { expect, it } from 'vitest';
import { deliveryId, later } from '../../../../src/core/ids.ts';
import { dead } from '../../../contract/webhook-records.ts';
import { hangs, refused, taken } from '../support/receiver.ts';
import { HOOK, Stand, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const HOUR = 3_600_000;

/** The next run, an hour earlier. */
const setBack = (stand: Stand): void => {
  stand.store.passes(-HOUR);
  stand.another().start();
};

it('what was not delivered yet is delivered at once, not when its time comes', async () => {
  const stand = await Stand.atWork();
  stand.receiver.answer = hangs;
  await stand.logIn(userOf(0));
  await stand.timers.pass(250);
  const closed = stand.engine.close();
  await stand.timers.pass(2_000);
  await closed;
  stand.receiver.answer = taken;
  setBack(stand);
  await quiet();
  expect(stand.receiver.told.map(({ events }) => events)).toEqual([stand.store.events, stand.store.events]);
});

it('what had failed is tried again at once, and then as always', async () => {
  const stand = await Stand.atWork();
  stand.receiver.answer = () => refused(503, { retryAfterMs: 60_000 });
  await stand.logIn(userOf(0));
  await stand.timers.pass(250);
  await stand.engine.close();
  setBack(stand);
  await quiet();
  expect(stand.receiver.told).toHaveLength(2);
  await stand.timers.pass(59_999);
  expect(stand.receiver.told).toHaveLength(2);
  stand.receiver.answer = taken;
  await stand.timers.pass(1);
  expect(await stand.deliveries('DELIVERED')).toMatchObject([{ webhookId: HOOK, attempts: 3 }]);
});

it('what fails then is given up in time', async () => {
  const stand = new Stand({ retryForMs: 60_000 });
  await stand.hook();
  await stand.logIn(userOf(0));
  stand.receiver.answer = () => refused(503);
  setBack(stand);
  await stand.timers.pass(60_000);
  expect(await stand.deliveries()).toMatchObject([{ status: 'DEAD', webhookId: HOOK }]);
});

it('what was given to be redelivered, and has failed since or was not tried yet, is tried at once', async () => {
  const stand = await Stand.atWork({ retryForMs: 3 * HOUR }, { reasons: [] });
  const events = await stand.logIn(userOf(0));
  const longAgo = later(stand.store.now(), -2 * HOUR);
  const given = (id: string) => ({ ...dead(id, { webhookId: HOOK, events, eventCount: 1 }), lastAttemptAt: longAgo });
  for (const id of ['tried', 'not tried']) await stand.webhooks.addDelivery(given(id));
  const redeliver = (id: string) =>
    stand.webhooks.redeliver({ deliveryId: deliveryId(id) }, (delivery) => ({
      ...delivery,
      status: 'RETRYING',
      attempts: 0,
      nextAttemptAt: stand.store.now(),
      giveUpAt: later(stand.store.now(), 3 * HOUR),
    }));
  stand.receiver.answer = () => refused(503, { retryAfterMs: 60_000 });
  await redeliver('tried');
  await quiet();
  await stand.engine.close();
  await redeliver('not tried');
  stand.receiver.answer = taken;
  setBack(stand);
  await quiet();
  expect(await stand.deliveries('DELIVERED')).toMatchObject([
    { id: 'not tried', attempts: 1 },
    { id: 'tried', attempts: 2 },
  ]);
});
