/** Failing receivers: deliveries are retried in order until they are accepted or DEAD. */
import { expect, test } from 'vitest';
import { readLog } from '../../support/crash/log-checks.ts';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { postForData } from '../../support/porchlight-client.ts';
import { startPorchlight } from '../../support/porchlight-process.ts';
import {
  type Behaviour,
  type ReceivedRequest,
  LOCAL_RECEIVERS,
  ReceiverProcess,
} from '../../support/webhooks/receiver-process.ts';
import { eventsIn, expectDeliveredLog, hasReceivedEvents } from '../../support/webhooks/webhook-log.ts';
import { logIn, logOut } from '../support/users.ts';
import {
  fetchDeliveries,
  waitForDeliveries,
  updateWebhook,
  fetchWebhook,
  createReceivedWebhook,
} from './webhook-calls.ts';

const REDELIVER = 'mutation ($input: RedeliverInput!) { redeliver(input: $input) { count } }';

/** The webhook-id of each request. */
const idsOf = (requests: readonly ReceivedRequest[]): readonly unknown[] =>
  requests.map(({ headers }) => headers['webhook-id']);

const FAILURES: readonly { readonly name: string; readonly behaviour: Behaviour; readonly status: number | null }[] = [
  { name: '500', behaviour: { kind: 'answer', status: 500 }, status: 500 },
  { name: '404', behaviour: { kind: 'answer', status: 404 }, status: 404 },
  {
    name: 'a redirect, which is not followed',
    behaviour: { kind: 'answer', status: 307, headers: { location: '/elsewhere' } },
    status: 307,
  },
  { name: 'silence', behaviour: { kind: 'hang' }, status: null },
  {
    name: 'a head that comes too late',
    behaviour: { kind: 'drip', status: 200, beforeHeadMs: 30_000, bytes: 1, betweenBytesMs: 1 },
    status: null,
  },
  { name: '500 with a body that never ends', behaviour: { kind: 'endless', status: 500 }, status: 500 },
  { name: 'a connection that is reset', behaviour: { kind: 'break', at: 'request' }, status: null },
  { name: 'half a head', behaviour: { kind: 'break', at: 'head' }, status: null },
];

/** Failed attempts of each receiver before it accepts a delivery. */
const TIMES = 2;

