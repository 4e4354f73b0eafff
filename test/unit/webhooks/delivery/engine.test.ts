/** Changes of webhooks, lost leases, failing stores, and closing the engine. */
import { describe, expect, it, vi } from 'vitest';
import { DomainError } from '../../../../src/core/errors.ts';
import { SHARDS_PER_WEBHOOK } from '../../../../src/core/webhooks/webhook.ts';
import { isPending } from '../../app/support/waiting.ts';
import {
  hangUntilAborted,
  FakeSender,
  rejectWithStatus,
  acceptDelivery,
  type SentAttempt,
} from '../support/fake-sender.ts';
import { WEBHOOK_ID, OTHER_WEBHOOK_ID, DeliveryHarness, userIdOfShard } from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const MINUTE = 60_000;

const users = (sent: readonly SentAttempt[]) => sent.map(({ events }) => events.map(({ userId }) => userId));

describe('a webhook', () => {
  it('receives the events after its creation while the engine runs', async () => {
    const harness = new DeliveryHarness();
    harness.engine.start();
    await harness.logIn(userIdOfShard(0));
    await harness.createWebhook();
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(250);
    expect(users(harness.sender.attempts)).toEqual([[userIdOfShard(1)]]);
  });

  it('gets no deliveries while it is paused and then continues without repeating the attempt in progress', async () => {
    const harness = await DeliveryHarness.start();
    let answer = (): void => undefined;
    harness.sender.respond = async (sent) => {
      await new Promise<void>((resolve) => (answer = resolve));
      return acceptDelivery(sent);
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    await harness.updateWebhook({ state: 'PAUSED' });
    await settleEngines();
    expect(harness.engine.collectStats().activeShards).toBe(1);
    answer();
    await settleEngines();
    expect(harness.engine.collectStats().activeShards).toBe(0);
    harness.sender.respond = acceptDelivery;
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);
    await harness.updateWebhook({ state: 'ACTIVE' });
    await settleEngines();
    expect(harness.sender.events).toEqual(harness.store.events);
  });

  it('continues after the attempt in progress when it is resumed during that attempt', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = async (sent, signal) => {
      await harness.timers.wait(5_000, signal);
      return acceptDelivery(sent);
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    await harness.updateWebhook({ state: 'PAUSED' });
    await settleEngines();
    await harness.updateWebhook({ state: 'ACTIVE' });
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(4_999);
    expect(harness.sender.attempts).toHaveLength(1);
    await harness.timers.advance(1);
    expect(harness.sender.events).toEqual(harness.store.events);
  });

  it('causes a new scan when it changes, and no scan for other webhooks', async () => {
    const harness = await DeliveryHarness.start();
    await harness.createWebhook({ id: OTHER_WEBHOOK_ID });
    await settleEngines();
    const scan = vi.spyOn(harness.store.eventLog, 'scanEvents');
    await harness.updateWebhook({ userStatusOnly: true });
    await settleEngines();
    expect(scan).toHaveBeenCalledTimes(SHARDS_PER_WEBHOOK);
    await harness.updateWebhook({ url: 'https://elsewhere.example/' }, OTHER_WEBHOOK_ID);
    await settleEngines();
    expect(scan).toHaveBeenCalledTimes(2 * SHARDS_PER_WEBHOOK);
  });

  it('has its attempts aborted and its data removed when it is deleted', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = hangUntilAborted;
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    await harness.webhooks.deleteWebhook(WEBHOOK_ID);
    await settleEngines();
    expect(harness.engine.collectStats().activeShards).toBe(0);
    expect(await harness.deliveries()).toEqual([]);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);
    expect(harness.warnings).toEqual([]);
  });
});

