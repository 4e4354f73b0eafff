/** Data that arrived in time but was unread during a process pause does not time out. */
import { once } from 'node:events';
import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { ServerCounters } from '../../../src/server/metrics/counters.ts';
import { HttpListener } from '../../../src/server/http/listener.ts';
import { ServerHarness, LIMITS } from './support/server-harness.ts';

afterEach(() => void vi.useRealTimers());

/** Blocks the event loop for some milliseconds, as a process pause does. */
const blockEventLoop = (ms: number): void => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

test('accepts a connection_init that arrived in time but is read after the init timeout', async () => {
  const INIT_MS = 300;
  const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: INIT_MS } });
  const jwt = await harness.jwt('alice');
  const ws = new WebSocket(harness.socketUrl, 'graphql-transport-ws');
  await once(ws, 'open');
  ws.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${jwt}` } }));
  blockEventLoop(2 * INIT_MS);
  const answer = await Promise.race([once(ws, 'message'), once(ws, 'close')]);
  expect(String(answer[0])).toBe('{"type":"connection_ack"}');
  ws.terminate();
});

test('extends the timeouts of request heads and bodies until all requests that were active during the pause have ended', () => {
  vi.useFakeTimers();
  const port = new HttpListener({
    settings: { host: '127.0.0.1', port: 0, limits: LIMITS, trustProxy: false, httpKeepAliveMs: 60_000 },
    counters: new ServerCounters(),
    log: pino({ level: 'silent' }),
    timeouts: { headersMs: 15_000, requestMs: 30_000, checkMs: 5_000 },
  });
  const times = (): readonly number[] => [port.server.headersTimeout, port.server.requestTimeout];
  expect(times()).toEqual([15_000, 30_000]);
  port.extendTimeouts(20_000);
  expect(times()).toEqual([35_000, 50_000]);
  vi.advanceTimersByTime(30_000);
  port.extendTimeouts(2_000);
  expect(times()).toEqual([37_000, 52_000]);
  vi.advanceTimersByTime(34_999);
  expect(times()).toEqual([37_000, 52_000]);
  vi.advanceTimersByTime(1);
  expect(times()).toEqual([15_000, 30_000]);
});
