/** Which events form one delivery, and when it is sent. */
import { describe, expect, it } from 'vitest';
import type { CommittedChange, EventLogScanQuery } from '../../../../src/app/ports/presence-store.ts';
import { hangUntilAborted, acceptDelivery } from '../support/fake-sender.ts';
import { OTHER_WEBHOOK_ID, DeliveryHarness, userIdOfShard, WEBHOOK_ID } from '../support/delivery-harness.ts';
import { settleEngines } from '../support/virtual-timers.ts';

const logInOften = async (harness: DeliveryHarness, times: number, user = userIdOfShard(0)): Promise<void> => {
  for (let time = 0; time < times; time++) await harness.logIn(user);
};

describe('a batch', () => {
  it('is sent 250 ms after its first event at the latest', async () => {
    const harness = await DeliveryHarness.start();
    const start = harness.store.now();
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(100);
    await harness.logIn(userIdOfShard(0, 1));
    await harness.timers.advance(149);
    expect(harness.sender.attempts).toEqual([]);
    await harness.timers.advance(1);
    expect(harness.sender.attempts.map(({ at, events }) => [at - start, events])).toEqual([
      [250, harness.store.events],
    ]);
    expect(await harness.deliveries()).toMatchObject([
      { webhookId: WEBHOOK_ID, shard: 0, status: 'DELIVERED', events: [], eventCount: 2, attempts: 1, lastStatus: 200 },
    ]);
  });

  it('is sent at once when it has 100 events', async () => {
    const harness = await DeliveryHarness.start();
    for (let number = 0; number < 99; number++) await harness.logIn(userIdOfShard(0, number));
    await settleEngines();
    expect(harness.sender.attempts).toEqual([]);
    await harness.logIn(userIdOfShard(0, 99));
    await settleEngines();
    expect(harness.sender.attempts.map(({ events }) => events)).toEqual([harness.store.events]);
  });

  it('includes all events of its last change, even beyond 100', async () => {
    const harness = await DeliveryHarness.start();
    // One event, and two with each login after it.
    await logInOften(harness, 60);
    await harness.timers.advance(250);
    expect(harness.sender.attempts.map(({ events }) => events.length)).toEqual([101, 18]);
    expect(harness.sender.events).toEqual(harness.store.events);
  });

  it('is sent at once if its first event has waited 250 ms already', async () => {
    const harness = new DeliveryHarness();
    await harness.createWebhook();
    await logInOften(harness, 3);
    await harness.timers.advance(60_000);
    harness.engine.start();
    await settleEngines();
    expect(harness.sender.events).toEqual(harness.store.events);
  });

  it('causes no reads or writes while no events are committed', async () => {
    const harness = await DeliveryHarness.start();
    await harness.timers.advance(600_000);
    expect(harness.webhooks.savedProgress).toEqual([]);
    expect(harness.sender.attempts).toEqual([]);
  });
});

it('gives a delivery with the same events the same id after an aborted attempt', async () => {
  const harness = await DeliveryHarness.start();
  harness.sender.respond = hangUntilAborted;
  await harness.logIn(userIdOfShard(0));
  await harness.logIn(userIdOfShard(1));
  await harness.timers.advance(250);
  const closing = harness.engine.close();
  await harness.timers.advance(2_000);
  await closing;
  const before = harness.sender.attempts.splice(0).map(({ id }) => id);
  harness.sender.respond = acceptDelivery;
  harness.createEngine().start();
  await settleEngines();
  expect(new Set(before).size).toBe(2);
  expect(harness.sender.attempts.map(({ id }) => id)).toEqual(before);
  for (const id of before) expect(id).toMatch(/^msg_[\w-]{43}$/);
});

