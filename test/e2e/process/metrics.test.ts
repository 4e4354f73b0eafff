/** /metrics of a server process: the values that come from its store and its settings. */
import { expect, test } from 'vitest';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { readMetrics } from '../../support/prometheus.ts';
import { logIn } from '../support/users.ts';

const TOKEN = 'plm_a-token-for-metrics-alone-0123456789';

const fetchMetrics = (server: PorchlightProcess, token: string): Promise<Response> =>
  fetch(`${server.origin}/metrics`, { headers: { authorization: `Bearer ${token}` } });

test('/metrics shows disk, limit and build values to holders of the metrics token or an API key', async () => {
  await using server = await startPorchlight({
    env: { PORCHLIGHT_METRICS_TOKEN: TOKEN, PORCHLIGHT_MAX_SOCKETS: '1234' },
  });
  await logIn(server, 'alice', 'WEB');
  const text = await (await fetchMetrics(server, TOKEN)).text();
  const figures = readMetrics(text);
  expect(figures.get('porchlight_commit_entries_sum')).toBe(1);
  expect(figures.get('porchlight_commit_seconds_count')).toBe(1);
  expect(figures.get('porchlight_database_bytes{file="database"}')).toBeGreaterThan(0);
  expect(figures.get('porchlight_disk_free_bytes')).toBeGreaterThan(0);
  expect(figures.get('porchlight_sockets_limit')).toBe(1234);
  expect(figures.get('process_start_time_seconds')).toBeGreaterThan(0);
  expect(text).toMatch(/^porchlight_build_info\{version="\d+\.\d+\.\d+",node="20\./m);
  expect((await fetchMetrics(server, server.apiKey)).status).toBe(200);
  expect((await fetchMetrics(server, `${TOKEN}x`)).status).toBe(401);
  // These metrics would list every open socket at each request.
  expect(text).not.toMatch(/process_open_fds|nodejs_active_/);
});

test('/metrics answers 404 when metrics are disabled', async () => {
  await using server = await startPorchlight({ env: { PORCHLIGHT_METRICS: 'false' } });
  expect((await fetchMetrics(server, server.apiKey)).status).toBe(404);
});