describe('a lease', () => {
  it('is renewed while the engine runs, and another engine delivers at once when it is released', async () => {
    const harness = await DeliveryHarness.start();
    const receiver = new FakeSender(() => harness.store.now());
    const other = harness.createEngine(receiver);
    other.start();
    await harness.timers.advance(5 * MINUTE);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect([harness.sender.attempts.length, receiver.attempts.length]).toEqual([1, 0]);
    await harness.engine.close();
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(10_000);
    expect([harness.sender.attempts.length, receiver.attempts.length]).toEqual([1, 1]);
    await other.close();
  });

  it('aborts attempts without saving them when it expires', async () => {
    const harness = await DeliveryHarness.start();
    const signals: AbortSignal[] = [];
    harness.sender.respond = (sent, signal) => {
      signals.push(signal);
      return hangUntilAborted(sent, signal);
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    harness.webhooks.failures.set('lease', new Error('The store does not answer.'));
    await harness.timers.advance(29_749);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    await harness.timers.advance(1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(harness.engine.collectStats().activeShards).toBe(0);
    expect(harness.webhooks.savedProgress).toEqual([]);

    harness.webhooks.failures.clear();
    harness.sender.respond = acceptDelivery;
    await harness.timers.advance(1_000);
    expect(harness.sender.attempts).toHaveLength(2);
    expect(new Set(harness.sender.attempts.map(({ id }) => id)).size).toBe(1);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
  });

  it('is lost to another engine: the result is not saved and the other engine sends the events again', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = async (sent) => {
      await harness.webhooks.deleteWebhook(WEBHOOK_ID);
      return acceptDelivery(sent);
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect(harness.webhooks.savedProgress).toEqual([]);
    expect(harness.engine.collectStats()).toMatchObject({ activeShards: 0, attemptsByResult: { TAKEN: 0 } });
  });
});

describe('a failing store', () => {
  it('is retried with growing delays, and accepted events are not sent again', async () => {
    const harness = await DeliveryHarness.start();
    let refusals = 0;
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    harness.webhooks.failures.set('note', full);
    const get = harness.webhooks.failures.get.bind(harness.webhooks.failures);
    harness.webhooks.failures.get = (call) => {
      if (call === 'note') refusals++;
      return get(call);
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(10 * MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);
    // Each of the eight shards has at least its position to save.
    expect(refusals).toBeGreaterThan(8 * 10);
    expect(refusals).toBeLessThan(8 * 40);
    harness.webhooks.failures.clear();
    await harness.timers.advance(2 * MINUTE);
    // The store itself logs that it is full, and when it is no longer.
    expect([harness.warnings, harness.stateChanges]).toEqual([[], []]);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
    expect(harness.sender.attempts).toHaveLength(1);
  });

  it('is called once more after a stop, so that accepted events are not sent again', async () => {
    const harness = await DeliveryHarness.start();
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    harness.webhooks.failures.set('note', full);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect(harness.sender.attempts).toHaveLength(1);
    harness.webhooks.failures.clear();
    await harness.updateWebhook({ state: 'PAUSED' });
    await settleEngines();
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1 }]);
    await harness.updateWebhook({ state: 'ACTIVE' });
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);
  });

  it.each([
    ['lease', 'Webhook leases could not be renewed; the server retries.'],
    ['webhooks', 'Webhook leases could not be renewed; the server retries.'],
    ['progress', 'Webhook delivery progress could not be read; the server retries.'],
  ] as const)('is retried at the start (%s), with one warning', async (call, warning) => {
    const harness = new DeliveryHarness();
    await harness.createWebhook();
    harness.webhooks.failures.set(call, new Error('The store does not answer.'));
    harness.engine.start();
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(20_000);
    expect(harness.sender.attempts).toEqual([]);
    expect([harness.warnings, harness.stateChanges]).toEqual([[warning], []]);
    harness.webhooks.failures.clear();
    await harness.timers.advance(MINUTE);
    expect(harness.stateChanges.map(([, about]) => about)).toEqual([{ after: warning }]);
    expect(harness.sender.events).toEqual(harness.store.events);
  });

  it('is retried when a webhook cannot be set to GONE, and nothing is sent meanwhile', async () => {
    const harness = await DeliveryHarness.start();
    harness.webhooks.failures.set('updateWebhook', new Error('The store does not answer.'));
    harness.sender.respond = () => rejectWithStatus(410);
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(1);
    harness.webhooks.failures.clear();
    await harness.timers.advance(2 * MINUTE);
    expect(await harness.webhooks.listWebhooks()).toMatchObject([{ state: 'GONE' }]);
  });

  it('is retried when the event log cannot be read', async () => {
    const harness = await DeliveryHarness.start();
    harness.store.gates.fail('reading the log', new Error('The disk does not answer.'));
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(MINUTE);
    expect(harness.warnings).toEqual(['The event log could not be read for a webhook; the server retries.']);
    expect(harness.sender.events).toEqual(harness.store.events);
  });
});

