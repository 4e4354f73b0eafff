import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { type Behaviour, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

const post = (url: string, body: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(url, { method: 'POST', body, headers, redirect: 'manual' });

test('keeps its requests after it is killed, with the names of the secrets that verify them', async () => {
  await using receiver = await ReceiverProcess.start();
  await receiver.setSecrets('/a', { right: SECRET, wrong: `whsec_${Buffer.alloc(32, 8).toString('base64')}` });
  await receiver.setRules({ userId: 'bob', times: 1, behaviour: { kind: 'answer', status: 500 } });
  const now = new Date();
  const signed = {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(now.getTime() / 1_000)),
    'webhook-signature': new Webhook(SECRET).sign('msg_1', now, '{"id":"bob"}'),
  };
  expect((await post(receiver.url('/a?x=1'), '{"id":"bob"}', signed)).status).toBe(500);
  expect((await post(receiver.url('/a'), '{"id":"bob"} ', signed)).status).toBe(200);
  const url = receiver.url('/a');
  await receiver.kill();
  await expect(post(url, 'while it is killed')).rejects.toThrow('fetch failed');
  await receiver.restart();
  expect(receiver.url('/a')).toBe(url);
  expect((await post(url, '{"id":"bob"}', signed)).status).toBe(500);
  expect(receiver.requests('/a').map(({ url, body, signedBy, status }) => [url, body, signedBy, status])).toEqual([
    ['/a?x=1', '{"id":"bob"}', ['right'], 500],
    ['/a', '{"id":"bob"} ', [], 200],
    ['/a', '{"id":"bob"}', ['right'], 500],
  ]);
  expect(receiver.requests('/b')).toEqual([]);
});

test.concurrent.for<[string, Behaviour, string]>([
  ['answers with a status', { kind: 'answer', status: 302, headers: { location: '/b' } }, '302 kept'],
  ['answers slowly', { kind: 'drip', status: 200, beforeHeadMs: 1, bytes: 3, betweenBytesMs: 1 }, '200 xxx'],
  ['resets the connection', { kind: 'break', at: 'request' }, 'fetch failed'],
  ['closes the connection in the header', { kind: 'break', at: 'head' }, 'fetch failed'],
  ['closes the connection in the body', { kind: 'break', at: 'body' }, 'terminated'],
])('%s', async ([, behaviour, seen]) => {
  await using receiver = await ReceiverProcess.start();
  await receiver.setRules({ path: '/a', behaviour });
  const answer = post(receiver.url('/a'), 'x').then(async (response) => `${response.status} ${await response.text()}`);
  expect(await answer.catch((error: Error) => error.message)).toBe(seen);
  expect(receiver.requests('/a')).toMatchObject([{ body: 'x', behaviour: behaviour.kind }]);
});

test('hangs, and sends an endless body', async () => {
  await using receiver = await ReceiverProcess.start();
  await receiver.setRules(
    { path: '/hang', behaviour: { kind: 'hang' } },
    { path: '/pour', behaviour: { kind: 'endless', status: 503 } },
  );
  const leaving = new AbortController();
  const hanging = fetch(receiver.url('/hang'), { method: 'POST', body: 'x', signal: leaving.signal });
  await receiver.waitForRequests('/hang', ({ length }) => length === 1);
  const poured = await post(receiver.url('/pour'), 'x');
  expect(poured.status).toBe(503);
  let bytes = 0;
  for await (const chunk of poured.body as unknown as AsyncIterable<Uint8Array>) {
    if ((bytes += chunk.length) > 10_000_000) break;
  }
  expect(bytes).toBeGreaterThan(10_000_000);
  leaving.abort();
  await expect(hanging).rejects.toThrow('aborted');
});
