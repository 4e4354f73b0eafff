import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toMillis } from '../../../../src/core/ids.ts';
import { TimerWheel } from '../../../../src/storage/memory/timer-wheel.ts';

const START = toMillis(1_767_225_600_000);
const TICK_MS = 100;
const RETRY_MS = 1_000;
const NO_LIMIT = 1_000_000;

/** A wheel of 8 ticks (800 ms). Slots are named by ids, in the order of their first use. */
const wheelOf8 = () => {
  const wheel = new TimerWheel(START, { tickMs: TICK_MS, tickCount: 8, retryMs: RETRY_MS });
  const ids: string[] = [];
  const slotOf = (id: string): number => (ids.includes(id) ? ids.indexOf(id) : ids.push(id) - 1);
  return {
    wheel,
    /** Number of slots examined so far. */
    examined: 0,
    set: (id: string, afterMs: number) => wheel.schedule(slotOf(id), toMillis(START + afterMs)),
    setIfEarlier: (id: string, afterMs: number) => wheel.scheduleEarliest(slotOf(id), toMillis(START + afterMs)),
    remove: (id: string) => wheel.cancel(slotOf(id)),
    take(afterMs: number, limit = NO_LIMIT, budget = NO_LIMIT) {
      const {
        slots,
        examinedCount: examined,
        hasMore: more,
      } = wheel.takeDueSlots(toMillis(START + afterMs), limit, budget);
      this.examined += examined;
      return { ids: slots.map((slot) => ids[slot]), more };
    },
    ids(afterMs: number): readonly (string | undefined)[] {
      return this.take(afterMs).ids;
    },
  };
};

