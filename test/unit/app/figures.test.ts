/** What the use cases count of themselves, for whoever watches over the server. */
import { beforeEach, describe, expect, it } from 'vitest';
import { Sweeper } from '../../../src/app/presence/timeout-sweeper.ts';
import { Tracker } from '../../../src/app/presence/tracker.ts';
import type { Tally } from '../../../src/app/shared/histogram.ts';
import { Watchers } from '../../../src/app/presence/status-watchers.ts';
import { ALICE, BOB, HTTP, AppHarness } from './support/app-harness.ts';

let harness: AppHarness;
beforeEach(() => {
  harness = new AppHarness();
});

const count = ({ counts }: Tally): number => counts.reduce((all, many) => all + many, 0);
const fail = (): void => {
  throw new Error('Nothing was to fail.');
};

describe('the tracker counts', () => {
  it('heartbeats and other signs of life', async () => {
    const ref = await harness.session();
    await harness.tracker.heartbeat(ref, null, null);
    await harness.tracker.life(ref, HTTP);
    await harness.tracker.life(ref, HTTP);
    expect([harness.tracker.heartbeats, harness.tracker.signsOfLife]).toEqual([1, 2]);
  });

  it('how late those are woken who are due, and nobody else', async () => {
    await harness.login(ALICE, 'WEB');
    harness.store.passes(40_000);
    await harness.login(BOB, 'WEB');
    harness.store.passes(20_030);
    await harness.tracker.wake([ALICE, BOB]);
    expect([count(harness.tracker.lateness), harness.tracker.lateness.sum]).toEqual([1, 30]);
  });

  it('no time in which there was no server', async () => {
    await harness.login(ALICE, 'WEB');
    harness.store.passes(86_400_000);
    const { newSession, newDeviceId } = { newSession: fail as never, newDeviceId: fail as never };
    const later = new Tracker(harness.store, { newSession, newDeviceId });
    harness.store.passes(5);
    await later.wake([ALICE]);
    expect([count(later.lateness), later.lateness.sum]).toEqual([1, 5]);
  });
});

it('the sweeper counts those it has taken and not woken', async () => {
  for (const user of [ALICE, BOB]) await harness.login(user, 'WEB');
  harness.store.passes(60_000);
  const sweeper = new Sweeper(harness.store, harness.tracker, fail, { claim: 2, portion: 1, underWay: 1 });
  const reached = harness.store.gates.hold('before deciding');
  const sweep = sweeper.tick();
  await reached;
  expect(sweeper.backlog).toBe(1);
  harness.store.gates.open('before deciding');
  await sweep;
  expect(sweeper.backlog).toBe(0);
});

describe('watchers are counted', () => {
  it('as long as they watch', () => {
    const watchers = new Watchers(harness.store);
    const [one, other] = [watchers.watch([ALICE]), watchers.watch([])];
    expect(watchers.count).toBe(2);
    one.closed();
    other.closed();
    expect(watchers.count).toBe(0);
  });

  it('with what they are told, how long after it was committed, and what is left out', async () => {
    const watchers = new Watchers(harness.store);
    const [prompt, slow] = [watchers.watch([ALICE, BOB]), watchers.watch([ALICE])];
    for (const watcher of [prompt, slow]) await watcher.present();
    const ref = await harness.session(ALICE);
    await harness.session(BOB);
    harness.store.passes(7);
    prompt.changes();
    expect([watchers.told, watchers.conflated, watchers.delays.sum]).toEqual([2, 0, 7]);
    await harness.tracker.setCustomStatus(ref, 'later');
    harness.store.passes(100);
    slow.changes();
    // The oldest is what counts, though it is the newest that is told.
    expect([watchers.told, watchers.conflated, watchers.delays.sum]).toEqual([3, 1, 114]);
  });

  it('also when the list of what is untold is gone through before she reads', async () => {
    const watchers = new Watchers(harness.store);
    const watcher = watchers.watch([ALICE]);
    await watcher.present();
    const ref = await harness.session(ALICE);
    for (let text = 1; text <= 9; text++) await harness.tracker.setCustomStatus(ref, `${text}`);
    watcher.changes();
    expect([watchers.told, watchers.conflated]).toEqual([1, 9]);
  });
});
