/** The counters of the use cases, for the metrics. */
import { beforeEach, describe, expect, it } from 'vitest';
import { TimeoutSweeper } from '../../../src/app/presence/timeout-sweeper.ts';
import { PresenceTracker } from '../../../src/app/presence/tracker.ts';
import type { Histogram } from '../../../src/app/shared/histogram.ts';
import { StatusWatchers } from '../../../src/app/presence/status-watchers.ts';
import { ALICE, BOB, HTTP, AppHarness } from './support/app-harness.ts';

let harness: AppHarness;
beforeEach(() => {
  harness = new AppHarness();
});

const count = ({ counts }: Histogram): number => counts.reduce((all, many) => all + many, 0);
const fail = (): void => {
  throw new Error('Nothing was to fail.');
};

describe('the tracker counts', () => {
  it('heartbeats and other activity', async () => {
    const ref = await harness.session();
    await harness.tracker.recordHeartbeat(ref, null, null);
    await harness.tracker.recordActivity(ref, HTTP);
    await harness.tracker.recordActivity(ref, HTTP);
    expect([harness.tracker.heartbeatCount, harness.tracker.activityCount]).toEqual([1, 2]);
  });

  it('how late each due user expires, and no other user', async () => {
    await harness.login(ALICE, 'WEB');
    harness.store.passes(40_000);
    await harness.login(BOB, 'WEB');
    harness.store.passes(20_030);
    await harness.tracker.expireDueUsers([ALICE, BOB]);
    expect([count(harness.tracker.timeoutLateness), harness.tracker.timeoutLateness.sum]).toEqual([1, 30]);
  });

  it('no time in which the server did not run', async () => {
    await harness.login(ALICE, 'WEB');
    harness.store.passes(86_400_000);
    const { newSession, newDeviceId } = { newSession: fail as never, newDeviceId: fail as never };
    const later = new PresenceTracker(harness.store, {
      createSessionCredentials: newSession,
      createDeviceId: newDeviceId,
    });
    harness.store.passes(5);
    await later.expireDueUsers([ALICE]);
    expect([count(later.timeoutLateness), later.timeoutLateness.sum]).toEqual([1, 5]);
  });
});

it('the sweeper counts the users that it has taken and not expired yet', async () => {
  for (const user of [ALICE, BOB]) await harness.login(user, 'WEB');
  harness.store.passes(60_000);
  const sweeper = new TimeoutSweeper(harness.store, harness.tracker, fail, {
    claimSize: 2,
    batchSize: 1,
    maxPendingBatches: 1,
  });
  const reached = harness.store.gates.hold('before deciding');
  const sweep = sweeper.sweep();
  await reached;
  expect(sweeper.backlog).toBe(1);
  harness.store.gates.open('before deciding');
  await sweep;
  expect(sweeper.backlog).toBe(0);
});

describe('watchers are counted', () => {
  it('for as long as they watch', () => {
    const watchers = new StatusWatchers(harness.store);
    const [one, other] = [watchers.watchUsers([ALICE]), watchers.watchUsers([])];
    expect(watchers.watcherCount).toBe(2);
    one.onClosed();
    other.onClosed();
    expect(watchers.watcherCount).toBe(0);
  });

  it('with their delivered changes, the delay since the commit, and the conflated changes', async () => {
    const watchers = new StatusWatchers(harness.store);
    const [prompt, slow] = [watchers.watchUsers([ALICE, BOB]), watchers.watchUsers([ALICE])];
    for (const watcher of [prompt, slow]) await watcher.takeSnapshot();
    const ref = await harness.session(ALICE);
    await harness.session(BOB);
    harness.store.passes(7);
    prompt.takeChanges();
    expect([watchers.deliveredCount, watchers.conflatedCount, watchers.deliveryDelays.sum]).toEqual([2, 0, 7]);
    await harness.tracker.setCustomStatus(ref, 'later');
    harness.store.passes(100);
    slow.takeChanges();
    // The delay is that of the oldest change, although the newest one is delivered.
    expect([watchers.deliveredCount, watchers.conflatedCount, watchers.deliveryDelays.sum]).toEqual([3, 1, 114]);
  });

  it('also when the pending changes are conflated before the watcher reads', async () => {
    const watchers = new StatusWatchers(harness.store);
    const watcher = watchers.watchUsers([ALICE]);
    await watcher.takeSnapshot();
    const ref = await harness.session(ALICE);
    for (let text = 1; text <= 9; text++) await harness.tracker.setCustomStatus(ref, `${text}`);
    watcher.takeChanges();
    expect([watchers.deliveredCount, watchers.conflatedCount]).toEqual([1, 9]);
  });
});