describe('TimerWheel', () => {
  it('hands a slot out at most one tick after its deadline, never before', () => {
    for (let due = 0; due < 300; due += 7) {
      const wheel = wheelOf8();
      wheel.set('a', due);
      let taken: number | undefined;
      for (let now = 0; now <= due + TICK_MS && taken === undefined; now++) {
        if (wheel.ids(now).length > 0) taken = now;
      }
      expect(taken).toBeGreaterThanOrEqual(due);
      expect(taken).toBeLessThanOrEqual(due + TICK_MS);
    }
  });

  it('examines a slot only at its old deadline, so that a later deadline costs nothing', () => {
    const wheel = wheelOf8();
    wheel.set('a', 200);
    for (let beat = 0; beat < 150; beat++) wheel.set('a', 200 + beat);
    wheel.set('a', 550);
    expect(wheel.ids(200)).toEqual([]);
    expect(wheel.examined).toBe(0);
    expect(wheel.ids(300)).toEqual([]);
    expect(wheel.examined).toBe(1);
    expect(wheel.ids(549)).toEqual([]);
    expect(wheel.examined).toBe(1);
    expect(wheel.ids(600)).toEqual(['a']);
  });

  it('follows a deadline that moves earlier, and leaves no entry behind', () => {
    const wheel = wheelOf8();
    wheel.set('a', 650);
    wheel.set('a', 250);
    expect(wheel.ids(300)).toEqual(['a']);
    wheel.set('a', 5_000);
    const { examined } = wheel;
    expect(wheel.ids(750)).toEqual([]);
    expect(wheel.examined).toBe(examined);
  });

  it('schedules a slot for the earliest of several deadlines', () => {
    const wheel = wheelOf8();
    wheel.setIfEarlier('a', 450);
    wheel.setIfEarlier('a', 250);
    wheel.setIfEarlier('a', 350);
    expect(wheel.ids(249)).toEqual([]);
    expect(wheel.ids(300)).toEqual(['a']);
  });

  it('hands a slot out once although it was scheduled twice for the same tick', () => {
    const wheel = wheelOf8();
    wheel.set('a', 650);
    wheel.set('a', 150);
    wheel.set('a', 650);
    // Examined at 200 ms, and moved to the tick of its first entry.
    expect(wheel.ids(200)).toEqual([]);
    expect(wheel.ids(700)).toEqual(['a']);
  });

  it('finds deadlines beyond its ring', () => {
    const wheel = wheelOf8();
    wheel.set('a', 10_050);
    for (let now = 0; now < 10_050; now += 50) expect(wheel.ids(now)).toEqual([]);
    expect(wheel.ids(10_100)).toEqual(['a']);
  });

  it('hands out the earliest slots first after a pause longer than its ring', () => {
    const wheel = wheelOf8();
    const order = ['d', 'b', 'a', 'c', 'later'];
    const at: Record<string, number> = { a: 100, b: 700, c: 1_900, d: 4_000, later: 1_000_000 };
    for (const id of order) wheel.set(id, at[id] ?? 0);
    expect(wheel.ids(999_950)).toEqual(['a', 'b', 'c', 'd']);
    expect(wheel.ids(1_000_100)).toEqual(['later']);
  });

  it('hands a slot out again only after it is scheduled or the retry time has passed', () => {
    const wheel = wheelOf8();
    wheel.set('a', 100);
    expect(wheel.ids(200)).toEqual(['a']);
    for (let now = 200; now < 200 + RETRY_MS; now += 10) expect(wheel.ids(now)).toEqual([]);
    expect(wheel.ids(200 + RETRY_MS + TICK_MS)).toEqual(['a']);
    // Scheduled again and still due: it does not wait for the retry time.
    wheel.set('a', 100);
    expect(wheel.ids(1_500)).toEqual(['a']);
  });

  it('keeps a claim through a long pause', () => {
    const wheel = wheelOf8();
    wheel.set('a', 100);
    expect(wheel.ids(200)).toEqual(['a']);
    wheel.set('b', 1_100);
    // 'a' was claimed at 200 ms, so it is held back until 1,200 ms.
    expect(wheel.ids(1_199)).toEqual(['b']);
    expect(wheel.ids(1_300)).toEqual(['a']);
  });

  it('hands out no more slots than requested, and the rest at the next call', () => {
    const wheel = wheelOf8();
    for (let index = 0; index < 10; index++) wheel.set(`id ${index}`, 150);
    const first = wheel.take(200, 4);
    const second = wheel.take(200, 4);
    const third = wheel.take(200, 4);
    expect([first.ids.length, second.ids.length, third.ids.length]).toEqual([4, 4, 2]);
    expect([first.more, second.more, third.more]).toEqual([true, true, false]);
    expect(new Set([...first.ids, ...second.ids, ...third.ids]).size).toBe(10);
  });

  it('examines no more slots than allowed, due or not', () => {
    const wheel = wheelOf8();
    for (let index = 0; index < 10; index++) {
      wheel.set(`id ${index}`, 150);
      wheel.set(`id ${index}`, 700);
    }
    wheel.set('due', 150);
    let rounds = 0;
    const ids: (string | undefined)[] = [];
    for (let more = true; more; rounds++) {
      const taken = wheel.take(200, NO_LIMIT, 3);
      ids.push(...taken.ids);
      more = taken.more;
    }
    expect(ids).toEqual(['due']);
    expect(rounds).toBe(4);
  });

  it('does not hand out a slot that was cancelled, at any position of its list', () => {
    for (const out of [['a'], ['b'], ['c'], ['a', 'b'], ['b', 'a'], ['c', 'b'], ['a', 'c', 'b']]) {
      const wheel = wheelOf8();
      for (const id of ['a', 'b', 'c']) wheel.set(id, 150);
      for (const id of [...out, ...out, 'never armed']) wheel.remove(id);
      expect(wheel.wheel.scheduledCount).toBe(3 - out.length);
      expect(wheel.ids(200)).toEqual(['a', 'b', 'c'].filter((id) => !out.includes(id)));
    }
  });

  it('grows to the number of slots', () => {
    const wheel = wheelOf8();
    const ids = Array.from({ length: 5_000 }, (_, index) => `id ${index}`);
    for (const id of ids) wheel.set(id, 150);
    expect(wheel.ids(200)).toEqual(ids);
  });

  it('hands out every slot at most one tick late and never early, in any sequence of operations', () => {
    const id = fc.nat(2);
    const op = fc.oneof(
      fc.record({ arm: id, inMs: fc.oneof(fc.nat(300), fc.nat(5_000)) }),
      fc.record({ disarm: id }),
      fc.record({ pass: fc.oneof(fc.nat(99), fc.nat(3_000)) }),
    );
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
        const wheel = new TimerWheel(START, { tickMs: TICK_MS, tickCount: 8, retryMs: RETRY_MS });
        const deadlines = new Map<number, number>();
        const claimedAt = new Map<number, number>();
        let now: number = START;
        for (const each of ops) {
          if ('arm' in each) {
            deadlines.set(each.arm, now + each.inMs);
            claimedAt.delete(each.arm);
            wheel.schedule(each.arm, toMillis(now + each.inMs));
          } else if ('disarm' in each) {
            deadlines.delete(each.disarm);
            claimedAt.delete(each.disarm);
            wheel.cancel(each.disarm);
          } else now += each.pass;
          const { slots: ids, hasMore: more } = wheel.takeDueSlots(toMillis(now), NO_LIMIT, NO_LIMIT);
          expect(more).toBe(false);
          expect(new Set(ids).size).toBe(ids.length);
          for (const [who, at] of deadlines) {
            const due = Math.max(at, (claimedAt.get(who) ?? -Infinity) + RETRY_MS);
            if (ids.includes(who)) expect(now).toBeGreaterThanOrEqual(due);
            else expect(now).toBeLessThan(due + TICK_MS);
          }
          for (const who of ids) claimedAt.set(who, now);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
