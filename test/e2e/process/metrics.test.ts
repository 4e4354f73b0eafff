/** /metrics of a whole server: what only its store and its settings can tell. */
import { expect, test } from 'vitest';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { readMetrics } from '../../support/prometheus.ts';
import { logIn } from '../support/users.ts';

const TOKEN = 'plm_a-token-for-metrics-alone';

const read = (server: PorchlightProcess, token: string): Promise<Response> =>
  fetch(`${server.origin}/metrics`, { headers: { authorization: `Bearer ${token}` } });

test('the disk, the limits and the build are in it, for whoever has the token', async () => {
  await using server = await startPorchlight({
    env: { PORCHLIGHT_METRICS_TOKEN: TOKEN, PORCHLIGHT_MAX_SOCKETS: '1234' },
  });
  await logIn(server, 'alice', 'WEB');
  const text = await (await read(server, TOKEN)).text();
  const figures = readMetrics(text);
  expect(figures.get('porchlight_commit_entries_sum')).toBe(1);
  expect(figures.get('porchlight_commit_seconds_count')).toBe(1);
  expect(figures.get('porchlight_database_bytes{file="database"}')).toBeGreaterThan(0);
  expect(figures.get('porchlight_disk_free_bytes')).toBeGreaterThan(0);
  expect(figures.get('porchlight_sockets_limit')).toBe(1234);
  expect(figures.get('process_start_time_seconds')).toBeGreaterThan(0);
  expect(text).toMatch(/^porchlight_build_info\{version="\d+\.\d+\.\d+",node="20\./m);
  expect((await read(server, server.apiKey)).status).toBe(200);
  expect((await read(server, `${TOKEN}x`)).status).toBe(401);
  // Lists of every open socket would be made for these at each reading.
  expect(text).not.toMatch(/process_open_fds|nodejs_active_/);
});

test('without it there is no such page', async () => {
  await using server = await startPorchlight({ env: { PORCHLIGHT_METRICS: 'false' } });
  expect((await read(server, server.apiKey)).status).toBe(404);
});
