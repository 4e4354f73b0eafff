/** Webhooks come and go, leases are lost, stores refuse, and the engine is closed. */
import { describe, expect, it, vi } from 'vitest';
import { DomainError } from '../../../../src/core/errors.ts';
import { SHARDS_PER_WEBHOOK } from '../../../../src/core/webhooks/webhook.ts';
import { isPending } from '../../app/support/waiting.ts';
import { hangs, FakeSender, refused, taken, type Told } from '../support/receiver.ts';
import { HOOK, OTHER_HOOK, DeliveryHarness, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

const users = (told: readonly Told[]) => told.map(({ events }) => events.map(({ userId }) => userId));

describe('a webhook', () => {
  it('that is made while the engine runs is told what comes after it', async () => {
    const harness = new DeliveryHarness();
    harness.engine.start();
    await harness.logIn(userOf(0));
    await harness.hook();
    await harness.logIn(userOf(1));
    await harness.timers.pass(250);
    expect(users(harness.receiver.told)).toEqual([[userOf(1)]]);
  });

  it('that is paused is told nothing more, and goes on where it was; what was under way is not told twice', async () => {
    const harness = await DeliveryHarness.atWork();
    let answer = (): void => undefined;
    harness.receiver.answer = async (told) => {
      await new Promise<void>((resolve) => (answer = resolve));
      return taken(told);
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    await harness.change({ state: 'PAUSED' });
    await quiet();
    expect(harness.engine.collectStats().activeShards).toBe(1);
    answer();
    await quiet();
    expect(harness.engine.collectStats().activeShards).toBe(0);
    harness.receiver.answer = taken;
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(1);
    await harness.change({ state: 'ACTIVE' });
    await quiet();
    expect(harness.receiver.events).toEqual(harness.store.events);
  });

  it('that is resumed while what was under way still is goes on after it', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = async (told, signal) => {
      await harness.timers.wait(5_000, signal);
      return taken(told);
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    await harness.change({ state: 'PAUSED' });
    await quiet();
    await harness.change({ state: 'ACTIVE' });
    await harness.logIn(userOf(0));
    await harness.timers.pass(4_999);
    expect(harness.receiver.told).toHaveLength(1);
    await harness.timers.pass(1);
    expect(harness.receiver.events).toEqual(harness.store.events);
  });

  it('that is changed is looked at anew, and no other', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.hook({ id: OTHER_HOOK });
    await quiet();
    const scan = vi.spyOn(harness.store.eventLog, 'scanEvents');
    await harness.change({ userStatusOnly: true });
    await quiet();
    expect(scan).toHaveBeenCalledTimes(SHARDS_PER_WEBHOOK);
    await harness.change({ url: 'https://elsewhere.example/' }, OTHER_HOOK);
    await quiet();
    expect(scan).toHaveBeenCalledTimes(2 * SHARDS_PER_WEBHOOK);
  });

  it('that is deleted has its attempts broken off, and leaves nothing', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = hangs;
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    await harness.webhooks.deleteWebhook(HOOK);
    await quiet();
    expect(harness.engine.collectStats().activeShards).toBe(0);
    expect(await harness.deliveries()).toEqual([]);
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(1);
    expect(harness.warnings).toEqual([]);
  });
});

