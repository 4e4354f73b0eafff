/** Webhooks come and go, leases are lost, stores refuse, and the engine is closed. */
import { describe, expect, it, vi } from 'vitest';
import { DomainError } from '../../../../src/core/errors.ts';
import { SHARDS_PER_WEBHOOK } from '../../../../src/core/webhooks/webhook.ts';
import { isPending } from '../../app/support/waiting.ts';
import { hangs, Receiver, refused, taken, type Told } from '../support/receiver.ts';
import { HOOK, OTHER_HOOK, Stand, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

const users = (told: readonly Told[]) => told.map(({ events }) => events.map(({ userId }) => userId));

describe('a webhook', () => {
  it('that is made while the engine runs is told what comes after it', async () => {
    const stand = new Stand();
    stand.engine.start();
    await stand.logIn(userOf(0));
    await stand.hook();
    await stand.logIn(userOf(1));
    await stand.timers.pass(250);
    expect(users(stand.receiver.told)).toEqual([[userOf(1)]]);
  });

  it('that is paused is told nothing more, and goes on where it was; what was under way is not told twice', async () => {
    const stand = await Stand.atWork();
    let answer = (): void => undefined;
    stand.receiver.answer = async (told) => {
      await new Promise<void>((resolve) => (answer = resolve));
      return taken(told);
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    await stand.change({ state: 'PAUSED' });
    await quiet();
    expect(stand.engine.figures().shards).toBe(1);
    answer();
    await quiet();
    expect(stand.engine.figures().shards).toBe(0);
    stand.receiver.answer = taken;
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(1);
    await stand.change({ state: 'ACTIVE' });
    await quiet();
    expect(stand.receiver.events).toEqual(stand.store.events);
  });

  it('that is resumed while what was under way still is goes on after it', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = async (told, signal) => {
      await stand.timers.wait(5_000, signal);
      return taken(told);
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    await stand.change({ state: 'PAUSED' });
    await quiet();
    await stand.change({ state: 'ACTIVE' });
    await stand.logIn(userOf(0));
    await stand.timers.pass(4_999);
    expect(stand.receiver.told).toHaveLength(1);
    await stand.timers.pass(1);
    expect(stand.receiver.events).toEqual(stand.store.events);
  });

  it('that is changed is looked at anew, and no other', async () => {
    const stand = await Stand.atWork();
    await stand.hook({ id: OTHER_HOOK });
    await quiet();
    const scan = vi.spyOn(stand.store.log, 'scan');
    await stand.change({ userStatusOnly: true });
    await quiet();
    expect(scan).toHaveBeenCalledTimes(SHARDS_PER_WEBHOOK);
    await stand.change({ url: 'https://elsewhere.example/' }, OTHER_HOOK);
    await quiet();
    expect(scan).toHaveBeenCalledTimes(2 * SHARDS_PER_WEBHOOK);
  });

  it('that is deleted has its attempts broken off, and leaves nothing', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = hangs;
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    await stand.webhooks.deleteWebhook(HOOK);
    await quiet();
    expect(stand.engine.figures().shards).toBe(0);
    expect(await stand.deliveries()).toEqual([]);
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(1);
    expect(stand.warnings).toEqual([]);
  });
});

describe('a lease', () => {
  it('is renewed: nobody else delivers meanwhile, and the next one does at once when it is given back', async () => {
    const stand = await Stand.atWork();
    const receiver = new Receiver(() => stand.store.now());
    const other = stand.another(receiver);
    other.start();
    await stand.timers.pass(5 * MINUTE);
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect([stand.receiver.told.length, receiver.told.length]).toEqual([1, 0]);
    await stand.engine.close();
    await stand.logIn(userOf(0));
    await stand.timers.pass(10_000);
    expect([stand.receiver.told.length, receiver.told.length]).toEqual([1, 1]);
    await other.close();
  });

  it('that could not be renewed ends what was under way, and nothing of it is written', async () => {
    const stand = await Stand.atWork();
    const signals: AbortSignal[] = [];
    stand.receiver.answer = (told, signal) => {
      signals.push(signal);
      return hangs(told, signal);
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    stand.webhooks.refused.set('lease', new Error('The store does not answer.'));
    await stand.timers.pass(29_749);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    await stand.timers.pass(1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(stand.engine.figures().shards).toBe(0);
    expect(stand.webhooks.notes).toEqual([]);

    stand.webhooks.refused.clear();
    stand.receiver.answer = taken;
    await stand.timers.pass(1_000);
    expect(stand.receiver.told).toHaveLength(2);
    expect(new Set(stand.receiver.told.map(({ id }) => id)).size).toBe(1);
    expect(await stand.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
  });

  it('that somebody else has by now: what was taken is not written, and told again by him', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = async (told) => {
      await stand.webhooks.deleteWebhook(HOOK);
      return taken(told);
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect(stand.webhooks.notes).toEqual([]);
    expect(stand.engine.figures()).toMatchObject({ shards: 0, attempts: { TAKEN: 0 } });
  });
});

describe('a store that refuses', () => {
  it('is asked again, at growing distances, and what was taken meanwhile is not told twice', async () => {
    const stand = await Stand.atWork();
    let refusals = 0;
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    stand.webhooks.refused.set('note', full);
    const get = stand.webhooks.refused.get.bind(stand.webhooks.refused);
    stand.webhooks.refused.get = (call) => {
      if (call === 'note') refusals++;
      return get(call);
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(10 * MINUTE);
    expect(stand.receiver.told).toHaveLength(1);
    // Of each of the eight shards, which has its position to note at least.
    expect(refusals).toBeGreaterThan(8 * 10);
    expect(refusals).toBeLessThan(8 * 40);
    stand.webhooks.refused.clear();
    await stand.timers.pass(2 * MINUTE);
    // It says itself that it is full, and when it is no longer.
    expect([stand.warnings, stand.news]).toEqual([[], []]);
    expect(await stand.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
    expect(stand.receiver.told).toHaveLength(1);
  });

  it('is asked once more by whoever is stopped: what was taken is not told again when it goes on', async () => {
    const stand = await Stand.atWork();
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    stand.webhooks.refused.set('note', full);
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect(stand.receiver.told).toHaveLength(1);
    stand.webhooks.refused.clear();
    await stand.change({ state: 'PAUSED' });
    await quiet();
    expect(await stand.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
    await stand.change({ state: 'ACTIVE' });
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(1);
  });

  it.each([
    ['lease', 'The leases of webhooks could not be renewed.'],
    ['webhooks', 'The leases of webhooks could not be renewed.'],
    ['progress', 'It could not be read how far a webhook’s deliveries have come.'],
  ] as const)('at the start (%s) is asked again, and said to have failed once', async (call, warning) => {
    const stand = new Stand();
    await stand.hook();
    stand.webhooks.refused.set(call, new Error('The store does not answer.'));
    stand.engine.start();
    await stand.logIn(userOf(0));
    await stand.timers.pass(20_000);
    expect(stand.receiver.told).toEqual([]);
    expect([stand.warnings, stand.news]).toEqual([[warning], []]);
    stand.webhooks.refused.clear();
    await stand.timers.pass(MINUTE);
    expect(stand.news.map(([, about]) => about)).toEqual([{ after: warning }]);
    expect(stand.receiver.events).toEqual(stand.store.events);
  });

  it('to say that a receiver is gone is asked again, and nothing is sent meanwhile', async () => {
    const stand = await Stand.atWork();
    stand.webhooks.refused.set('updateWebhook', new Error('The store does not answer.'));
    stand.receiver.answer = () => refused(410);
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(1);
    stand.webhooks.refused.clear();
    await stand.timers.pass(2 * MINUTE);
    expect(await stand.webhooks.webhooks()).toMatchObject([{ state: 'GONE' }]);
  });

  it('to read its log is asked again', async () => {
    const stand = await Stand.atWork();
    stand.store.gates.fail('reading the log', new Error('The disk does not answer.'));
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    expect(stand.warnings).toEqual(['The log could not be read for a webhook.']);
    expect(stand.receiver.events).toEqual(stand.store.events);
  });
});

it('what was removed from the log before it was told is said, and what is kept is told', async () => {
  const stand = new Stand();
  await stand.hook();
  await stand.logIn(userOf(0));
  await stand.store.forgets();
  const kept = await stand.logIn(userOf(0));
  stand.engine.start();
  await stand.timers.pass(250);
  expect(stand.receiver.events).toEqual(kept);
  const dead = await stand.deliveries('DEAD');
  expect(dead.map(({ events, shard }) => [events, shard]).sort()).toEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].map((shard) => [[], shard]),
  );
  for (const { lastError } of dead) expect(lastError).toContain('The retention removed events');
  expect(new Set(stand.warnings)).toEqual(
    new Set(['Events were removed by the retention before a webhook could be told of them.']),
  );
  expect(stand.warnings).toHaveLength(8);
  await stand.engine.close();
  expect(await stand.progressOf(1)).toMatchObject({ pending: null });
  // Once for all.
  const other = stand.another();
  other.start();
  await stand.timers.pass(250);
  expect(stand.warnings).toHaveLength(8);
  await other.close();
});

describe('when it is closed', () => {
  it('attempts under way may end, none is begun, and what became of them is noted', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = async (told, signal) => {
      await stand.timers.wait(1_999, signal);
      return taken(told);
    };
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    await stand.logIn(userOf(0));
    const closing = stand.engine.close();
    await stand.timers.pass(1_998);
    expect(await isPending(closing)).toBe(true);
    await stand.timers.pass(1);
    await closing;
    expect(stand.receiver.told).toHaveLength(1);
    expect(await stand.deliveries()).toMatchObject([{ status: 'DELIVERED' }]);
    expect(stand.timers.waiting).toBe(0);
  });

  it('none is begun for what was still being looked for', async () => {
    const stand = await Stand.atWork();
    await stand.logIn(userOf(0));
    const looking = stand.store.gates.hold('reading the log');
    await stand.timers.pass(250);
    await looking;
    const closing = stand.engine.close();
    stand.store.gates.open('reading the log');
    await closing;
    expect(stand.receiver.told).toEqual([]);
    expect(await stand.deliveries()).toEqual([]);
  });

  it('those that take longer than 2 s are broken off as if they had not been, and the leases are free', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = hangs;
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    const closing = stand.engine.close();
    await stand.timers.pass(1_999);
    expect(await isPending(closing)).toBe(true);
    await stand.timers.pass(1);
    await closing;
    expect(await stand.deliveries()).toEqual([]);
    expect((await stand.progressOf(0))?.pending).toBeNull();
    expect(stand.timers.waiting).toBe(0);
    expect(stand.engine.close()).toBe(stand.engine.close());
  });

  it('nobody who waits for a retry, for the store, or for more holds it up', async () => {
    const stand = await Stand.atWork();
    await stand.hook({ id: OTHER_HOOK });
    stand.receiver.answer = ({ delivery }) => refused(500, { retryAfterMs: delivery.shard === 0 ? 60 * MINUTE : 0 });
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    stand.webhooks.refused.set('note', new Error('The store does not answer.'));
    await stand.logIn(userOf(1));
    await stand.timers.pass(250);
    await stand.logIn(userOf(2));
    await quiet();
    stand.webhooks.refused.set('webhooks', new Error('The store does not answer.'));
    await stand.change({ reasons: null });
    await quiet();
    stand.webhooks.refused.set('release', new Error('The store does not answer.'));
    await stand.engine.close();
    expect(stand.timers.waiting).toBe(0);
    expect(stand.warnings).toContain('The leases of webhooks could not be given back; they end by themselves.');
    const told = stand.receiver.told.length;
    await stand.logIn(userOf(3));
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(told);
  });

  it('what is broken off is not told again as far as it was taken', async () => {
    const stand = await Stand.atWork();
    await stand.logIn(userOf(0));
    await stand.logIn(userOf(0));
    stand.receiver.answer = async (told, signal) => ({ ...(await hangs(told, signal)), eventsDone: 2 });
    await stand.timers.pass(250);
    const closed = stand.engine.close();
    await stand.timers.pass(2_000);
    await closed;
    const { events } = stand.store;
    expect(events).toHaveLength(3);
    expect(stand.engine.figures().eventsDelivered).toBe(2);

    stand.receiver.answer = taken;
    const next = stand.another();
    next.start();
    await quiet();
    expect(stand.receiver.told.map((told) => told.events)).toEqual([events, events.slice(2)]);
    expect(await stand.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1, eventCount: 3 }]);
    await next.close();
  });
});