test('retries each failed delivery with the same id while later events wait behind it', async () => {
  await using server = await startPorchlight({ env: { ...LOCAL_RECEIVERS, PORCHLIGHT_WEBHOOK_TIMEOUT: '1s' } });
  await using receiver = await ReceiverProcess.start();
  const paths = FAILURES.map((_, index) => `/${index}`);
  await receiver.setRules(...FAILURES.map(({ behaviour }, index) => ({ path: paths[index] ?? '', behaviour })));
  const webhooks = await Promise.all(paths.map((path) => createReceivedWebhook(server, receiver, path)));
  const device = await logIn(server, 'alice');
  for (const [index, { name, status }] of FAILURES.entries()) {
    const [waiting] = await waitForDeliveries(server, webhooks[index]?.id ?? '', [{ status: 'RETRYING' }]);
    expect(waiting, name).toMatchObject({ lastStatus: status, lastError: expect.any(String) as unknown });
    expect(waiting?.attempts, name).toBeGreaterThanOrEqual(1);
    expect(waiting?.events.map(({ userId, reason }) => [userId, reason])).toEqual([['alice', 'LOGIN']]);
    expect(Date.parse(waiting?.giveUpAt ?? ''), name).toBeGreaterThan(Date.now() + 2 * 86_400_000);
  }
  await logOut(server, device);
  for (const path of paths) await receiver.waitForRequests(path, ({ length }) => length >= TIMES);
  await receiver.setRules();

  const log = await readLog(server);
  expect(log.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGOUT']);
  for (const [index, { name }] of FAILURES.entries()) {
    const { id, url } = webhooks[index] ?? { id: '', url: '' };
    const requests = await receiver.waitForRequests(paths[index] ?? '', hasReceivedEvents(2));
    expectDeliveredLog(requests, log);
    const first = requests.slice(0, -1);
    expect(first.length, name).toBeGreaterThanOrEqual(TIMES + 1);
    expect(new Set(idsOf(first)).size, `${name}: one delivery`).toBe(1);
    expect(new Set(first.map(({ body }) => body)).size, `${name}: the same words`).toBe(1);
    for (const { signedBy } of requests) expect(signedBy, name).toEqual(['now']);
    const done = { status: 'DELIVERED', lastStatus: 200, lastError: null, nextAttemptAt: null, events: [] } as const;
    const deliveries = await waitForDeliveries(server, id, [
      { ...done, attempts: 1 },
      { ...done, attempts: first.length },
    ]);
    expect(deliveries.map((one) => one.id)).toEqual(idsOf([requests.at(-1), requests[0]] as ReceivedRequest[]));
    expect(url).toBe(receiver.url(paths[index] ?? ''));
  }
  expect(receiver.requests('/elsewhere')).toEqual([]);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

test('accepts slow responses within the timeout and ignores the rest of an endless 200', async () => {
  await using server = await startPorchlight({ env: { ...LOCAL_RECEIVERS, PORCHLIGHT_WEBHOOK_TIMEOUT: '10s' } });
  await using receiver = await ReceiverProcess.start();
  await receiver.setRules(
    { path: '/slow', behaviour: { kind: 'drip', status: 202, beforeHeadMs: 100, bytes: 5, betweenBytesMs: 20 } },
    { path: '/endless', behaviour: { kind: 'endless', status: 200 } },
  );
  const slow = await createReceivedWebhook(server, receiver, '/slow');
  const endless = await createReceivedWebhook(server, receiver, '/endless');
  await logIn(server, 'alice');
  await waitForDeliveries(server, slow.id, [{ status: 'DELIVERED', attempts: 1, lastStatus: 202 }]);
  await waitForDeliveries(server, endless.id, [{ status: 'DELIVERED', attempts: 1, lastStatus: 200 }]);
  expect([...receiver.requests('/slow'), ...receiver.requests('/endless')].length).toBe(2);
});

test('delivers to a receiver that starts after the first attempts', async () => {
  await using server = await startPorchlight({ env: LOCAL_RECEIVERS });
  await using receiver = await ReceiverProcess.start();
  const { id } = await createReceivedWebhook(server, receiver, '/');
  await receiver.kill();
  await logIn(server, 'alice');
  const [waiting] = await waitForDeliveries(server, id, [{ status: 'RETRYING', lastStatus: null }]);
  expect(waiting?.lastError).toMatch(/refused/i);
  await logIn(server, 'alice', 'WINDOWS');
  await receiver.restart();
  const requests = await receiver.waitForRequests('/', hasReceivedEvents(3));
  expectDeliveredLog(requests, await readLog(server));
});

test('waits for Retry-After', async () => {
  await using server = await startPorchlight({ env: LOCAL_RECEIVERS });
  await using receiver = await ReceiverProcess.start();
  const WAIT_S = 3;
  const busy = (retryAfter: string): Behaviour => ({
    kind: 'answer',
    status: 503,
    headers: { 'retry-after': retryAfter },
  });
  await receiver.setRules(
    { path: '/seconds', times: 1, behaviour: busy(String(WAIT_S)) },
    { path: '/date', times: 1, behaviour: busy(new Date(Date.now() + 86_400_000).toUTCString()) },
  );
  const seconds = await createReceivedWebhook(server, receiver, '/seconds');
  const date = await createReceivedWebhook(server, receiver, '/date');
  await logIn(server, 'alice');
  for (const { id } of [seconds, date]) await waitForDeliveries(server, id, [{ status: 'RETRYING', lastStatus: 503 }]);
  const [first, second] = await receiver.waitForRequests('/seconds', ({ length }) => length === 2);
  // Never early. There is no upper limit.
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(WAIT_S * 1_000);
  const [tomorrow] = await fetchDeliveries(server, date.id);
  expect(Date.parse(tomorrow?.nextAttemptAt ?? '')).toBeGreaterThan(Date.now() + 86_000_000);
  expect(receiver.requests('/date').length).toBe(1);
});

test('keeps the events of a DEAD delivery, continues with the next one, and can redeliver it', async () => {
  await using server = await startPorchlight({
    env: { ...LOCAL_RECEIVERS, PORCHLIGHT_WEBHOOK_RETRY_FOR: '2s' },
  });
  await using receiver = await ReceiverProcess.start();
  await receiver.setRules({ behaviour: { kind: 'answer', status: 500 } });
  const { id } = await createReceivedWebhook(server, receiver, '/');
  const device = await logIn(server, 'alice');
  await waitForDeliveries(server, id, [{ status: 'RETRYING' }]);
  const [dead] = await waitForDeliveries(server, id, [{ status: 'DEAD', lastStatus: 500, nextAttemptAt: null }]);
  expect(dead?.events.map(({ reason }) => reason)).toEqual(['LOGIN']);
  expect(dead?.attempts).toBe(receiver.requests('/').length);
  expect(dead?.attempts).toBeGreaterThan(1);
  await receiver.setRules();
  await logOut(server, device);
  await receiver.waitForRequests('/', (all) => all.at(-1)?.status === 200);
  const acceptedReasons = (): readonly string[] =>
    receiver
      .requests('/')
      .filter(({ status }) => status === 200)
      .flatMap((request) => eventsIn(request).map(({ reason }) => reason));
  expect(acceptedReasons()).toEqual(['LOGOUT']);

  expect(await postForData(server, server.apiKey, REDELIVER, { input: { webhookId: id } })).toEqual({
    redeliver: { count: 1 },
  });
  await receiver.waitForRequests('/', () => acceptedReasons().length === 2);
  expect(acceptedReasons()).toEqual(['LOGOUT', 'LOGIN']);
  const requests = receiver.requests('/');
  expect(idsOf(requests.slice(-1))).toEqual([dead?.id]);
  expect(idsOf(requests.slice(0, 1))).toEqual([dead?.id]);
  await waitForDeliveries(server, id, [{ status: 'DELIVERED' }, { status: 'DELIVERED' }]);
  expect(await postForData(server, server.apiKey, REDELIVER, { input: { deliveryId: dead?.id } })).toEqual({
    redeliver: { count: 0 },
  });
});

test('stops at once after status 410 and continues without a gap when enabled', async () => {
  await using server = await startPorchlight({ env: LOCAL_RECEIVERS });
  await using receiver = await ReceiverProcess.start();
  await createReceivedWebhook(server, receiver, '/other');
  const { id } = await createReceivedWebhook(server, receiver, '/');
  const device = await logIn(server, 'alice');
  await receiver.waitForRequests('/', ({ length }) => length === 1);
  await receiver.setRules({ path: '/', behaviour: { kind: 'answer', status: 410 } });
  await logOut(server, device);
  await waitForDeliveries(server, id, [{ status: 'RETRYING', lastStatus: 410 }, { status: 'DELIVERED' }]);
  // Saved right after the result of the delivery.
  await retryUntilPasses(async () => expect(await fetchWebhook(server, id)).toMatchObject({ state: 'GONE' }), 20_000);
  for (const userId of ['alice', 'bob', 'carol', 'dave', 'erin']) await logIn(server, userId, 'WEB');
  await receiver.waitForRequests('/other', hasReceivedEvents(7));
  // All other webhooks have the event, so this one would have it too.
  expect(receiver.requests('/').length, 'no further request').toBe(2);
  await receiver.setRules();
  expect((await updateWebhook(server, { id, enabled: true })).webhook.state).toBe('ACTIVE');
  const requests = await receiver.waitForRequests('/', hasReceivedEvents(7));
  expectDeliveredLog(requests, await readLog(server));
  await waitForDeliveries(
    server,
    id,
    requests.slice(1).map(() => ({ status: 'DELIVERED' as const })),
  );
});

test('sends nothing to a paused webhook and continues without a gap when enabled, even after a restart', async () => {
  await using server = await startPorchlight({ env: LOCAL_RECEIVERS });
  await using receiver = await ReceiverProcess.start();
  await createReceivedWebhook(server, receiver, '/other');
  const { id } = await createReceivedWebhook(server, receiver, '/');
  await logIn(server, 'alice');
  await receiver.waitForRequests('/', ({ length }) => length === 1);
  expect((await updateWebhook(server, { id, enabled: false })).webhook.state).toBe('PAUSED');
  await logIn(server, 'alice', 'WEB');
  await receiver.waitForRequests('/other', hasReceivedEvents(3));
  expect(await server.stop()).toEqual({ code: 0, signal: null });

  await using after = await startPorchlight({ env: LOCAL_RECEIVERS, directory: server.directory });
  await logIn(after, 'bob', 'WEB');
  await receiver.waitForRequests('/other', hasReceivedEvents(4));
  expect(receiver.requests('/').length).toBe(1);
  expect(await fetchWebhook(after, id)).toMatchObject({ state: 'PAUSED' });
  await updateWebhook(after, { id, enabled: true });
  expectDeliveredLog(await receiver.waitForRequests('/', hasReceivedEvents(4)), await readLog(after));
});

test('sends waiting deliveries to a new URL and removes all data of a deleted webhook', async () => {
  await using server = await startPorchlight({ env: LOCAL_RECEIVERS });
  await using receiver = await ReceiverProcess.start();
  // No retry happens before tomorrow.
  await receiver.setRules({
    path: '/old',
    behaviour: { kind: 'answer', status: 503, headers: { 'retry-after': '86400' } },
  });
  const moved = await createReceivedWebhook(server, receiver, '/old');
  const deleted = await createReceivedWebhook(server, receiver, '/old');
  await logIn(server, 'alice');
  for (const { id } of [moved, deleted]) await waitForDeliveries(server, id, [{ status: 'RETRYING' }]);
  const DELETE = 'mutation ($id: ID!) { deleteWebhook(input: {id: $id}) { webhook { id url } } }';
  expect(await postForData(server, server.apiKey, DELETE, { id: deleted.id })).toEqual({
    deleteWebhook: { webhook: { id: deleted.id, url: receiver.url('/old') } },
  });
  expect(await fetchWebhook(server, deleted.id)).toBeNull();
  await receiver.setSecrets('/new', { now: moved.secret });
  await updateWebhook(server, { id: moved.id, url: receiver.url('/new') });
  const requests = await receiver.waitForRequests('/new', hasReceivedEvents(1));
  expect(idsOf(requests)).toEqual([(await waitForDeliveries(server, moved.id, [{ status: 'DELIVERED' }]))[0]?.id]);
  expect(requests[0]?.signedBy).toEqual(['now']);
  await logIn(server, 'bob');
  await receiver.waitForRequests('/new', hasReceivedEvents(2));
  expect(receiver.requests('/old').length, 'once for each of the two').toBe(2);
});
