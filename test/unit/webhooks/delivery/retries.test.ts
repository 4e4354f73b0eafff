/** What becomes of a delivery that is not taken, and of those behind it. */
import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../../../src/app/ports/webhook-store.ts';
import { later } from '../../../../src/core/ids.ts';
import { deferred } from '../../app/support/waiting.ts';
import { hangs, refused, taken } from '../support/receiver.ts';
import { EVERY_SHARD, HOOK, OTHER_HOOK, Stand, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

describe('a delivery that fails', () => {
  it('is tried again as it was, and nothing of its shard overtakes it', async () => {
    const stand = await Stand.atWork();
    const start = stand.store.now();
    stand.receiver.answer = () => refused(500);
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    await stand.logIn(userOf(0));
    await stand.timers.pass(3_500);
    // Half of 1 s, 2 s, 4 s …
    expect(stand.receiver.told.map(({ at }) => at - start)).toEqual([250, 750, 1_750, 3_750]);
    stand.receiver.answer = taken;
    await stand.timers.pass(4_000);
    const [first] = stand.receiver.told;
    expect(stand.receiver.told.map(({ id, events }) => [id === first?.id, events])).toEqual([
      ...Array.from({ length: 5 }, () => [true, stand.store.events.slice(0, 1)]),
      [false, stand.store.events.slice(1)],
    ]);
    expect(await stand.deliveries('DELIVERED')).toMatchObject([{ attempts: 1 }, { attempts: 5, lastStatus: 200 }]);
  });

  it('is kept with its events, so that a restart goes on with it, at the moment for it', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(500, { retryAfterMs: MINUTE });
    const events = await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    await stand.engine.close();
    const progress = await stand.progressOf(0);
    expect(progress).toMatchObject({ position: events[0]?.cursor, pending: { events, attempts: 1, lastStatus: 500 } });

    stand.receiver.answer = taken;
    await stand.logIn(userOf(0));
    const other = stand.another();
    other.start();
    await stand.timers.pass(MINUTE - 1);
    expect(stand.receiver.told).toHaveLength(1);
    await stand.timers.pass(1);
    expect(stand.receiver.told.map(({ id }) => id === progress?.pending?.id)).toEqual([true, true, false]);
    await other.close();
  });

  it('is tried again at once when the webhook was changed', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(500, { retryAfterMs: 60 * MINUTE });
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(1);
    await stand.change({ url: 'https://elsewhere.example/' });
    await quiet();
    expect(stand.receiver.told.map(({ webhook }) => webhook.url)).toEqual([
      'https://receiver.example/hook',
      'https://elsewhere.example/',
    ]);
    // Once: it is the same as at the last attempt now.
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(2);
  });

  it('is told only what the receiver has not taken yet', async () => {
    const stand = await Stand.atWork();
    await stand.logIn(userOf(0));
    await stand.logIn(userOf(0));
    stand.receiver.answer = () => refused(503, { eventsDone: 2 });
    await stand.timers.pass(250);
    stand.receiver.answer = taken;
    await stand.timers.pass(1_000);
    const { events } = stand.store;
    expect(stand.receiver.told.map((told) => told.events)).toEqual([events, events.slice(2)]);
    expect(stand.engine.figures()).toMatchObject({ eventsDelivered: 3, attempts: { TAKEN: 1, REFUSED: 1 } });
  });

  it('is DEAD when its time is over, and what waited behind it, too long already, is tried once, a second later', async () => {
    const stand = await Stand.atWork({ retryForMs: 5 * MINUTE });
    stand.receiver.answer = () => refused(500);
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    await stand.logIn(userOf(0));
    const firstTold = later(stand.store.now(), -250);
    await stand.timers.pass(5 * MINUTE - 251);
    expect(await stand.deliveries('DEAD')).toEqual([]);
    await stand.timers.pass(1);
    const events = stand.store.events.slice(0, 1);
    expect(await stand.deliveries('DEAD')).toMatchObject([{ events, lastAttemptAt: firstTold + 5 * MINUTE }]);
    const times = stand.receiver.told.length;
    await stand.timers.pass(999);
    expect(stand.receiver.told).toHaveLength(times);
    await stand.timers.pass(1);
    expect(stand.receiver.told).toHaveLength(times + 1);
    expect(await stand.deliveries('DEAD')).toMatchObject([{ eventCount: 2, attempts: 1 }, { eventCount: 1 }]);
    expect(stand.engine.figures().deliveriesDead).toBe(2);
    expect(stand.warnings).toEqual([]);
  });

  it('by a fault of the courier, too, and it is told', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => {
      throw new TypeError('A bug.');
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect(stand.warnings).toEqual(['A webhook’s delivery could not be attempted.']);
    expect(await stand.deliveries('RETRYING')).toMatchObject([{ lastStatus: null, attempts: 1 }]);
    stand.receiver.answer = taken;
    await stand.timers.pass(1_000);
    expect(await stand.deliveries('RETRYING')).toEqual([]);
  });
});

