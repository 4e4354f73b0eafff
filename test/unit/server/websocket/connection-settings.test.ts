import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { OPTIONS } from '../../../../src/config/options.ts';
import {
  createPingSettings,
  DEFAULT_CONNECTION_SETTINGS,
} from '../../../../src/server/websocket/connection-settings.ts';

test('the default interval of pings is shorter than 30 s, the shortest idle timeout of common proxies', () => {
  const parsed = OPTIONS.pingInterval.type.parseText(OPTIONS.pingInterval.default);
  expect(parsed).toEqual({ ok: true, value: DEFAULT_CONNECTION_SETTINGS.pingIntervalMs });
  expect(DEFAULT_CONNECTION_SETTINGS.pingIntervalMs).toBeLessThan(30_000);
});

test('the default idle time of HTTP connections is longer than the 120 s of Caddy', () => {
  expect(OPTIONS.httpKeepAlive.type.parseText(OPTIONS.httpKeepAlive.default)).toEqual({ ok: true, value: 130_000 });
});

test.each([
  [1_000, 50],
  [10_000, 5],
  [25_000, 2],
  [60_000, 2],
  [600_000, 2],
])(
  'with an interval of %i ms, a socket without a session is terminated after %i unanswered pings',
  (interval, pings) => {
    expect(createPingSettings(interval)).toEqual({ pingIntervalMs: interval, maxUnansweredPings: pings });
  },
);

test('docs/proxies.md has the defaults', () => {
  const page = readFileSync(new URL('../../../../docs/proxies.md', import.meta.url), 'utf8');
  expect(page).toContain(`a ping every ${OPTIONS.pingInterval.default.replace('s', ' s')}`);
  expect(page).toContain(`idle for ${OPTIONS.httpKeepAlive.default.replace('s', ' s')}`);
});