describe('a lease', () => {
  it('is renewed: nobody else delivers meanwhile, and the next one does at once when it is given back', async () => {
    const harness = await DeliveryHarness.atWork();
    const receiver = new FakeSender(() => harness.store.now());
    const other = harness.another(receiver);
    other.start();
    await harness.timers.pass(5 * MINUTE);
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect([harness.receiver.told.length, receiver.told.length]).toEqual([1, 0]);
    await harness.engine.close();
    await harness.logIn(userOf(0));
    await harness.timers.pass(10_000);
    expect([harness.receiver.told.length, receiver.told.length]).toEqual([1, 1]);
    await other.close();
  });

  it('that could not be renewed ends what was under way, and nothing of it is written', async () => {
    const harness = await DeliveryHarness.atWork();
    const signals: AbortSignal[] = [];
    harness.receiver.answer = (told, signal) => {
      signals.push(signal);
      return hangs(told, signal);
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    harness.webhooks.refused.set('lease', new Error('The store does not answer.'));
    await harness.timers.pass(29_749);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    await harness.timers.pass(1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(harness.engine.collectStats().activeShards).toBe(0);
    expect(harness.webhooks.notes).toEqual([]);

    harness.webhooks.refused.clear();
    harness.receiver.answer = taken;
    await harness.timers.pass(1_000);
    expect(harness.receiver.told).toHaveLength(2);
    expect(new Set(harness.receiver.told.map(({ id }) => id)).size).toBe(1);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
  });

  it('that somebody else has by now: what was taken is not written, and told again by him', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = async (told) => {
      await harness.webhooks.deleteWebhook(HOOK);
      return taken(told);
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect(harness.webhooks.notes).toEqual([]);
    expect(harness.engine.collectStats()).toMatchObject({ activeShards: 0, attemptsByResult: { TAKEN: 0 } });
  });
});

describe('a store that refuses', () => {
  it('is asked again, at growing distances, and what was taken meanwhile is not told twice', async () => {
    const harness = await DeliveryHarness.atWork();
    let refusals = 0;
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    harness.webhooks.refused.set('note', full);
    const get = harness.webhooks.refused.get.bind(harness.webhooks.refused);
    harness.webhooks.refused.get = (call) => {
      if (call === 'note') refusals++;
      return get(call);
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(10 * MINUTE);
    expect(harness.receiver.told).toHaveLength(1);
    // Of each of the eight shards, which has its position to note at least.
    expect(refusals).toBeGreaterThan(8 * 10);
    expect(refusals).toBeLessThan(8 * 40);
    harness.webhooks.refused.clear();
    await harness.timers.pass(2 * MINUTE);
    // It says itself that it is full, and when it is no longer.
    expect([harness.warnings, harness.news]).toEqual([[], []]);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
    expect(harness.receiver.told).toHaveLength(1);
  });

  it('is asked once more by whoever is stopped: what was taken is not told again when it goes on', async () => {
    const harness = await DeliveryHarness.atWork();
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    harness.webhooks.refused.set('note', full);
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect(harness.receiver.told).toHaveLength(1);
    harness.webhooks.refused.clear();
    await harness.change({ state: 'PAUSED' });
    await quiet();
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
    await harness.change({ state: 'ACTIVE' });
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(1);
  });

  it.each([
    ['lease', 'Webhook leases could not be renewed; the server retries.'],
    ['webhooks', 'Webhook leases could not be renewed; the server retries.'],
    ['progress', 'Webhook delivery progress could not be read; the server retries.'],
  ] as const)('at the start (%s) is asked again, and said to have failed once', async (call, warning) => {
    const harness = new DeliveryHarness();
    await harness.hook();
    harness.webhooks.refused.set(call, new Error('The store does not answer.'));
    harness.engine.start();
    await harness.logIn(userOf(0));
    await harness.timers.pass(20_000);
    expect(harness.receiver.told).toEqual([]);
    expect([harness.warnings, harness.news]).toEqual([[warning], []]);
    harness.webhooks.refused.clear();
    await harness.timers.pass(MINUTE);
    expect(harness.news.map(([, about]) => about)).toEqual([{ after: warning }]);
    expect(harness.receiver.events).toEqual(harness.store.events);
  });

  it('to say that a receiver is gone is asked again, and nothing is sent meanwhile', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.webhooks.refused.set('updateWebhook', new Error('The store does not answer.'));
    harness.receiver.answer = () => refused(410);
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(1);
    harness.webhooks.refused.clear();
    await harness.timers.pass(2 * MINUTE);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'GONE' }]);
  });

  it('to read its log is asked again', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.store.gates.fail('reading the log', new Error('The disk does not answer.'));
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    expect(harness.warnings).toEqual(['The event log could not be read for a webhook; the server retries.']);
    expect(harness.receiver.events).toEqual(harness.store.events);
  });
});

