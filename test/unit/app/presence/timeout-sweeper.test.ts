import { beforeEach, describe, expect, it, vi } from 'vitest';
import { TimeoutSweeper, type TimeoutSweeperLimits } from '../../../../src/app/presence/timeout-sweeper.ts';
import { DomainError } from '../../../../src/core/errors.ts';
import { parseUserId, type UserId } from '../../../../src/core/ids.ts';
import { AppHarness } from '../support/app-harness.ts';
import { errorOf, isPending, settled } from '../support/waiting.ts';

let harness: AppHarness;
let failures: { readonly userId: UserId; readonly error: unknown }[];

beforeEach(() => {
  harness = new AppHarness();
  failures = [];
});

const sweeper = (limits?: TimeoutSweeperLimits) =>
  new TimeoutSweeper(harness.store, harness.tracker, (id, error) => failures.push({ userId: id, error }), limits);

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'].map(parseUserId);

/** All are logged in on a platform that cannot be PUSH_ONLINE, and have been silent for just too long. */
const allDue = async () => {
  for (const name of NAMES) await harness.login(name, 'WEB');
  harness.store.passes(60_000);
};

const swept = () => NAMES.filter((name) => harness.store.user(name).status === 'OFFLINE');

describe('a tick of the sweeper', () => {
  it('expires every due user, and no other', async () => {
    await allDue();
    await harness.login(parseUserId('just now'), 'WEB');
    await sweeper().sweep();
    expect(swept()).toEqual(NAMES);
    expect(harness.store.user(parseUserId('just now')).status).toBe('ONLINE');
    expect(harness.store.events.slice(-NAMES.length).map(({ reason }) => reason)).toEqual(
      NAMES.map(() => 'HEARTBEAT_TIMEOUT'),
    );
  });

  it('expires no user because of a process pause', async () => {
    await allDue();
    await harness.login(parseUserId('silent'), 'WEB');
    harness.store.passes(20_000);
    harness.store.pauseProcess(600_000);
    await sweeper().sweep();
    expect(swept()).toEqual(NAMES);
    expect(harness.store.user(parseUserId('silent')).status).toBe('ONLINE');
    harness.store.passes(40_000);
    await sweeper().sweep();
    expect(harness.store.user(parseUserId('silent')).status).toBe('OFFLINE');
  });

  it('does nothing when no user is due', async () => {
    await sweeper().sweep();
    expect(harness.store.events).toEqual([]);
  });

  it('takes a bounded portion at a time, until no user is due', async () => {
    await allDue();
    const asked = vi.spyOn(harness.store, 'claimDueUsers');
    await sweeper({ claimSize: 4, batchSize: 2, maxPendingBatches: 2 }).sweep();
    expect(swept()).toEqual(NAMES);
    expect(asked.mock.calls).toEqual([[4], [4], [4]]);
  });

  it('expires several portions in the order of user ids, and a single one in the order of deadlines', async () => {
    for (const name of [...NAMES].reverse()) {
      await harness.login(name, 'WEB');
      harness.store.passes(1);
    }
    const updateUsers = vi.spyOn(harness.store, 'updateUsers');
    harness.store.passes(60_000);
    await sweeper({ claimSize: 4, batchSize: 2, maxPendingBatches: 2 }).sweep();
    expect(updateUsers.mock.calls.map(([ids]) => ids)).toEqual([
      ['c', 'd'],
      ['e', 'f'],
      ['b', 'a'],
    ]);
  });

  it('resolves when the users it took have expired', async () => {
    await allDue();
    void harness.store.gates.hold('before answering');
    const tick = sweeper().sweep();
    expect(await isPending(tick)).toBe(true);
    harness.store.gates.open('before answering');
    await tick;
  });
});

describe('a tick while changes are not on disk yet', () => {
  it('takes no more users until the first portion of changes is on disk', async () => {
    await allDue();
    const small = sweeper({ claimSize: 6, batchSize: 2, maxPendingBatches: 2 });
    void harness.store.gates.hold('before answering');
    const tick = small.sweep();
    await settled();
    expect(swept()).toHaveLength(4);
    harness.store.gates.open('before answering');
    await tick;
    expect(swept()).toEqual(NAMES);
  });

  it('returns the tick that is running', async () => {
    await allDue();
    const small = sweeper();
    void harness.store.gates.hold('before reading');
    const ticks = [small.sweep(), small.sweep(), small.sweep()];
    harness.store.gates.open('before reading');
    await Promise.all(ticks);
    expect(swept()).toEqual(NAMES);
    expect(harness.store.events).toHaveLength(2 * NAMES.length);
  });

  it('takes no users once it is stopped, and the users it took have expired', async () => {
    await allDue();
    const small = sweeper({ claimSize: 6, batchSize: 2, maxPendingBatches: 1 });
    void harness.store.gates.hold('before answering');
    const tick = small.sweep();
    await settled();
    small.stop();
    harness.store.gates.open('before answering');
    await tick;
    await small.sweep();
    expect(swept()).toEqual(NAMES.slice(0, 2));
  });
});

describe('a failure of the sweeper', () => {
  it('for one user is reported and does not stop the others', async () => {
    await allDue();
    const failure = new Error('disk full');
    harness.store.gates.fail('before deciding', failure);
    await sweeper().sweep();
    expect(failures).toEqual([{ userId: NAMES[0], error: failure }]);
    expect(swept()).toEqual(NAMES.slice(1));
  });

  it('frees its place in the portion', async () => {
    await allDue();
    harness.store.gates.fail('before deciding', new Error('disk full'));
    await sweeper({ claimSize: 6, batchSize: 1, maxPendingBatches: 1 }).sweep();
    expect(failures).toHaveLength(1);
    expect(swept()).toEqual(NAMES.slice(1));
  });

  it('of the store is reported for each user that was taken', async () => {
    await allDue();
    const failure = new Error('closed');
    vi.spyOn(harness.store, 'updateUsers').mockRejectedValueOnce(failure);
    await sweeper({ claimSize: 6, batchSize: 2, maxPendingBatches: 1 }).sweep();
    expect(failures).toEqual(NAMES.slice(0, 2).map((name) => ({ userId: name, error: failure })));
    expect(swept()).toEqual(NAMES.slice(2));
  });

  it('that refuses every write (the disk is full) tries no further user', async () => {
    await allDue();
    const full = new DomainError({ code: 'OVERLOADED', retryAfterMs: 1_000 }, 'The disk is full.');
    const updateUsers = vi
      .spyOn(harness.store, 'updateUsers')
      .mockImplementation(async (ids) => ids.map((id) => ({ userId: id, error: full })));
    const small = sweeper({ claimSize: 6, batchSize: 2, maxPendingBatches: 1 });
    await small.sweep();
    expect(updateUsers).toHaveBeenCalledTimes(1);
    updateUsers.mockRestore();
    // As the store promises: users that did not expire are handed out again.
    harness.store.passes(1_000);
    await small.sweep();
    expect(swept()).toEqual(NAMES);
  });

  it('to read the due users rejects the tick, and the next tick reads again', async () => {
    await allDue();
    const small = sweeper();
    const failure = new Error('disk full');
    harness.store.gates.fail('before reading', failure);
    expect(await errorOf(small.sweep())).toBe(failure);
    await small.sweep();
    expect(swept()).toEqual(NAMES);
    expect(failures).toEqual([]);
  });
});
