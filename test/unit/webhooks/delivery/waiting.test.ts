/** Since when the oldest event has been waiting for its receiver: what tells whoever is on call that one is behind. */
import { describe, expect, it } from 'vitest';
import { hangs, refused, taken } from '../support/receiver.ts';
import { DeliveryHarness, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

const waitingSince = ({ engine }: DeliveryHarness) => engine.collectStats().oldestPendingEventAt;

describe('something waits', () => {
  it('from the moment on at which it happened, until it is taken', async () => {
    const harness = await DeliveryHarness.atWork();
    expect(waitingSince(harness)).toBeNull();
    const happened = harness.store.now();
    await harness.logIn(userOf(0));
    for (const ms of [0, 249]) {
      await harness.timers.pass(ms);
      expect(waitingSince(harness), `after ${ms} ms`).toBe(happened);
    }
    await harness.timers.pass(1);
    expect(harness.receiver.told).toHaveLength(1);
    expect(waitingSince(harness)).toBeNull();
  });

  it('though nobody heard it happen, while more of it may come', async () => {
    const harness = new DeliveryHarness();
    await harness.hook();
    const happened = harness.store.now();
    await harness.logIn(userOf(0));
    harness.engine.start();
    await harness.timers.pass(249);
    expect(harness.receiver.told).toEqual([]);
    expect(waitingSince(harness)).toBe(happened);
  });

  it('while its receiver does not take it, whatever others take', async () => {
    const harness = await DeliveryHarness.atWork();
    const happened = harness.store.now();
    harness.receiver.answer = (told) => (told.delivery.shard === 0 ? refused(500) : taken(told));
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    await harness.logIn(userOf(1));
    await harness.timers.pass(60 * MINUTE);
    expect(waitingSince(harness)).toBe(happened);
    harness.receiver.answer = taken;
    await harness.timers.pass(60 * MINUTE);
    expect(waitingSince(harness)).toBeNull();
  });

  it('while the log has more, though nothing is under way at the moment', async () => {
    const harness = new DeliveryHarness();
    await harness.hook();
    for (let number = 0; number < 150; number++) {
      await harness.logIn(userOf(0, number));
      harness.store.passes(1_000);
    }
    const readsOn = new Promise<void>((resolve) => {
      harness.receiver.answer = (told) => {
        void harness.store.gates.hold('reading the log').then(resolve);
        return taken(told);
      };
    });
    harness.engine.start();
    await readsOn;
    expect(harness.receiver.told).toHaveLength(1);
    expect(waitingSince(harness)).toBe(harness.store.events[99]?.occurredAt);
    harness.receiver.answer = taken;
    harness.store.gates.open('reading the log');
    await harness.timers.pass(250);
    expect(harness.receiver.events).toEqual(harness.store.events);
    expect(waitingSince(harness)).toBeNull();
  });
});

describe('nothing waits', () => {
  it('for a receiver that is gone, or a webhook that is paused', async () => {
    const harness = await DeliveryHarness.atWork();
    harness.receiver.answer = () => refused(410);
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    expect(harness.engine.collectStats()).toMatchObject({
      webhooksByState: { ACTIVE: 0, GONE: 1 },
      oldestPendingEventAt: null,
    });
    harness.receiver.answer = hangs;
    await harness.change({ state: 'ACTIVE' });
    await quiet();
    expect(waitingSince(harness)).not.toBeNull();
    await harness.change({ state: 'PAUSED' });
    await harness.timers.pass(MINUTE);
    expect(harness.engine.collectStats().webhooksByState).toEqual({ ACTIVE: 0, PAUSED: 1, GONE: 0 });
  });

  it('when it was given up, for as long as the receiver wants to be left alone after it', async () => {
    const harness = await DeliveryHarness.atWork({ retryForMs: 0 });
    harness.receiver.answer = () => refused(500, { retryAfterMs: 60 * MINUTE });
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect(await harness.deliveries('DEAD')).toHaveLength(1);
    expect(waitingSince(harness)).toBeNull();
    await harness.timers.pass(MINUTE);
    const happened = harness.store.now();
    await harness.logIn(userOf(0));
    await harness.timers.pass(MINUTE);
    expect(harness.receiver.told).toHaveLength(1);
    expect(waitingSince(harness)).toBe(happened);
  });
});
