/** When the oldest waiting event occurred: the metric that shows that a receiver falls behind. */
import { describe, expect, it } from 'vitest';
import { hangUntilAborted, rejectWithStatus, acceptDelivery } from '../support/fake-sender.ts';
import { DeliveryHarness, userIdOfShard } from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

const waitingSince = ({ engine }: DeliveryHarness) => engine.collectStats().oldestPendingEventAt;

describe('an event waits', () => {
  it('from its occurrence until it is accepted', async () => {
    const harness = await DeliveryHarness.start();
    expect(waitingSince(harness)).toBeNull();
    const happened = harness.store.now();
    await harness.logIn(userIdOfShard(0));
    for (const ms of [0, 249]) {
      await harness.timers.advance(ms);
      expect(waitingSince(harness), `after ${ms} ms`).toBe(happened);
    }
    await harness.timers.advance(1);
    expect(harness.sender.attempts).toHaveLength(1);
    expect(waitingSince(harness)).toBeNull();
  });

  it('while its batch is open, even if it was committed before the engine started', async () => {
    const harness = new DeliveryHarness();
    await harness.createWebhook();
    const happened = harness.store.now();
    await harness.logIn(userIdOfShard(0));
    harness.engine.start();
    await harness.timers.advance(249);
    expect(harness.sender.attempts).toEqual([]);
    expect(waitingSince(harness)).toBe(happened);
  });

  it('while its receiver fails, whatever other receivers accept', async () => {
    const harness = await DeliveryHarness.start();
    const happened = harness.store.now();
    harness.sender.respond = (sent) => (sent.delivery.shard === 0 ? rejectWithStatus(429) : acceptDelivery(sent));
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(60 * MINUTE);
    expect(waitingSince(harness)).toBe(happened);
    harness.sender.respond = acceptDelivery;
    await harness.timers.advance(60 * MINUTE);
    expect(waitingSince(harness)).toBeNull();
  });

  it('while the log has unread events, even without an attempt in progress', async () => {
    const harness = new DeliveryHarness();
    await harness.createWebhook();
    for (let number = 0; number < 150; number++) {
      await harness.logIn(userIdOfShard(0, number));
      harness.store.passes(1_000);
    }
    const readsOn = new Promise<void>((resolve) => {
      harness.sender.respond = (sent) => {
        void harness.store.gates.hold('reading the log').then(resolve);
        return acceptDelivery(sent);
      };
    });
    harness.engine.start();
    await readsOn;
    expect(harness.sender.attempts).toHaveLength(1);
    expect(waitingSince(harness)).toBe(harness.store.events[99]?.occurredAt);
    harness.sender.respond = acceptDelivery;
    harness.store.gates.open('reading the log');
    await harness.timers.advance(250);
    expect(harness.sender.events).toEqual(harness.store.events);
    expect(waitingSince(harness)).toBeNull();
  });
});

describe('no event waits', () => {
  it('for a webhook that is GONE or paused', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = () => rejectWithStatus(410);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    expect(harness.engine.collectStats()).toMatchObject({
      webhooksByState: { ACTIVE: 0, GONE: 1 },
      oldestPendingEventAt: null,
    });
    harness.sender.respond = hangUntilAborted;
    await harness.updateWebhook({ state: 'ACTIVE' });
    await settleEngines();
    expect(waitingSince(harness)).not.toBeNull();
    await harness.updateWebhook({ state: 'PAUSED' });
    await harness.timers.advance(MINUTE);
    expect(harness.engine.collectStats().webhooksByState).toEqual({ ACTIVE: 0, PAUSED: 1, GONE: 0 });
  });

  it('during the cooldown after a DEAD delivery', async () => {
    const harness = await DeliveryHarness.start({ retryForMs: 0 });
    harness.sender.respond = () => rejectWithStatus(500, { retryAfterMs: 60 * MINUTE });
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect(await harness.deliveries('DEAD')).toHaveLength(1);
    expect(waitingSince(harness)).toBeNull();
    await harness.timers.advance(MINUTE);
    const happened = harness.store.now();
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);
    expect(waitingSince(harness)).toBe(happened);
  });
});
