/** What becomes of a delivery that is not taken, and of those behind it. */
import { describe, expect, it } from 'vitest';
import type { AttemptReport } from '../../../../src/app/ports/webhook-store.ts';
import { addMs } from '../../../../src/core/ids.ts';
import { deferred } from '../../app/support/waiting.ts';
import { hangs, refused, taken } from '../support/receiver.ts';
import { EVERY_SHARD, HOOK, OTHER_HOOK, DeliveryHarness, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

describe('a delivery that fails', () => {
  it('is tried again as it was, and nothing of its shard overtakes it', async () => {
    const harness = await DeliveryHarness.atWork();
    const start = harness.store.now();
    harness.receiver.answer = () => refused(500);
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    await harness.logIn(userOf(0));
    await harness.timers.pass(3_500);
    // Half of 1 s, 2 s, 4 s …
    expect(harness.receiver.told.map(({ at }) => at - start)).toEqual([250, 750, 1_750, 3_750]);
    harness.receiver.answer = taken;
    await harness.timers.pass(4_000);
    const [first] = harness.receiver.told;
    expect(harness.receiver.told.map(({ id, events }) => [id === first?.id, events])).toEqual([
      ...Array.from({ length: 5 }, () => [true, harness.store.events.slice(0, 1)]),
      [false, harness.store.events.slice(1)],
    ]);
    expect(await harness.deliveries('DELIVERED')).toMatchObject([{ attempts: 1 }, { attempts: 5, lastStatus: 200 }]);
  });

  it('is kept with its events, so that a restart goes on with it, at the moment for it', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(500, { retryAfterMs: MINUTE });
    const events = await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    await harness.engine.close();
    const progress = await harness.progressOf(0);
    expect(progress).toMatchObject({ position: events[0]?.cursor, pendingDelivery: { events, attempts: 1, lastStatus: 500 } });

    harness.receiver.answer = taken;
    await harness.logIn(userOf(0));
    const other = harness.another();
    other.start();
    await harness.timers.pass(MINUTE - 1);
    expect(harness.receiver.told).toHaveLength(1);
    await harness.timers.pass(1);
    expect(harness.receiver.told.map(({ id }) => id === progress?.pendingDelivery?.id)).toEqual([true, true, false]);
    await other.close();
  });

  it('is tried again at once when the webhook was changed', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(500, { retryAfterMs: 60 * MINUTE });
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(1);
    await harness.change({ url: 'https://elsewhere.example/' });
    await quiet();
    expect(harness.receiver.told.map(({ webhook }) => webhook.url)).toEqual([
      'https://receiver.example/hook',
      'https://elsewhere.example/',
    ]);
    // Once: it is the same as at the last attempt now.
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(2);
  });

  it('is told only what the receiver has not taken yet', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.logIn(userOf(0));
    await harness.logIn(userOf(0));
    harness.receiver.answer = () => refused(503, { deliveredEventCount: 2 });
    await harness.timers.pass(250);
    harness.receiver.answer = taken;
    await harness.timers.pass(1_000);
    const { events } = harness.store;
    expect(harness.receiver.told.map((told) => told.events)).toEqual([events, events.slice(2)]);
    expect(harness.engine.collectStats()).toMatchObject({
      deliveredEvents: 3,
      attemptsByResult: { TAKEN: 1, REFUSED: 1 },
    });
  });

  it('is DEAD when its time is over, and what waited behind it, too long already, is tried once, a second later', async () => {
    const harness = await DeliveryHarness.atWork({ retryForMs: 5 * MINUTE });
    harness.receiver.answer = () => refused(500);
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    await harness.logIn(userOf(0));
    const firstTold = addMs(harness.store.now(), -250);
    await harness.timers.pass(5 * MINUTE - 251);
    expect(await harness.deliveries('DEAD')).toEqual([]);
    await harness.timers.pass(1);
    const events = harness.store.events.slice(0, 1);
    expect(await harness.deliveries('DEAD')).toMatchObject([{ events, lastAttemptAt: firstTold + 5 * MINUTE }]);
    const times = harness.receiver.told.length;
    await harness.timers.pass(999);
    expect(harness.receiver.told).toHaveLength(times);
    await harness.timers.pass(1);
    expect(harness.receiver.told).toHaveLength(times + 1);
    expect(await harness.deliveries('DEAD')).toMatchObject([{ eventCount: 2, attempts: 1 }, { eventCount: 1 }]);
    expect(harness.engine.collectStats().deadDeliveries).toBe(2);
    expect(harness.warnings).toEqual([]);
  });

  it('by a fault of the courier, too, and it is told', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => {
      throw new TypeError('A bug.');
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect(harness.warnings).toEqual([
      'A webhook delivery attempt failed because of an internal error; it is retried.',
    ]);
    expect(await harness.deliveries('RETRYING')).toMatchObject([{ lastStatus: null, attempts: 1 }]);
    harness.receiver.answer = taken;
    await harness.timers.pass(1_000);
    expect(await harness.deliveries('RETRYING')).toEqual([]);
  });
});

