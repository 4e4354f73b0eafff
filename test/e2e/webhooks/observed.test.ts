/** Metrics and log lines about webhooks. */
import { expect, test } from 'vitest';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { readMetrics, type MetricValues } from '../../support/prometheus.ts';
import { LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { logIn } from '../support/users.ts';
import { createWebhook, fetchWebhook } from './webhook-calls.ts';

/** The last one is accepted. */
const REQUESTS = 4;

test('reports a failing, a recovered and a GONE receiver in metrics and log, without its URL', async () => {
  await using server = await startPorchlight({ env: LOCAL_RECEIVERS });
  await using receiver = await ReceiverProcess.start();
  const figures = async (): Promise<MetricValues> => {
    const response = await fetch(`${server.origin}/metrics`, { headers: { authorization: `Bearer ${server.apiKey}` } });
    return readMetrics(await response.text());
  };
  const url = receiver.url('/hook?token=a-secret-token');
  const { webhook, secret } = await createWebhook(server, { url });

  await receiver.setRules({ times: REQUESTS - 1, behaviour: { kind: 'answer', status: 503 } });
  await logIn(server, 'alice');
  await receiver.waitForRequests('/hook', ({ length }) => length === REQUESTS, 30_000);
  await retryUntilPasses(async () => {
    const seen = await figures();
    expect(seen.get('porchlight_webhook_attempts_total{outcome="REFUSED"}')).toBe(REQUESTS - 1);
    expect(seen.get('porchlight_webhook_attempts_total{outcome="TAKEN"}')).toBe(1);
    expect(seen.get('porchlight_webhook_events_delivered_total')).toBe(1);
    expect(seen.get('porchlight_webhook_waiting_seconds')).toBe(0);
  });

  await receiver.setRules({ behaviour: { kind: 'answer', status: 410 } });
  await logIn(server, 'bob');
  await retryUntilPasses(async () => expect(await fetchWebhook(server, webhook.id)).toMatchObject({ state: 'GONE' }));
  await retryUntilPasses(async () => expect((await figures()).get('porchlight_webhooks{state="GONE"}')).toBe(1));
  expect((await figures()).get('porchlight_webhooks_gone_total')).toBe(1);

  await server.stop();
  const lines = server
    .output()
    .split('\n')
    .filter((line) => line.includes('receiver'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toMatchObject([
    { webhook: webhook.id, status: 503, reason: 'The receiver answered with status 503.' },
    { webhook: webhook.id, status: 200, reason: null },
    { webhook: webhook.id, status: 410, reason: 'The receiver answered with status 410.' },
  ]);
  expect(lines.map(({ msg }) => msg)).toEqual([
    'A webhook receiver fails; its deliveries will be retried.',
    'A webhook receiver accepts deliveries again.',
    'A webhook receiver answered 410; the webhook is GONE and gets no deliveries until it is enabled.',
  ]);
  for (const hidden of ['a-secret-token', url, secret ?? '']) expect(server.output()).not.toContain(hidden);
}, 60_000);
