/** A restart whose wall clock is behind that of the run before: what was written then is of a time yet to come. */
import { expect, it } from 'vitest';
import { hangs, refused, taken } from './receiver.ts';
import { HOOK, Stand, userOf } from './stand.ts';
import { quiet } from './virtual-timers.ts';

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
