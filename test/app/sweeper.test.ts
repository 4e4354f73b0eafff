import { beforeEach, describe, expect, it } from 'vitest';
import { Sweeper, type SweeperLimits } from '../../src/app/sweeper.ts';
import { userId, type UserId } from '../../src/core/ids.ts';
import { Stage } from './stage.ts';
import { errorOf, isPending, settled } from './waiting.ts';

let stage: Stage;
let failures: { readonly userId: UserId; readonly error: unknown }[];

beforeEach(() => {
  stage = new Stage();
  failures = [];
});

const sweeper = (limits?: SweeperLimits) =>
  new Sweeper(stage.store, stage.tracker, (id, error) => failures.push({ userId: id, error }), limits);

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f'].map(userId);

/** All logged in on a platform that ends when it is silent, and silent for just too long. */
const allDue = async () => {
  for (const name of NAMES) await stage.login(name, 'WEB');
  stage.store.passes(60_000);
};

const swept = () => NAMES.filter((name) => stage.store.user(name).status === 'OFFLINE');

describe('a tick', () => {
  it('wakes whoever is due, and nobody else', async () => {
    await allDue();
    await stage.login(userId('just now'), 'WEB');
    await sweeper().tick();
    expect(swept()).toEqual(NAMES);
    expect(stage.store.user(userId('just now')).status).toBe('ONLINE');
    expect(stage.store.events.slice(-NAMES.length).map(({ reason }) => reason)).toEqual(
      NAMES.map(() => 'HEARTBEAT_TIMEOUT'),
    );
  });

  it('does nothing when nobody is due', async () => {
    await sweeper().tick();
    expect(stage.store.events).toEqual([]);
  });

  it('takes no more than its limit', async () => {
    await allDue();
    const small = sweeper({ perTick: 4, underWay: 100 });
    await small.tick();
    expect(swept()).toHaveLength(4);
    await small.tick();
    expect(swept()).toEqual(NAMES);
  });

  it('resolves when those taken are woken', async () => {
    await allDue();
    void stage.store.gates.hold('before answering');
    const tick = sweeper().tick();
    expect(await isPending(tick)).toBe(true);
    stage.store.gates.open('before answering');
    await tick;
  });
});

describe('ticks that overlap', () => {
  it('wake each user once, together', async () => {
    await allDue();
    const small = sweeper({ perTick: 4, underWay: 100 });
    await Promise.all([small.tick(), small.tick(), small.tick()]);
    expect(swept()).toEqual(NAMES);
    expect(stage.store.events).toHaveLength(2 * NAMES.length);
  });

  it('leave the rest for later while too many changes are under way', async () => {
    await allDue();
    const small = sweeper({ perTick: 4, underWay: 5 });
    void stage.store.gates.hold('before answering');
    const first = small.tick();
    await settled();
    expect(swept()).toHaveLength(4);
    const second = small.tick();
    await settled();
    expect(swept()).toHaveLength(5);
    await small.tick();
    expect(swept()).toHaveLength(5);
    stage.store.gates.open('before answering');
    await Promise.all([first, second]);
    await small.tick();
    expect(swept()).toEqual(NAMES);
  });

  it('do not take too many together while the store looks who is due', async () => {
    await allDue();
    const small = sweeper({ perTick: 4, underWay: 5 });
    void stage.store.gates.hold('before reading');
    void stage.store.gates.hold('before answering');
    const ticks = [small.tick(), small.tick(), small.tick()];
    stage.store.gates.open('before reading');
    await settled();
    expect(swept()).toHaveLength(5);
    stage.store.gates.open('before answering');
    await Promise.all(ticks);
    await small.tick();
    expect(swept()).toEqual(NAMES);
  });
});

describe('a failure', () => {
  it('of one wake is reported and stops no other', async () => {
    await allDue();
    const failure = new Error('disk full');
    stage.store.gates.fail('before deciding', failure);
    const small = sweeper({ perTick: 6, underWay: 6 });
    await small.tick();
    expect(failures).toEqual([{ userId: NAMES[0], error: failure }]);
    expect(swept()).toEqual(NAMES.slice(1));
  });

  it('gives its place back', async () => {
    await allDue();
    const small = sweeper({ perTick: 1, underWay: 1 });
    stage.store.gates.fail('before deciding', new Error('disk full'));
    await small.tick();
    expect(failures).toHaveLength(1);
    for (const _ of NAMES.slice(1)) await small.tick();
    expect(swept()).toEqual(NAMES.slice(1));
  });

  it('to look who is due is the tick’s own, and the next looks again', async () => {
    await allDue();
    const small = sweeper({ perTick: 6, underWay: 6 });
    const failure = new Error('disk full');
    stage.store.gates.fail('before reading', failure);
    expect(await errorOf(small.tick())).toBe(failure);
    await small.tick();
    expect(swept()).toEqual(NAMES);
    expect(failures).toEqual([]);
  });
});
