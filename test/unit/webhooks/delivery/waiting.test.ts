/** Since when the oldest event has been waiting for its receiver: what tells whoever is on call that one is behind. */
import { describe, expect, it } from 'vitest';
import { hangs, refused, taken } from '../support/receiver.ts';
import { Stand, userOf } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

const waitingSince = ({ engine }: Stand) => engine.figures().oldestWaitingSince;

describe('something waits', () => {
  it('from the moment on at which it happened, until it is taken', async () => {
    const stand = await Stand.atWork();
    expect(waitingSince(stand)).toBeNull();
    const happened = stand.store.now();
    await stand.logIn(userOf(0));
    for (const ms of [0, 249]) {
      await stand.timers.pass(ms);
      expect(waitingSince(stand), `after ${ms} ms`).toBe(happened);
    }
    await stand.timers.pass(1);
    expect(stand.receiver.told).toHaveLength(1);
    expect(waitingSince(stand)).toBeNull();
  });

  it('though nobody heard it happen, while more of it may come', async () => {
    const stand = new Stand();
    await stand.hook();
    const happened = stand.store.now();
    await stand.logIn(userOf(0));
    stand.engine.start();
    await stand.timers.pass(249);
    expect(stand.receiver.told).toEqual([]);
    expect(waitingSince(stand)).toBe(happened);
  });

  it('while its receiver does not take it, whatever others take', async () => {
    const stand = await Stand.atWork();
    const happened = stand.store.now();
    stand.receiver.answer = (told) => (told.delivery.shard === 0 ? refused(500) : taken(told));
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    await stand.logIn(userOf(1));
    await stand.timers.pass(60 * MINUTE);
    expect(waitingSince(stand)).toBe(happened);
    stand.receiver.answer = taken;
    await stand.timers.pass(60 * MINUTE);
    expect(waitingSince(stand)).toBeNull();
  });

  it('while the log has more, though nothing is under way at the moment', async () => {
    const stand = new Stand();
    await stand.hook();
    for (let number = 0; number < 150; number++) {
      await stand.logIn(userOf(0, number));
      stand.store.passes(1_000);
    }
    const readsOn = new Promise<void>((resolve) => {
      stand.receiver.answer = (told) => {
        void stand.store.gates.hold('reading the log').then(resolve);
        return taken(told);
      };
    });
    stand.engine.start();
    await readsOn;
    expect(stand.receiver.told).toHaveLength(1);
    expect(waitingSince(stand)).toBe(stand.store.events[99]?.occurredAt);
    stand.receiver.answer = taken;
    stand.store.gates.open('reading the log');
    await stand.timers.pass(250);
    expect(stand.receiver.events).toEqual(stand.store.events);
    expect(waitingSince(stand)).toBeNull();
  });
});

describe('nothing waits', () => {
  it('for a receiver that is gone, or a webhook that is paused', async () => {
    const stand = await Stand.atWork();
    stand.receiver.answer = () => refused(410);
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    expect(stand.engine.figures()).toMatchObject({ webhooks: { ACTIVE: 0, GONE: 1 }, oldestWaitingSince: null });
    stand.receiver.answer = hangs;
    await stand.change({ state: 'ACTIVE' });
    await quiet();
    expect(waitingSince(stand)).not.toBeNull();
    await stand.change({ state: 'PAUSED' });
    await stand.timers.pass(MINUTE);
    expect(stand.engine.figures().webhooks).toEqual({ ACTIVE: 0, PAUSED: 1, GONE: 0 });
  });

  it('when it was given up, for as long as the receiver wants to be left alone after it', async () => {
    const stand = await Stand.atWork({ retryForMs: 0 });
    stand.receiver.answer = () => refused(500, { retryAfterMs: 60 * MINUTE });
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect(await stand.deliveries('DEAD')).toHaveLength(1);
    expect(waitingSince(stand)).toBeNull();
    await stand.timers.pass(MINUTE);
    const happened = stand.store.now();
    await stand.logIn(userOf(0));
    await stand.timers.pass(MINUTE);
    expect(stand.receiver.told).toHaveLength(1);
    expect(waitingSince(stand)).toBe(happened);
  });
});
