/** What goes into one delivery, and when it is sent. */
import { describe, expect, it } from 'vitest';
import type { CommittedChange, EventLogScan } from '../../../../src/app/ports/presence-store.ts';
import { hangs, taken } from '../support/receiver.ts';
import { OTHER_HOOK, DeliveryHarness, userOf, HOOK } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const logInOften = async (harness: DeliveryHarness, times: number, user = userOf(0)): Promise<void> => {
  for (let time = 0; time < times; time++) await harness.logIn(user);
};

describe('what is committed is delivered', () => {
  it('250 ms after the first of it at the latest', async () => {
    const harness = await DeliveryHarness.atWork();
    const start = harness.store.now();
    await harness.logIn(userOf(0));
    await harness.timers.pass(100);
    await harness.logIn(userOf(0, 1));
    await harness.timers.pass(149);
    expect(harness.receiver.told).toEqual([]);
    await harness.timers.pass(1);
    expect(harness.receiver.told.map(({ at, events }) => [at - start, events])).toEqual([[250, harness.store.events]]);
    expect(await harness.deliveries()).toMatchObject([
      { webhookId: HOOK, shard: 0, status: 'DELIVERED', events: [], eventCount: 2, attempts: 1, lastStatus: 200 },
    ]);
  });

  it('when a hundred events are there, without waiting', async () => {
    const harness = await DeliveryHarness.atWork();
    for (let number = 0; number < 99; number++) await harness.logIn(userOf(0, number));
    await quiet();
    expect(harness.receiver.told).toEqual([]);
    await harness.logIn(userOf(0, 99));
    await quiet();
    expect(harness.receiver.told.map(({ events }) => events)).toEqual([harness.store.events]);
  });

  it('with the rest of a change that does not fit', async () => {
    const harness = await DeliveryHarness.atWork();
    // One event, and two with each login after it.
    await logInOften(harness, 60);
    await harness.timers.pass(250);
    expect(harness.receiver.told.map(({ events }) => events.length)).toEqual([101, 18]);
    expect(harness.receiver.events).toEqual(harness.store.events);
  });

  it('at once, if it has waited already', async () => {
    const harness = new DeliveryHarness();
    await harness.hook();
    await logInOften(harness, 3);
    await harness.timers.pass(60_000);
    harness.engine.start();
    await quiet();
    expect(harness.receiver.events).toEqual(harness.store.events);
  });

  it('and a quiet log is neither looked at nor written about', async () => {
    const harness = await DeliveryHarness.atWork();
    await harness.timers.pass(600_000);
    expect(harness.webhooks.notes).toEqual([]);
    expect(harness.receiver.told).toEqual([]);
  });
});

it('a delivery that was broken off is known by the same id when it is composed again, and no other is', async () => {
  const harness = await DeliveryHarness.atWork();
  harness.receiver.answer = hangs;
  await harness.logIn(userOf(0));
  await harness.logIn(userOf(1));
  await harness.timers.pass(250);
  const closing = harness.engine.close();
  await harness.timers.pass(2_000);
  await closing;
  const before = harness.receiver.told.splice(0).map(({ id }) => id);
  harness.receiver.answer = taken;
  harness.another().start();
  await quiet();
  expect(new Set(before).size).toBe(2);
  expect(harness.receiver.told.map(({ id }) => id)).toEqual(before);
  for (const id of before) expect(id).toMatch(/^msg_[\w-]{43}$/);
});

describe('what is not wanted', () => {
  it('is left out, and passed by', async () => {
    const harness = await DeliveryHarness.atWork({}, { reasons: ['KICKED'] });
    await logInOften(harness, 3);
    await harness.timers.pass(250);
    expect(harness.receiver.events.map(({ reason }) => reason)).toEqual(['KICKED', 'KICKED']);
    expect((await harness.deliveries()).map(({ eventCount }) => eventCount)).toEqual([2]);
  });

  it('is noted as passed within a minute, in one write however much it was', async () => {
    const harness = await DeliveryHarness.atWork({}, { reasons: ['REVOKED'] });
    for (let number = 0; number < 5; number++) {
      await harness.logIn(userOf(0, number));
      await harness.timers.pass(5_000);
    }
    expect(harness.webhooks.notes).toEqual([]);
    await harness.timers.pass(60_000);
    const ofShard = harness.webhooks.notes.filter(([lease]) => lease.shard === 0);
    expect(ofShard.map(([, progress]) => progress)).toEqual([{ position: harness.store.events.at(-1)?.cursor }]);
    await harness.timers.pass(600_000);
    expect(harness.webhooks.notes.filter(([lease]) => lease.shard === 0)).toHaveLength(1);
  });

  it('does not have the log looked at with every commit', async () => {
    const harness = await DeliveryHarness.atWork({}, { reasons: ['REVOKED'] });
    const { eventLog: log } = harness.store;
    const scan = log.scanEvents.bind(log);
    let scans = 0;
    Object.assign(log, { scanEvents: (query: EventLogScan) => (scans++, scan(query)) });
    for (let number = 0; number < 999; number++) await harness.logIn(userOf(0, number));
    await quiet();
    expect(scans).toBe(0);
    // Each shard comes along while it can be read from memory.
    await harness.logIn(userOf(0, 999));
    await quiet();
    expect(scans).toBe(8);
  });

  it('is what the webhook says now', async () => {
    const harness = await DeliveryHarness.atWork({}, { reasons: ['KICKED'] });
    await logInOften(harness, 2);
    // Before these were sent: what was not wanted then, and has been looked at by nobody, is wanted now.
    await harness.change({ reasons: ['LOGIN'] });
    await harness.timers.pass(250);
    expect(harness.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
    await harness.change({ reasons: ['KICKED'] });
    await harness.logIn(userOf(0));
    await harness.timers.pass(250);
    expect(harness.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN', 'KICKED']);
  });

  it('is what the webhook says when it is sent, though it said something else when it was looked for', async () => {
    const harness = await DeliveryHarness.atWork({}, { reasons: ['KICKED'] });
    await logInOften(harness, 2);
    const looking = harness.store.gates.hold('reading the log');
    await harness.timers.pass(250);
    await looking;
    await harness.change({ reasons: ['LOGIN'] });
    harness.store.gates.open('reading the log');
    await quiet();
    expect(harness.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
  });

  it('is what the webhook says in the moment in which a change of it was told, not when it was read', async () => {
    const harness = await DeliveryHarness.atWork({}, { reasons: ['KICKED'] });
    harness.webhooks.refused.set('webhooks', new Error('The store does not answer.'));
    await harness.change({ reasons: ['LOGIN'] });
    await logInOften(harness, 2);
    await harness.timers.pass(500);
    expect(harness.receiver.told).toEqual([]);
    harness.webhooks.refused.clear();
    await harness.timers.pass(5_000);
    expect(harness.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
  });
});

it('what is committed in a shard wakes nobody in another, and what somebody else wants is nothing to a webhook', async () => {
  const harness = await DeliveryHarness.atWork();
  await harness.hook({ id: OTHER_HOOK, reasons: ['LOGOUT'] });
  await quiet();
  const changes: CommittedChange[][] = [];
  harness.store.onCommit((committed) => changes.push([...committed]));
  const waits = harness.timers.waits;
  await harness.logIn(userOf(4));
  await quiet();
  expect(changes).toHaveLength(1);
  // One shard of one webhook waits anew, for the 250 ms.
  expect(harness.timers.waits - waits).toBe(1);
});
