/** What goes into one delivery, and when it is sent. */
import { describe, expect, it } from 'vitest';
import type { CommittedChange, LogScan } from '../../../../src/app/ports/presence-store.ts';
import { hangs, taken } from '../support/receiver.ts';
import { OTHER_HOOK, Stand, userOf, HOOK } from '../support/delivery-harness.ts';
import { quiet } from '../support/virtual-timers.ts';

const logInOften = async (stand: Stand, times: number, user = userOf(0)): Promise<void> => {
  for (let time = 0; time < times; time++) await stand.logIn(user);
};

describe('what is committed is delivered', () => {
  it('250 ms after the first of it at the latest', async () => {
    const stand = await Stand.atWork();
    const start = stand.store.now();
    await stand.logIn(userOf(0));
    await stand.timers.pass(100);
    await stand.logIn(userOf(0, 1));
    await stand.timers.pass(149);
    expect(stand.receiver.told).toEqual([]);
    await stand.timers.pass(1);
    expect(stand.receiver.told.map(({ at, events }) => [at - start, events])).toEqual([[250, stand.store.events]]);
    expect(await stand.deliveries()).toMatchObject([
      { webhookId: HOOK, shard: 0, status: 'DELIVERED', events: [], eventCount: 2, attempts: 1, lastStatus: 200 },
    ]);
  });

  it('when a hundred events are there, without waiting', async () => {
    const stand = await Stand.atWork();
    for (let number = 0; number < 99; number++) await stand.logIn(userOf(0, number));
    await quiet();
    expect(stand.receiver.told).toEqual([]);
    await stand.logIn(userOf(0, 99));
    await quiet();
    expect(stand.receiver.told.map(({ events }) => events)).toEqual([stand.store.events]);
  });

  it('with the rest of a change that does not fit', async () => {
    const stand = await Stand.atWork();
    // One event, and two with each login after it.
    await logInOften(stand, 60);
    await stand.timers.pass(250);
    expect(stand.receiver.told.map(({ events }) => events.length)).toEqual([101, 18]);
    expect(stand.receiver.events).toEqual(stand.store.events);
  });

  it('at once, if it has waited already', async () => {
    const stand = new Stand();
    await stand.hook();
    await logInOften(stand, 3);
    await stand.timers.pass(60_000);
    stand.engine.start();
    await quiet();
    expect(stand.receiver.events).toEqual(stand.store.events);
  });

  it('and a quiet log is neither looked at nor written about', async () => {
    const stand = await Stand.atWork();
    await stand.timers.pass(600_000);
    expect(stand.webhooks.notes).toEqual([]);
    expect(stand.receiver.told).toEqual([]);
  });
});

it('a delivery that was broken off is known by the same id when it is composed again, and no other is', async () => {
  const stand = await Stand.atWork();
  stand.receiver.answer = hangs;
  await stand.logIn(userOf(0));
  await stand.logIn(userOf(1));
  await stand.timers.pass(250);
  const closing = stand.engine.close();
  await stand.timers.pass(2_000);
  await closing;
  const before = stand.receiver.told.splice(0).map(({ id }) => id);
  stand.receiver.answer = taken;
  stand.another().start();
  await quiet();
  expect(new Set(before).size).toBe(2);
  expect(stand.receiver.told.map(({ id }) => id)).toEqual(before);
  for (const id of before) expect(id).toMatch(/^msg_[\w-]{43}$/);
});

describe('what is not wanted', () => {
  it('is left out, and passed by', async () => {
    const stand = await Stand.atWork({}, { reasons: ['KICKED'] });
    await logInOften(stand, 3);
    await stand.timers.pass(250);
    expect(stand.receiver.events.map(({ reason }) => reason)).toEqual(['KICKED', 'KICKED']);
    expect((await stand.deliveries()).map(({ eventCount }) => eventCount)).toEqual([2]);
  });

  it('is noted as passed within a minute, in one write however much it was', async () => {
    const stand = await Stand.atWork({}, { reasons: ['REVOKED'] });
    for (let number = 0; number < 5; number++) {
      await stand.logIn(userOf(0, number));
      await stand.timers.pass(5_000);
    }
    expect(stand.webhooks.notes).toEqual([]);
    await stand.timers.pass(60_000);
    const ofShard = stand.webhooks.notes.filter(([lease]) => lease.shard === 0);
    expect(ofShard.map(([, progress]) => progress)).toEqual([{ position: stand.store.events.at(-1)?.cursor }]);
    await stand.timers.pass(600_000);
    expect(stand.webhooks.notes.filter(([lease]) => lease.shard === 0)).toHaveLength(1);
  });

  it('does not have the log looked at with every commit', async () => {
    const stand = await Stand.atWork({}, { reasons: ['REVOKED'] });
    const { log } = stand.store;
    const scan = log.scan.bind(log);
    let scans = 0;
    Object.assign(log, { scan: (query: LogScan) => (scans++, scan(query)) });
    for (let number = 0; number < 999; number++) await stand.logIn(userOf(0, number));
    await quiet();
    expect(scans).toBe(0);
    // Each shard comes along while it can be read from memory.
    await stand.logIn(userOf(0, 999));
    await quiet();
    expect(scans).toBe(8);
  });

  it('is what the webhook says now', async () => {
    const stand = await Stand.atWork({}, { reasons: ['KICKED'] });
    await logInOften(stand, 2);
    // Before these were sent: what was not wanted then, and has been looked at by nobody, is wanted now.
    await stand.change({ reasons: ['LOGIN'] });
    await stand.timers.pass(250);
    expect(stand.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
    await stand.change({ reasons: ['KICKED'] });
    await stand.logIn(userOf(0));
    await stand.timers.pass(250);
    expect(stand.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN', 'KICKED']);
  });

  it('is what the webhook says when it is sent, though it said something else when it was looked for', async () => {
    const stand = await Stand.atWork({}, { reasons: ['KICKED'] });
    await logInOften(stand, 2);
    const looking = stand.store.gates.hold('reading the log');
    await stand.timers.pass(250);
    await looking;
    await stand.change({ reasons: ['LOGIN'] });
    stand.store.gates.open('reading the log');
    await quiet();
    expect(stand.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
  });

  it('is what the webhook says in the moment in which a change of it was told, not when it was read', async () => {
    const stand = await Stand.atWork({}, { reasons: ['KICKED'] });
    stand.webhooks.refused.set('webhooks', new Error('The store does not answer.'));
    await stand.change({ reasons: ['LOGIN'] });
    await logInOften(stand, 2);
    await stand.timers.pass(500);
    expect(stand.receiver.told).toEqual([]);
    stand.webhooks.refused.clear();
    await stand.timers.pass(5_000);
    expect(stand.receiver.events.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN']);
  });
});

it('what is committed in a shard wakes nobody in another, and what somebody else wants is nothing to a webhook', async () => {
  const stand = await Stand.atWork();
  await stand.hook({ id: OTHER_HOOK, reasons: ['LOGOUT'] });
  await quiet();
  const changes: CommittedChange[][] = [];
  stand.store.onCommit((committed) => changes.push([...committed]));
  const waits = stand.timers.waits;
  await stand.logIn(userOf(4));
  await quiet();
  expect(changes).toHaveLength(1);
  // One shard of one webhook waits anew, for the 250 ms.
  expect(stand.timers.waits - waits).toBe(1);
});