describe('events that the filter excludes', () => {
  it('are skipped and not sent', async () => {
    const harness = await DeliveryHarness.start({}, { reasons: ['KICKED'] });
    await logInOften(harness, 3);
    await harness.timers.advance(250);
    expect(harness.sender.events.map(({ reason }) => reason)).toEqual(['KICKED', 'KICKED']);
    expect((await harness.deliveries()).map(({ eventCount }) => eventCount)).toEqual([2]);
  });

  it('advance the saved position within a minute, with one write', async () => {
    const harness = await DeliveryHarness.start({}, { reasons: ['REVOKED'] });
    for (let number = 0; number < 5; number++) {
      await harness.logIn(userIdOfShard(0, number));
      await harness.timers.advance(5_000);
    }
    expect(harness.webhooks.savedProgress).toEqual([]);
    await harness.timers.advance(60_000);
    const ofShard = harness.webhooks.savedProgress.filter(([lease]) => lease.shard === 0);
    expect(ofShard.map(([, progress]) => progress)).toEqual([{ position: harness.store.events.at(-1)?.cursor }]);
    await harness.timers.advance(600_000);
    expect(harness.webhooks.savedProgress.filter(([lease]) => lease.shard === 0)).toHaveLength(1);
  });

  it('do not cause a scan of the log with every commit', async () => {
    const harness = await DeliveryHarness.start({}, { reasons: ['REVOKED'] });
    const { eventLog: log } = harness.store;
    const scan = log.scanEvents.bind(log);
    let scans = 0;
    Object.assign(log, { scanEvents: (query: EventLogScanQuery) => (scans++, scan(query)) });
    for (let number = 0; number < 999; number++) await harness.logIn(userIdOfShard(0, number));
    await settleEngines();
    expect(scans).toBe(0);
    // Each idle shard catches up while the events are cached in memory.
    await harness.logIn(userIdOfShard(0, 999));
    await settleEngines();
    expect(scans).toBe(8);
  });

  it('depend on the current filter of the webhook', async () => {
    const harness = await DeliveryHarness.start({}, { reasons: ['KICKED'] });
    await logInOften(harness, 2);
    // Changed before these events were scanned: the new filter includes them.
    await harness.updateWebhook({ reasons: ['LOGIN'] });
    await harness.timers.advance(250);
    expect(harness.sender.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
    await harness.updateWebhook({ reasons: ['KICKED'] });
    await harness.logIn(userIdOfShard(0));
    await harness.timers.advance(250);
    expect(harness.sender.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN', 'KICKED']);
  });

  it('depend on the filter at the time of sending, if it changed during the scan', async () => {
    const harness = await DeliveryHarness.start({}, { reasons: ['KICKED'] });
    await logInOften(harness, 2);
    const looking = harness.store.gates.hold('reading the log');
    await harness.timers.advance(250);
    await looking;
    await harness.updateWebhook({ reasons: ['LOGIN'] });
    harness.store.gates.open('reading the log');
    await settleEngines();
    expect(harness.sender.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
  });

  it('depend on the filter as of the change notification, not as of the cached webhook', async () => {
    const harness = await DeliveryHarness.start({}, { reasons: ['KICKED'] });
    harness.webhooks.failures.set('webhooks', new Error('The store does not answer.'));
    await harness.updateWebhook({ reasons: ['LOGIN'] });
    await logInOften(harness, 2);
    await harness.timers.advance(500);
    expect(harness.sender.attempts).toEqual([]);
    harness.webhooks.failures.clear();
    await harness.timers.advance(5_000);
    expect(harness.sender.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
  });
});

it('interrupts only the workers of the same shard whose webhook wants the event', async () => {
  const harness = await DeliveryHarness.start();
  await harness.createWebhook({ id: OTHER_WEBHOOK_ID, reasons: ['LOGOUT'] });
  await settleEngines();
  const changes: CommittedChange[][] = [];
  harness.store.onCommit((committed) => changes.push([...committed]));
  const waits = harness.timers.startedWaits;
  await harness.logIn(userIdOfShard(4));
  await settleEngines();
  expect(changes).toHaveLength(1);
  // One shard of one webhook starts a new wait of 250 ms.
  expect(harness.timers.startedWaits - waits).toBe(1);
});
