/** Whether what should happen at a time happens at that time, on a machine that may itself be late. */
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Server } from './users.ts';

/** Moments are whole milliseconds, so two of them are up to so much nearer to each other than they were. */
const GRAIN_MS = 2;
/** What is promised of a server that is not overloaded. */
const AT_MOST_LATE_MS = 1_000;
const PROBE_EVERY_MS = 50;

/** The longest that this process stood still, or the server took to say that it lives, since the tests began. */
export interface StallMeter {
  readonly worstMs: number;
}

export const stallMeter = (server: Server): StallMeter => {
  let histogram: IntervalHistogram | null = null;
  let slowestProbeMs = 0;
  let stopped = false;
  const probe = async (): Promise<void> => {
    while (!stopped) {
      const asked = performance.now();
      const answer = await fetch(`${server.origin}/health/live`);
      await answer.text();
      slowestProbeMs = Math.max(slowestProbeMs, performance.now() - asked);
      await new Promise((resolve) => setTimeout(resolve, PROBE_EVERY_MS));
    }
  };
  let probing: Promise<void> = Promise.resolve();
  beforeAll(() => {
    histogram = monitorEventLoopDelay({ resolution: 5 });
    histogram.enable();
    probing = probe();
  });
  afterAll(async () => {
    stopped = true;
    histogram?.disable();
    await probing;
  });
  return {
    get worstMs() {
      return slowestProbeMs + (histogram === null ? 0 : histogram.max / 1e6);
    },
  };
};

/** A machine that stands still for as long as a timeout proves nothing: what must not happen meanwhile is tried again. */
export const RETRY = { retry: 2 };

export interface Span {
  /** When that from which time counts was sent, and when it was answered, by performance.now(). */
  readonly sentAt: number;
  readonly answeredAt: number;
}

/** Notes when something is sent and when it is answered. */
export const timed = async <T>(act: () => Promise<T>): Promise<Span & { readonly value: T }> => {
  const sentAt = performance.now();
  const value = await act();
  return { sentAt, answeredAt: performance.now(), value };
};

/** It was heard of no earlier than `dueMs` after the span, and at most a second later, the machine's own stalls apart. */
export const expectOnTime = (span: Span, heardAt: number, dueMs: number, stall: StallMeter): void => {
  expect(heardAt - span.sentAt, 'not early').toBeGreaterThanOrEqual(dueMs - GRAIN_MS);
  expect(heardAt - span.answeredAt, 'not late').toBeLessThanOrEqual(dueMs + AT_MOST_LATE_MS + stall.worstMs);
};

/** By the server's own clock, which is exact. */
export const msBetween = (earlier: string, later: string): number => Date.parse(later) - Date.parse(earlier);

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Does something again and again, for so long. */
export const keepDoing = async (forMs: number, everyMs: number, act: () => unknown): Promise<void> => {
  const until = performance.now() + forMs;
  while (performance.now() < until) {
    await act();
    await pause(everyMs);
  }
};