it('reports events that retention removed before delivery, and delivers the remaining ones', async () => {
  const harness = new DeliveryHarness();
  await harness.createWebhook();
  await harness.logIn(userIdOfShard(0));
  await harness.store.forgets();
  const kept = await harness.logIn(userIdOfShard(0));
  harness.engine.start();
  await harness.timers.advance(250);
  expect(harness.sender.events).toEqual(kept);
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
  expect(await harness.readProgress(1)).toMatchObject({ pendingDelivery: null });
  // One warning for all shards.
  const other = harness.createEngine();
  other.start();
  await harness.timers.advance(250);
  expect(harness.warnings).toHaveLength(8);
  await other.close();
});

describe('closing the engine', () => {
  it('lets attempts in progress end, saves their results and starts no new ones', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = async (sent, signal) => {
      await harness.timers.wait(1_999, signal);
      return acceptDelivery(sent);
    };
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    await harness.logIn(userIdOfShard(0));
    const closing = harness.engine.close();
    await harness.timers.advance(1_998);
    expect(await isPending(closing)).toBe(true);
    await harness.timers.advance(1);
    await closing;
    expect(harness.sender.attempts).toHaveLength(1);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED' }]);
    expect(harness.timers.pendingWaits).toBe(0);
  });

  it('starts no attempt for events whose scan is still running', async () => {
    const harness = await DeliveryHarness.start();
    await harness.logIn(userIdOfShard(0));
    const looking = harness.store.gates.hold('reading the log');
    await harness.timers.advance(250);
    await looking;
    const closing = harness.engine.close();
    harness.store.gates.open('reading the log');
    await closing;
    expect(harness.sender.attempts).toEqual([]);
    expect(await harness.deliveries()).toEqual([]);
  });

  it('aborts attempts after 2 s without saving them and releases the leases', async () => {
    const harness = await DeliveryHarness.start();
    harness.sender.respond = hangUntilAborted;
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    const closing = harness.engine.close();
    await harness.timers.advance(1_999);
    expect(await isPending(closing)).toBe(true);
    await harness.timers.advance(1);
    await closing;
    expect(await harness.deliveries()).toEqual([]);
    expect((await harness.readProgress(0))?.pendingDelivery).toBeNull();
    expect(harness.timers.pendingWaits).toBe(0);
    expect(harness.engine.close()).toBe(harness.engine.close());
  });

  it('is not delayed by workers that wait for a retry, the store or new events', async () => {
    const harness = await DeliveryHarness.start();
    await harness.createWebhook({ id: OTHER_WEBHOOK_ID });
    harness.sender.respond = ({ delivery }) =>
      rejectWithStatus(500, { retryAfterMs: delivery.shard === 0 ? 60 * MINUTE : 0 });
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    harness.webhooks.failures.set('note', new Error('The store does not answer.'));
    await harness.logIn(userIdOfShard(1));
    await harness.timers.advance(250);
    await harness.logIn(userIdOfShard(2));
    await settleEngines();
    harness.webhooks.failures.set('webhooks', new Error('The store does not answer.'));
    await harness.updateWebhook({ reasons: null });
    await settleEngines();
    harness.webhooks.failures.set('release', new Error('The store does not answer.'));
    await harness.engine.close();
    expect(harness.timers.pendingWaits).toBe(0);
    expect(harness.warnings).toContain('Webhook leases could not be released; they expire within 30 s.');
    const sent = harness.sender.attempts.length;
    await harness.logIn(userIdOfShard(3));
    await harness.timers.advance(MINUTE);
    expect(harness.sender.attempts).toHaveLength(sent);
  });

  it('saves the events that were accepted before the abort, so that they are not sent again', async () => {
    const harness = await DeliveryHarness.start();
    await harness.logIn(userIdOfShard(0));
    await harness.logIn(userIdOfShard(0));
    harness.sender.respond = async (sent, signal) => ({
      ...(await hangUntilAborted(sent, signal)),
      deliveredEventCount: 2,
    });
    await harness.timers.advance(250);
    const closed = harness.engine.close();
    await harness.timers.advance(2_000);
    await closed;
    const { events } = harness.store;
    expect(events).toHaveLength(3);
    expect(harness.engine.collectStats().deliveredEvents).toBe(2);

    harness.sender.respond = acceptDelivery;
    const next = harness.createEngine();
    next.start();
    await settleEngines();
    expect(harness.sender.attempts.map((sent) => sent.events)).toEqual([events, events.slice(2)]);
    expect(await harness.deliveries()).toMatchObject([{ status: 'DELIVERED', attempts: 1, eventCount: 3 }]);
    await next.close();
  });
});