describe('nobody waits for', () => {
  it('another shard that hangs, nor another webhook', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.hook({ id: OTHER_HOOK });
    await quiet();
    harness.receiver.answer = (told, signal) =>
      told.webhook.id === HOOK && told.delivery.shard === 0 ? hangs(told, signal) : taken(told);
    for (const shard of EVERY_SHARD) await harness.logIn(userOf(shard));
    await harness.timers.pass(250);
    for (const shard of EVERY_SHARD) await harness.logIn(userOf(shard));
    await harness.timers.pass(250);
    const toldOf = (id: typeof HOOK) => harness.receiver.told.filter(({ webhook }) => webhook.id === id);
    expect(toldOf(HOOK)).toHaveLength(1 + 7 * 2);
    expect(toldOf(OTHER_HOOK)).toHaveLength(8 * 2);
    expect(harness.engine.collectStats()).toMatchObject({
      activeShards: 18,
      oldestPendingEventAt: harness.store.events[0]?.occurredAt,
    });
  });
});

describe('a receiver that answers 410', () => {
  it('is told nothing more until somebody says that it is there again, and then goes on where it was', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(410);
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'GONE', changedAt: harness.store.now() }]);
    expect(await harness.deliveries()).toMatchObject([
      { status: 'RETRYING', events: harness.store.events, attempts: 1 },
    ]);
    expect(harness.engine.collectStats()).toMatchObject({ goneWebhooks: 1, activeShards: 0 });
    await harness.logIn(userOf(0));
    await harness.logIn(userOf(1));
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(1);

    harness.receiver.answer = taken;
    await harness.change({ state: 'ACTIVE' });
    await quiet();
    expect(harness.receiver.told.map(({ events }) => events.map(({ userId }) => userId))).toEqual([
      [userOf(0)],
      [userOf(0)],
      [userOf(1)],
      [userOf(0), userOf(0)],
    ]);
  });

  it('is not gone once more by what it answers to a request of before it was enabled again', async () => {
    const harness = await DeliveryHarness.atWork();
    const late = deferred<AttemptReport>();
    harness.receiver.answer = ({ events }) => (events[0]?.userId === userOf(1) ? late.promise : refused(410));
    await harness.logIn(userOf(0));
    await harness.logIn(userOf(1));
    await harness.timers.pass(250);
    expect(harness.receiver.told).toHaveLength(2);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'GONE' }]);

    await harness.timers.pass(MINUTE / 10);
    harness.receiver.answer = taken;
    await harness.change({ state: 'ACTIVE' });
    late.resolve(refused(410));
    await harness.timers.pass(MINUTE);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'ACTIVE' }]);
    expect(await harness.deliveries('DELIVERED')).toHaveLength(2);
    expect(harness.engine.collectStats().goneWebhooks).toBe(1);
  });

  it('is not gone if the webhook has another URL by then', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = async ({ webhook }) => {
      if (webhook.url !== 'https://receiver.example/hook') return refused(500);
      await harness.change({ url: 'https://elsewhere.example/' });
      return refused(410);
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'ACTIVE' }]);
    expect(harness.receiver.told).toHaveLength(2);
    expect(harness.engine.collectStats().goneWebhooks).toBe(0);
  });
});
