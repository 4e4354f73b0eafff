/** What lay unread while the server itself did not listen is not late. */
import { once } from 'node:events';
import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { DoorCounts } from '../../../src/server/metrics/counters.ts';
import { Port } from '../../../src/server/http/listener.ts';
import { ServerHarness, LIMITS } from './support/server-harness.ts';

afterEach(() => void vi.useRealTimers());

/** As good as a stopped process, for whatever runs in this one. */
const standStill = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test('connection_init that came in time is taken, though its time is up before it is read', async () => {
  const INIT_MS = 300;
  const harness = await ServerHarness.open({ limits: { initMs: INIT_MS } });
  const jwt = await harness.jwt('alice');
  const ws = new WebSocket(harness.socketUrl, 'graphql-transport-ws');
  await once(ws, 'open');
  ws.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${jwt}` } }));
  standStill(2 * INIT_MS);
  const answer = await Promise.race([once(ws, 'message'), once(ws, 'close')]);
  expect(String(answer[0])).toBe('{"type":"connection_ack"}');
  ws.terminate();
});

test('heads and bodies have so much longer, until all that were begun then are over', () => {
  vi.useFakeTimers();
  const port = new Port({
    settings: { host: '127.0.0.1', port: 0, limits: LIMITS, trustProxy: false },
    counts: new DoorCounts(),
    log: pino({ level: 'silent' }),
    httpTimes: { headersMs: 15_000, requestMs: 30_000, checkMs: 5_000 },
  });
  const times = (): readonly number[] => [port.http.headersTimeout, port.http.requestTimeout];
  expect(times()).toEqual([15_000, 30_000]);
  port.slept(20_000);
  expect(times()).toEqual([35_000, 50_000]);
  vi.advanceTimersByTime(30_000);
  port.slept(2_000);
  expect(times()).toEqual([37_000, 52_000]);
  vi.advanceTimersByTime(34_999);
  expect(times()).toEqual([37_000, 52_000]);
  vi.advanceTimersByTime(1);
  expect(times()).toEqual([15_000, 30_000]);
});