it('what was removed from the log before it was told is said, and what is kept is told', async () => {
  const harness = new DeliveryHarness();
  await harness.hook();
  await harness.logIn(userOf(0));
  await harness.store.forgets();
  const kept = await harness.logIn(userOf(0));
  harness.engine.start();
  await harness.timers.pass(250);
  expect(harness.receiver.events).toEqual(kept);
  const dead = await harness.deliveries('DEAD');
  expect(dead.map(({ events, shard }) => [events, shard]).sort()).toEqual(
    [0, 1, 2, 3, 4, 5, 6, 7].map((shard) => [[], shard]),
  );
  for (const { lastError } of dead) expect(lastError).toContain('Retention removed events');
  expect(new Set(harness.warnings)).toEqual(
    new Set(['Retention removed events before they were delivered to a webhook; they are skipped.']),
  );
  expect(harness.warnings).toHaveLength(8);
  await harness.engine.close();
  expect(await harness.progressOf(1)).toMatchObject({ pendingDelivery: null });
  // Once for all.
  const other = harness.another();
  other.start();
  await harness.timers.pass(250);
  expect(harness.warnings).toHaveLength(8);
  await other.close();
});

describe('when it is closed', () => {
  it('attempts under way may end, none is begun, and what became of them is noted', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = async (told, signal) => {
      await harness.timers.wait(1_999, signal);
      return taken(told);
    };
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    await harness.logIn(userOf(0));
    const closing = harness.engine.close();
    await harness.timers.pass(1_998);
    expect(await isPending(closing)).toBe(true);
    await harness.timers.pass(1);
    await closing;
    expect(harness.receiver.told).toHaveLength(1);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED' }]);
    expect(harness.timers.waiting).toBe(0);
  });

  it('none is begun for what was still being looked for', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.logIn(userOf(0));
    const looking = harness.store.gates.hold('reading the log');
    await harness.timers.pass(250);
    await looking;
    const closing = harness.engine.close();
    harness.store.gates.open('reading the log');
    await closing;
    expect(harness.receiver.told).toEqual([]);
    expect(await harness.deliveries()).toEqual([]);
  });

  it('those that take longer than 2 s are broken off as if they had not been, and the leases are free', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = hangs;
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    const closing = harness.engine.close();
    await harness.timers.pass(1_999);
    expect(await isPending(closing)).toBe(true);
    await harness.timers.pass(1);
    await closing;
    expect(await harness.deliveries()).toEqual([]);
    expect((await harness.progressOf(0))?.pendingDelivery).toBeNull();
    expect(harness.timers.waiting).toBe(0);
    expect(harness.engine.close()).toBe(harness.engine.close());
  });

  it('nobody who waits for a retry, for the store, or for more holds it up', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.hook({ id: OTHER_HOOK });
    harness.receiver.answer = ({ delivery }) => refused(500, { retryAfterMs: delivery.shard === 0 ? 60 * MINUTE : 0 });
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    harness.webhooks.refused.set('note', new Error('The store does not answer.'));
    await harness.logIn(userOf(1));
    await harness.timers.pass(250);
    await harness.logIn(userOf(2));
    await quiet();
    harness.webhooks.refused.set('webhooks', new Error('The store does not answer.'));
    await harness.change({ reasons: null });
    await quiet();
    harness.webhooks.refused.set('release', new Error('The store does not answer.'));
    await harness.engine.close();
    expect(harness.timers.waiting).toBe(0);
    expect(harness.warnings).toContain('Webhook leases could not be released; they expire within 30 s.');
    const told = harness.receiver.told.length;
    await harness.logIn(userOf(3));
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(told);
  });

  it('what is broken off is not told again as far as it was taken', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.logIn(userOf(0));
    await harness.logIn(userOf(0));
    harness.receiver.answer = async (told, signal) => ({ ...(await hangs(told, signal)), deliveredEventCount: 2 });
    await harness.timers.pass(250);
    const closed = harness.engine.close();
    await harness.timers.pass(2_000);
    await closed;
    const { events } = harness.store;
    expect(events).toHaveLength(3);
    expect(harness.engine.collectStats().deliveredEvents).toBe(2);

    harness.receiver.answer = taken;
    const next = harness.another();
    next.start();
    await quiet();
    expect(harness.receiver.told.map((told) => told.events)).toEqual([events, events.slice(2)]);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1, eventCount: 3 }]);
    await next.close();
  });
});
