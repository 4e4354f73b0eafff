import { afterEach, expect, it, vi } from 'vitest';
import { StoreClock } from '../../../src/storage/clock.ts';

const START = 1_767_225_600_000;

afterEach(() => vi.restoreAllMocks());

/** A clock and the time that it reads. */
const made = () => {
  const wall = vi.spyOn(Date, 'now').mockReturnValue(START);
  const monotonic = vi.spyOn(performance, 'now').mockReturnValue(500.25);
  const clock = new StoreClock();
  let at = 500.25;
  const pass = (ms: number) => void monotonic.mockReturnValue((at += ms));
  /** The event loop turns for so long. */
  const turn = (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      pass(Math.min(left, 50));
      clock.detectPause();
    }
  };
  const slept = () => clock.getProcessPauses().map(({ from, until }) => [from - START, until - START]);
  return { wall, clock, pass, turn, slept };
};

it('the store’s time is the wall clock read once, and monotonic time from then on', () => {
  const { wall, clock, pass } = made();
  expect(clock.now()).toBe(START);
  pass(1_000.5);
  expect(clock.now()).toBe(START + 1_000);
  // Somebody sets the wall clock, a year ahead and then back.
  wall.mockReturnValue(START + 31_536_000_000);
  expect(clock.now()).toBe(START + 1_000);
  wall.mockReturnValue(0);
  pass(0.5);
  expect(clock.now()).toBe(START + 1_001);
});

it('a clock that ticks has not slept, nor one that is late by no more than a timeout may be', () => {
  const { clock, pass, turn, slept } = made();
  turn(10_000);
  pass(950);
  clock.now();
  turn(5_000);
  expect(slept()).toEqual([]);
});

it('whoever reads the time after a sleep knows of it, before any tick', () => {
  const { clock, pass, turn, slept } = made();
  turn(2_000);
  pass(60_000);
  expect(slept()).toEqual([]);
  clock.now();
  expect(slept()).toEqual([[2_000, 62_000]]);
  turn(2_000);
  expect(slept()).toEqual([[2_000, 62_000]]);
});

it('an event loop that is blocked sleeps, however often somebody reads the time meanwhile', () => {
  const { clock, pass, turn, slept } = made();
  turn(2_000);
  for (let asked = 0; asked < 100; asked++) {
    pass(100);
    clock.now();
  }
  clock.detectPause();
  const [[from = 0, until = 0] = []] = slept();
  expect(slept()).toHaveLength(1);
  expect(from).toBe(2_000);
  expect(until).toBeGreaterThan(11_000);
});

it('a start that takes long is a sleep: nobody is let in before it is over', () => {
  const { pass, turn, slept } = made();
  pass(4_000);
  turn(50);
  expect(slept()).toEqual([[0, 4_050]]);
});

it('a tick says for how long there was none, whoever has read the time meanwhile', () => {
  const { clock, pass, turn } = made();
  turn(2_000);
  pass(1_000);
  expect(clock.detectPause()).toBe(0);
  pass(700);
  clock.now();
  pass(700);
  expect(clock.detectPause()).toBe(1_400);
  pass(50);
  expect(clock.detectPause()).toBe(0);
});
