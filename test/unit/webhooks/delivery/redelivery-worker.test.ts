/** What was given to a webhook to be redelivered. */
import { expect, it } from 'vitest';
import type { Delivery } from '../../../../src/app/ports/webhook-store.ts';
import { later } from '../../../../src/core/ids.ts';
import { dead } from '../../../contract/webhook-records.ts';
import { hangs, refused, taken } from '../support/receiver.ts';
import { HOOK, Stand, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const RETRY_FOR_MS = 300_000;

/** So many DEAD ones, each with the event of one login; the webhook was told nothing else. */
const withDead = async (count: number): Promise<Stand> => {
  const stand = await Stand.atWork({ retryForMs: RETRY_FOR_MS }, { reasons: [] });
  for (let number = 0; number < count; number++) {
    const events = await stand.logIn(userOf(0, number));
    const now = stand.store.now();
    const at = { createdAt: now, lastAttemptAt: now, giveUpAt: now };
    await stand.webhooks.addDelivery(dead(`dead ${number}`, { webhookId: HOOK, events, eventCount: 1, ...at }));
  }
  return stand;
};

const redeliver = (stand: Stand): Promise<readonly Delivery[]> =>
  stand.webhooks.redeliver({ webhookId: HOOK }, (delivery) => ({
    ...delivery,
    status: 'RETRYING',
    attempts: 0,
    nextAttemptAt: stand.store.now(),
    giveUpAt: later(stand.store.now(), RETRY_FOR_MS),
  }));

it('is sent at once, by the id that it had', async () => {
  const stand = await withDead(2);
  await redeliver(stand);
  await quiet();
  expect(stand.receiver.told.map(({ id, events }) => [id, events])).toEqual([
    ['dead 0', stand.store.events.slice(0, 1)],
    ['dead 1', stand.store.events.slice(1)],
  ]);
  expect(await stand.deliveries()).toMatchObject([
    { status: 'DELIVERED', shard: null, attempts: 1 },
    { status: 'DELIVERED', shard: null, attempts: 1 },
  ]);
});

it('is sent by four at once: one that hangs keeps nobody from the other places', async () => {
  const stand = await withDead(12);
  stand.receiver.answer = (told, signal) => (told.id === 'dead 0' ? hangs(told, signal) : taken(told));
  await redeliver(stand);
  await quiet();
  expect(stand.receiver.told).toHaveLength(12);
  expect(await stand.deliveries('RETRYING')).toMatchObject([{ id: 'dead 0', attempts: 0 }]);
});

it('is never sent by more than four at once, nor one of them twice', async () => {
  const stand = await withDead(12);
  stand.receiver.answer = async (told, signal) => {
    await stand.timers.wait(10_000, signal);
    return taken(told);
  };
  await redeliver(stand);
  await stand.timers.pass(9_999);
  expect(stand.receiver.told).toHaveLength(4);
  await stand.timers.pass(1);
  expect(stand.receiver.told).toHaveLength(8);
  await stand.timers.pass(20_000);
  expect(new Set(stand.receiver.told.map(({ id }) => id)).size).toBe(12);
  expect(stand.receiver.told).toHaveLength(12);
});

it('has its own retries, which others do not wait for, and is DEAD again when its time is over', async () => {
  const stand = await withDead(6);
  const start = stand.store.now();
  stand.receiver.answer = (told) => (told.id === 'dead 1' ? refused(500) : taken(told));
  await redeliver(stand);
  await stand.timers.pass(3_500);
  const times = stand.receiver.told.filter(({ id }) => id === 'dead 1').map(({ at }) => at - start);
  expect(times).toEqual([0, 500, 1_500, 3_500]);
  expect(stand.receiver.told).toHaveLength(5 + 4);
  await stand.timers.pass(RETRY_FOR_MS);
  expect(await stand.deliveries('DEAD')).toMatchObject([
    { id: 'dead 1', shard: null, lastAttemptAt: start + RETRY_FOR_MS },
  ]);
});

it('waits while the webhook is paused, and goes on after it', async () => {
  const stand = await withDead(1);
  await stand.change({ state: 'PAUSED' });
  await redeliver(stand);
  await stand.timers.pass(60_000);
  expect(stand.receiver.told).toEqual([]);
  await stand.change({ state: 'ACTIVE' });
  await quiet();
  expect(stand.receiver.told).toHaveLength(1);
});

it('answered 410 makes the webhook GONE, and stays', async () => {
  const stand = await withDead(1);
  stand.receiver.answer = () => refused(410);
  await redeliver(stand);
  await stand.timers.pass(600_000);
  expect(stand.receiver.told).toHaveLength(1);
  expect(await stand.webhooks.webhooks()).toMatchObject([{ state: 'GONE' }]);
  expect(await stand.deliveries()).toMatchObject([{ status: 'RETRYING', shard: null }]);
});

it('is broken off when the engine is closed, and made again after the next start', async () => {
  const stand = await withDead(2);
  stand.receiver.answer = hangs;
  await redeliver(stand);
  await quiet();
  const closing = stand.engine.close();
  await stand.timers.pass(2_000);
  await closing;
  expect(await stand.deliveries('RETRYING')).toMatchObject([{ attempts: 0 }, { attempts: 0 }]);
  stand.receiver.answer = taken;
  stand.another().start();
  await quiet();
  expect(await stand.deliveries('RETRYING')).toEqual([]);
});
