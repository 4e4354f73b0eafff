/** Checks that something happens on time, on a machine that may itself stall. */
import { monitorEventLoopDelay, type IntervalHistogram } from 'node:perf_hooks';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Server } from './users.ts';

/** Timestamps are whole milliseconds, so a measured interval may be up to this much too short. */
const CLOCK_RESOLUTION_MS = 2;
/** The documented maximum lateness of a server that is not overloaded. */
const MAX_LATENESS_MS = 1_000;
const PROBE_INTERVAL_MS = 50;

/** `worstMs`: the longest stall of this process plus the slowest liveness answer of the server since the tests began. */
export interface StallMeter {
  readonly worstMs: number;
}

export const measureStalls = (server: Server): StallMeter => {
  let histogram: IntervalHistogram | null = null;
  let slowestProbeMs = 0;
  let stopped = false;
  const probe = async (): Promise<void> => {
    while (!stopped) {
      const sentAt = performance.now();
      const answer = await fetch(`${server.origin}/health/live`);
      await answer.text();
      slowestProbeMs = Math.max(slowestProbeMs, performance.now() - sentAt);
      await new Promise((resolve) => setTimeout(resolve, PROBE_INTERVAL_MS));
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

/** For tests that something does not happen: a machine that stalls as long as a timeout proves nothing, so retry. */
export const RETRY_AFTER_STALL = { retry: 2 };

export interface Span {
  /** When the request from which time counts was sent and answered, by performance.now(). */
  readonly sentAt: number;
  readonly answeredAt: number;
}

/** Measures when a request is sent and when it is answered. */
export const measureSpan = async <T>(act: () => Promise<T>): Promise<Span & { readonly value: T }> => {
  const sentAt = performance.now();
  const value = await act();
  return { sentAt, answeredAt: performance.now(), value };
};

/** Expects `receivedAt` no earlier than `dueMs` after the span and at most 1 s later, not counting stalls of the machine. */
export const expectOnTime = (span: Span, receivedAt: number, dueMs: number, stall: StallMeter): void => {
  expect(receivedAt - span.sentAt, 'not early').toBeGreaterThanOrEqual(dueMs - CLOCK_RESOLUTION_MS);
  expect(receivedAt - span.answeredAt, 'not late').toBeLessThanOrEqual(dueMs + MAX_LATENESS_MS + stall.worstMs);
};

/** The milliseconds between two timestamps of the server, which are exact. */
export const msBetween = (earlier: string, later: string): number => Date.parse(later) - Date.parse(earlier);

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Repeats an action every `everyMs` for `forMs`. */
export const repeatFor = async (forMs: number, everyMs: number, act: () => unknown): Promise<void> => {
  const until = performance.now() + forMs;
  while (performance.now() < until) {
    await act();
    await delay(everyMs);
  }
};
