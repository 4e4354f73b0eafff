import { afterEach, expect, it, vi } from 'vitest';
import { StoreClock } from '../../../src/storage/clock.ts';

const START = 1_767_225_600_000;

afterEach(() => vi.restoreAllMocks());

/** A store clock with controlled wall clock and monotonic time. */
const createClock = () => {
  const wall = vi.spyOn(Date, 'now').mockReturnValue(START);
  const monotonic = vi.spyOn(performance, 'now').mockReturnValue(500.25);
  const clock = new StoreClock();
  let at = 500.25;
  const advance = (ms: number) => void monotonic.mockReturnValue((at += ms));
  /** Runs the event loop for `ms` milliseconds, with a tick every 50 ms. */
  const runEventLoop = (ms: number) => {
    for (let left = ms; left > 0; left -= 50) {
      advance(Math.min(left, 50));
      clock.detectPause();
    }
  };
  const readPauses = () => clock.getProcessPauses().map(({ from, until }) => [from - START, until - START]);
  return { wall, clock, advance, runEventLoop, readPauses };
};

it('returns the wall clock as read once, advanced by monotonic time', () => {
  const { wall, clock, advance } = createClock();
  expect(clock.now()).toBe(START);
  advance(1_000.5);
  expect(clock.now()).toBe(START + 1_000);
  // The wall clock is set a year ahead, and then back.
  wall.mockReturnValue(START + 31_536_000_000);
  expect(clock.now()).toBe(START + 1_000);
  wall.mockReturnValue(0);
  advance(0.5);
  expect(clock.now()).toBe(START + 1_001);
});

it('reports no pause while ticks arrive within the allowed lateness', () => {
  const { clock, advance, runEventLoop, readPauses } = createClock();
  runEventLoop(10_000);
  advance(950);
  clock.now();
  runEventLoop(5_000);
  expect(readPauses()).toEqual([]);
});

it('reports a pause at the first reading of the time, before any tick', () => {
  const { clock, advance, runEventLoop, readPauses } = createClock();
  runEventLoop(2_000);
  advance(60_000);
  expect(readPauses()).toEqual([]);
  clock.now();
  expect(readPauses()).toEqual([[2_000, 62_000]]);
  runEventLoop(2_000);
  expect(readPauses()).toEqual([[2_000, 62_000]]);
});

it('reports a blocked event loop as a pause although the time is read meanwhile', () => {
  const { clock, advance, runEventLoop, readPauses } = createClock();
  runEventLoop(2_000);
  for (let readings = 0; readings < 100; readings++) {
    advance(100);
    clock.now();
  }
  clock.detectPause();
  const [[from = 0, until = 0] = []] = readPauses();
  expect(readPauses()).toHaveLength(1);
  expect(from).toBe(2_000);
  expect(until).toBeGreaterThan(11_000);
});

it('reports a slow startup as a pause', () => {
  const { advance, runEventLoop, readPauses } = createClock();
  advance(4_000);
  runEventLoop(50);
  expect(readPauses()).toEqual([[0, 4_050]]);
});

it('returns the time since the last tick although the time was read meanwhile', () => {
  const { clock, advance, runEventLoop } = createClock();
  runEventLoop(2_000);
  advance(1_000);
  expect(clock.detectPause()).toBe(0);
  advance(700);
  clock.now();
  advance(700);
  expect(clock.detectPause()).toBe(1_400);
  advance(50);
  expect(clock.detectPause()).toBe(0);
});
