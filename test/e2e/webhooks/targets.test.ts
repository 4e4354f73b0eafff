/** Forbidden webhook addresses in any notation, and host names that resolve to them. */
import { describe, expect, test } from 'vitest';
import { FakeNameResolution } from '../../support/faults/fake-name-resolution.ts';
import { postForData, codeOf, postOperation } from '../../support/porchlight-client.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import { LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { eventsIn, hasReceivedEvents } from '../../support/webhooks/webhook-log.ts';
import { logIn, logOut, startSharedServer } from '../support/users.ts';
import {
  CREATE_WEBHOOK,
  createWebhook,
  waitForDeliveries,
  updateWebhook,
  fetchWebhook,
  createReceivedWebhook,
} from './webhook-calls.ts';

describe('without allowed networks', () => {
  const server = startSharedServer();
  const create = (url: string) => postOperation(server, server.apiKey, CREATE_WEBHOOK, { input: { url } });

  test.for([
    'http://hooks.example/',
    'ftp://hooks.example/',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'hooks.example',
    '',
    'https://',
    'https://user:xyzzy@hooks.example/',
    'https://127.0.0.1/',
    'https://127.0.0.1:8443/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.0.0.1/',
    'https://0177.0.0.1/',
    'https://%31%32%37.0.0.1/',
    'https://１２７。０。０。１/',
    'https://127.0.0.1./',
    'https://0.0.0.0/',
    'https://0/',
    'https://10.1.2.3/',
    'https://172.16.0.1/',
    'https://192.168.0.1/',
    'https://100.64.0.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://2852039166/',
    'https://198.18.0.1/',
    'https://224.0.0.1/',
    'https://255.255.255.255/',
    'https://[::1]/',
    'https://[::]/',
    'https://[0:0:0:0:0:0:0:1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[64:ff9b::169.254.169.254]/',
    'https://[2002:7f00:1::]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://[ff02::1]/',
    'https://localhost/',
    'https://LOCALHOST/',
    'https://localhost./',
    'https://a.localhost/',
  ])('rejects the URL %j', async (url) => {
    const answer = await create(url);
    expect(codeOf(answer), JSON.stringify(answer)).toBe('BAD_USER_INPUT');
    // The URL may contain a password.
    expect(answer.errors?.[0]?.message).not.toContain('xyzzy');
  });

  test('stores nothing of a rejected URL and keeps the previous URL of a webhook', async () => {
    const webhooks = () => postForData<{ webhooks: unknown[] }>(server, server.apiKey, '{ webhooks { id url } }');
    expect(await webhooks()).toEqual({ webhooks: [] });
    const { webhook } = await createWebhook(server, { url: 'https://hooks.example/porchlight?x=1' });
    await expect(updateWebhook(server, { id: webhook.id, url: 'https://127.0.0.1/' })).rejects.toThrow(
      'BAD_USER_INPUT',
    );
    expect(await webhooks()).toEqual({ webhooks: [{ id: webhook.id, url: 'https://hooks.example/porchlight?x=1' }] });
    expect(await fetchWebhook(server, webhook.id)).toEqual(webhook);
  });
});

test('fails the delivery visibly when a host name resolves to a private address', async () => {
  using names = new FakeNameResolution({ 'hooks.example': ['127.0.0.1'], 'both.example': ['127.0.0.1', '127.0.0.2'] });
  await using receiver = await ReceiverProcess.start();
  // Either the second address alone would be allowed.
  const ELSEWHERE = { PORCHLIGHT_WEBHOOK_ALLOW_HTTP: 'true', PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: '127.0.0.2/32' };
  // Proxies get no request either, because they do not check addresses.
  const proxies = Object.fromEntries(
    ['http_proxy', 'https_proxy', 'all_proxy'].flatMap((name) => [
      [name, receiver.url('')],
      [name.toUpperCase(), receiver.url('')],
    ]),
  );
  await using server = await startPorchlight({
    env: { ...names.env, ...proxies, NODE_USE_ENV_PROXY: '1', ...ELSEWHERE },
  });
  const port = new URL(receiver.url('/')).port;
  for (const name of ['hooks.example', 'both.example']) {
    const { webhook } = await createWebhook(server, { url: `http://${name}:${port}/` });
    await logIn(server, name);
    const [waiting] = await waitForDeliveries(server, webhook.id, [{ status: 'RETRYING', lastStatus: null }]);
    expect(waiting?.lastError).toMatch(/neither public nor allowed/);
    await updateWebhook(server, { id: webhook.id, enabled: false });
  }
  expect(receiver.requests()).toEqual([]);
});

test('checks the addresses of a host name at every new connection', async () => {
  using names = new FakeNameResolution({ 'hooks.example': ['127.0.0.1'] });
  await using allowed = await ReceiverProcess.start();
  await using inner = await ReceiverProcess.start({ host: '127.0.0.2', port: allowed.port });
  await using server = await startPorchlight({
    env: { ...names.env, ...LOCAL_RECEIVERS, PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: '127.0.0.1/32' },
  });
  await allowed.setRules({ behaviour: { kind: 'answer', status: 200, headers: { connection: 'close' } } });
  const { webhook } = await createWebhook(server, { url: `http://hooks.example:${allowed.port}/` });
  const device = await logIn(server, 'alice');
  await allowed.waitForRequests('/', hasReceivedEvents(1));
  expect(allowed.requests('/')[0]?.headers.host).toBe(`hooks.example:${allowed.port}`);
  names.setNames({ 'hooks.example': ['127.0.0.2'] });
  await logOut(server, device);
  const [waiting] = await waitForDeliveries(server, webhook.id, [
    { status: 'RETRYING', lastStatus: null },
    { status: 'DELIVERED' },
  ]);
  expect(waiting?.lastError).toMatch(/neither public nor allowed/);
  expect(inner.requests()).toEqual([]);
  names.setNames({ 'hooks.example': ['127.0.0.1'] });
  const requests = await allowed.waitForRequests('/', hasReceivedEvents(2));
  expect(requests.flatMap((request) => eventsIn(request).map(({ reason }) => reason))).toEqual(['LOGIN', 'LOGOUT']);
});

test('delivers over http to this machine when both settings allow it', async () => {
  await using server = await startPorchlight({ env: LOCAL_RECEIVERS });
  await using receiver = await ReceiverProcess.start();
  await createReceivedWebhook(server, receiver, '/');
  expect(
    codeOf(await postOperation(server, server.apiKey, CREATE_WEBHOOK, { input: { url: 'https://10.1.2.3/' } })),
  ).toBe('BAD_USER_INPUT');
  await logIn(server, 'alice');
  await receiver.waitForRequests('/', hasReceivedEvents(1));
});
