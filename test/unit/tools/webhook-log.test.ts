import { expect, test } from 'vitest';
import type { LogEvent } from '../../support/crash/log-checks.ts';
import type { ReceivedRequest } from '../../support/webhooks/receiver-process.ts';
import { expectDeliveredLog } from '../../support/webhooks/webhook-log.ts';

const event = (userId: string, version: number): LogEvent => ({
  cursor: `${userId}${version}`,
  changeId: `${userId}-${version}`,
  userId,
  sessionId: 's',
  platform: 'WEB',
  deviceId: 'd',
  reason: 'CUSTOM_STATUS',
  sessionStatus: 'ONLINE',
  previousStatus: 'ONLINE',
  status: 'ONLINE',
  version,
  kickedBy: null,
  customStatus: String(version),
  occurredAt: '2026-01-01T00:00:00.000Z',
});

const request = (events: readonly LogEvent[], also: Partial<ReceivedRequest> = {}): ReceivedRequest => ({
  at: 100,
  path: '/',
  url: '/',
  headers: {},
  body: JSON.stringify({ type: 'presence.events', timestamp: '', data: { events } }),
  signedBy: [],
  behaviour: 'answer',
  status: 200,
  ...also,
});

const [a1, a2, a3, b1] = [event('a', 1), event('a', 2), event('a', 3), event('b', 1)];
const LOG = [a1, b1, a2, a3];

const NOT_THEN = [
  { from: 90, to: 99 },
  { from: 121, to: 130 },
];

test('accepts requests that a correct server may send', () => {
  expectDeliveredLog([request([a1, a2]), request([b1]), request([a3])], LOG);
  expectDeliveredLog([request([a1, a2], { status: 503 }), request([a1, a2, a3]), request([b1])], LOG);
  expectDeliveredLog(
    [request([a1, a2], { behaviour: 'hang', status: null }), request([b1]), request([a1, a2, a3])],
    LOG,
  );
  expectDeliveredLog([request([a1, a2]), request([b1]), request([a1, a2, a3], { at: 120 })], LOG, [
    { from: 99, to: 110 },
  ]);
  const kicks = Array.from({ length: 102 }, (_, index) => ({ ...event('a', index + 1), changeId: String(index < 99) }));
  expectDeliveredLog([request(kicks)], kicks);
});

test.for([
  ['missing', [request([a1, a2]), request([b1])], []],
  ['where the log has', [request([a1, a3, b1])], []],
  ['where the log has', [request([a2, a1, a3, b1])], []],
  ['where the log has', [request([a1, a2]), request([a3, b1]), request([a1, a2])], []],
  ['where the log has', [request([a1, { ...a2, status: 'OFFLINE' }, a3, b1])], []],
  ['where the log has nothing', [request([a1, a2, a3, b1, event('c', 1)])], []],
  ['repeated', [request([a1]), request([a1, a2, a3, b1])], []],
  ['repeated', [request([a1]), request([a1, a2, a3, b1], { at: 120 })], NOT_THEN],
  ['in one request', [request(Array.from({ length: 101 }, (_, index) => event('a', index + 1)))], []],
] as const)('reports events that are %s', ([words, requests, kills]) => {
  expect(() => expectDeliveredLog(requests, LOG, kills)).toThrow(words);
});