describe('nobody waits for', () => {
  it('another shard that hangs, nor another webhook', async () => {
    const stand = await Stand.atWork();
    await stand.hook({ id: OTHER_HOOK });
    await quiet();
    stand.receiver.answer = (told, signal) =>
      told.webhook.id === HOOK && told.delivery.shard === 0 ? hangs(told, signal) : taken(told);
    for (const shard of EVERY_SHARD) await stand.logIn(userOf(shard));
    await stand.timers.pass(250);
    for (const shard of EVERY_SHARD) await stand.logIn(userOf(shard));
    await stand.timers.pass(250);
    const toldOf = (id: typeof HOOK) => stand.receiver.told.filter(({ webhook }) => webhook.id === id);
    expect(toldOf(HOOK)).toHaveLength(1 + 7 * 2);
    expect(toldOf(OTHER_HOOK)).toHaveLength(8 * 2);
    expect(stand.engine.figures()).toMatchObject({ shards: 18, oldestWaitingSince: stand.store.events[0]?.occurredAt });
  });
});

describe('a receiver that answers 410', () => {
  it('is told nothing more until somebody says that it is there again, and then goes on where it was', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(410);
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect(await stand.webhooks.webhooks()).toMatchObject([{ state: 'GONE', changedAt: stand.store.now() }]);
    expect(await stand.deliveries()).toMatchObject([{ status: 'RETRYING', events: stand.store.events, attempts: 1 }]);
    expect(stand.engine.figures()).toMatchObject({ webhooksGone: 1, shards: 0 });
    await stand.logIn(userOf(0));
    await stand.logIn(userOf(1));
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(1);

    stand.receiver.answer = taken;
    await stand.change({ state: 'ACTIVE' });
    await quiet();
    expect(stand.receiver.told.map(({ events }) => events.map(({ userId }) => userId))).toEqual([
      [userOf(0)],
      [userOf(0)],
      [userOf(1)],
      [userOf(0), userOf(0)],
    ]);
  });

  it('is not gone once more by what it answers to a request of before it was enabled again', async () => {
    const stand = await Stand.atWork();
    const late = deferred<Attempt>();
    stand.receiver.answer = ({ events }) => (events[0]?.userId === userOf(1) ? late.promise : refused(410));
    await stand.logIn(userOf(0));
    await stand.logIn(userOf(1));
    await stand.timers.pass(250);
    expect(stand.receiver.told).toHaveLength(2);
    expect(await stand.webhooks.webhooks()).toMatchObject([{ state: 'GONE' }]);

    await stand.timers.pass(MINUTE / 10);
    stand.receiver.answer = taken;
    await stand.change({ state: 'ACTIVE' });
    late.resolve(refused(410));
    await stand.timers.pass(MINUTE);
    expect(await stand.webhooks.webhooks()).toMatchObject([{ state: 'ACTIVE' }]);
    expect(await stand.deliveries('DELIVERED')).toHaveLength(2);
    expect(stand.engine.figures().webhooksGone).toBe(1);
  });

  it('is not gone if the webhook has another URL by then', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = async ({ webhook }) => {
      if (webhook.url !== 'https://receiver.example/hook') return refused(500);
      await stand.change({ url: 'https://elsewhere.example/' });
      return refused(410);
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect(await stand.webhooks.webhooks()).toMatchObject([{ state: 'ACTIVE' }]);
    expect(stand.receiver.told).toHaveLength(2);
    expect(stand.engine.figures().webhooksGone).toBe(0);
  });
});
