/** Webhooks deliver the same events as the subscription, with a signature. */
import { expect, test } from 'vitest';
import { postForData, dataOf, GraphqlSocket } from '../../support/porchlight-client.ts';
import { type ReceivedRequest, LOCAL_RECEIVERS, ReceiverProcess } from '../../support/webhooks/receiver-process.ts';
import { eventsIn, payloadOf } from '../../support/webhooks/webhook-log.ts';
import { EVENT, type EventResult, logIn, logOut, newUserId, startSharedServer } from '../support/users.ts';
import { waitForDeliveries, updateWebhook, fetchWebhook, createReceivedWebhook } from './webhook-calls.ts';

const server = startSharedServer({ env: { ...LOCAL_RECEIVERS, PORCHLIGHT_WEBHOOK_TIMEOUT: '5s' } });

const SET = 'mutation ($text: String) { setCustomStatus(input: {text: $text}) { userStatus { version } } }';

test('delivers signed events with the same fields as presenceEvents', async () => {
  await using receiver = await ReceiverProcess.start();
  const { secret, ...webhook } = await createReceivedWebhook(server, receiver, '/all');
  expect(webhook).toMatchObject({ format: 'STANDARD', reasons: null, userStatusOnly: false, state: 'ACTIVE' });
  expect(secret).toMatch(/^whsec_/);
  const follower = await GraphqlSocket.open(server, server.apiKey);
  const feed = follower.subscribe<{ presenceEvents: EventResult[] }>(
    `subscription ($after: Cursor) { presenceEvents(after: $after) { ${EVENT} } }`,
    { after: (await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }')).latestCursor },
  );
  const userId = newUserId();
  await logIn(server, userId, 'IPHONE', 'phone');
  const other = await logIn(server, userId, 'ANDROID');
  await postForData(server, other.token, SET, { text: 'at “lunch” 🍜' });
  await logOut(server, other);

  const received: EventResult[] = [];
  while (received.length < 5) {
    received.push(...dataOf(await feed.next()).presenceEvents.filter((event) => event.userId === userId));
  }
  const ofUser = (requests: readonly ReceivedRequest[]): readonly EventResult[] =>
    requests.flatMap((request) => eventsIn<EventResult>(request)).filter((event) => event.userId === userId);
  const requests = await receiver.waitForRequests('/all', (all) => ofUser(all).length >= 5);
  expect(ofUser(requests)).toEqual(received);
  expect(received.map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN', 'KICKED', 'CUSTOM_STATUS', 'LOGOUT']);
  for (const request of requests) {
    expect(request.signedBy).toEqual(['now']);
    expect(request.headers).toMatchObject({ 'content-type': expect.stringMatching(/^application\/json/) as unknown });
    const { type, timestamp } = payloadOf(request);
    expect({ type, timestamp }).toEqual({
      type: 'presence.events',
      timestamp: eventsIn<EventResult>(request).at(-1)?.occurredAt,
    });
  }
  expect(new Set(requests.map(({ headers }) => headers['webhook-id'])).size).toBe(requests.length);
  await follower.close();
});

test('delivers only events that match the filter, and skipped events are not delivered later', async () => {
  await using receiver = await ReceiverProcess.start();
  await createReceivedWebhook(server, receiver, '/reasons', { reasons: ['LOGOUT', 'KICKED'] });
  await createReceivedWebhook(server, receiver, '/status', { userStatusOnly: true });
  const both = await createReceivedWebhook(server, receiver, '/both', { reasons: ['LOGIN'], userStatusOnly: true });
  const userId = newUserId();
  await logIn(server, userId, 'IPHONE');
  const device = await logIn(server, userId, 'ANDROID');
  await logOut(server, device);
  // After this delivery, the earlier events of the user are not scanned again.
  const last = await logIn(server, userId, 'IPHONE');
  const delivered = (path: string): readonly string[] =>
    receiver
      .requests(path)
      .flatMap((request) => eventsIn(request))
      .filter((event) => event.userId === userId)
      .map(({ reason, status }) => `${reason} ${status}`);
  const all = {
    '/reasons': ['KICKED ONLINE', 'LOGOUT OFFLINE'],
    '/status': ['LOGIN ONLINE', 'LOGOUT OFFLINE', 'LOGIN ONLINE'],
    '/both': ['LOGIN ONLINE', 'LOGIN ONLINE'],
  };
  for (const [path, expected] of Object.entries(all)) {
    await receiver.waitForRequests(path, () => delivered(path).length >= expected.length);
  }
  const { webhook } = await updateWebhook(server, { id: both.id, reasons: null });
  expect(webhook).toMatchObject({ reasons: null, userStatusOnly: true });
  await logOut(server, last);
  for (const [path, expected] of Object.entries(all)) {
    await receiver.waitForRequests(path, () => delivered(path).length > expected.length);
    expect(delivered(path), path).toEqual([...expected, 'LOGOUT OFFLINE']);
  }
});

test('sends a test at once and lists its delivery', async () => {
  await using receiver = await ReceiverProcess.start();
  const { id } = await createReceivedWebhook(server, receiver, '/test', { reasons: ['PUSH_EXPIRED'] });
  const TEST = `mutation ($id: ID!) { testWebhook(input: {id: $id}) {
    delivery { id status isTest eventCount attempts lastStatus lastError } } }`;
  const { testWebhook } = await postForData<{ testWebhook: { delivery: object } }>(server, server.apiKey, TEST, { id });
  const [request] = receiver.requests('/test');
  expect(request?.signedBy).toEqual(['now']);
  expect(request && payloadOf(request)).toMatchObject({ type: 'webhook.test', data: {} });
  const expected = { id: request?.headers['webhook-id'], status: 'DELIVERED', isTest: true, eventCount: 0 };
  expect(testWebhook.delivery).toMatchObject({ ...expected, attempts: 1, lastStatus: 200, lastError: null });
  await receiver.setRules({ behaviour: { kind: 'answer', status: 500 } });
  const failed = await postForData<{ testWebhook: { delivery: object } }>(server, server.apiKey, TEST, { id });
  expect(failed.testWebhook.delivery).toMatchObject({ status: 'DEAD', isTest: true, attempts: 1, lastStatus: 500 });
  expect(receiver.requests('/test').length, 'it is tried once').toBe(2);
});

test('delivers the events of other users while those of one user fail', async () => {
  await using receiver = await ReceiverProcess.start();
  const { id } = await createReceivedWebhook(server, receiver, '/', { reasons: ['LOGIN'] });
  const [first, ...others] = Array.from({ length: 25 }, () => newUserId('crowd'));
  await receiver.setRules({ userId: first ?? '', behaviour: { kind: 'answer', status: 500 } });
  await logIn(server, first ?? '');
  await waitForDeliveries(server, id, [{ status: 'RETRYING', lastStatus: 500, eventCount: 1 }]);
  for (const userId of others) await logIn(server, userId);
  const taken = (): readonly string[] =>
    receiver
      .requests('/')
      .filter(({ status }) => status === 200)
      .flatMap((request) => eventsIn(request).map(({ userId }) => userId));
  // Only the users of the same shard wait, one shard of eight.
  await receiver.waitForRequests('/', () => taken().length >= others.length / 2);
  expect(taken()).not.toContain(first);
  await receiver.setRules();
  await receiver.waitForRequests('/', () => new Set(taken()).size === 25);
  expect(new Set(taken())).toEqual(new Set([first, ...others]));
});

test('rotates a secret while events are sent, and receivers with either secret accept all requests', async () => {
  await using receiver = await ReceiverProcess.start();
  const { id, secret } = await createReceivedWebhook(server, receiver, '/', { reasons: ['CUSTOM_STATUS'] });
  await receiver.setSecrets('/', { old: secret });
  const device = await logIn(server, newUserId());
  const writer = await GraphqlSocket.open(server, device.token);
  let texts = 0;
  let flowing = true;
  const flow = (async () => {
    while (flowing) await writer.executeForData(SET, { text: `text ${texts++}` });
  })();
  await receiver.waitForRequests('/', (requests) => requests.length >= 2);
  const rotated = await updateWebhook(server, { id, rotateSecret: true });
  expect(rotated.secret).toMatch(/^whsec_/);
  expect(rotated.secret).not.toBe(secret);
  expect(Date.parse(rotated.webhook.previousSecretValidUntil ?? '')).toBeGreaterThan(Date.now());
  await receiver.setSecrets('/', { old: secret, new: rotated.secret ?? '' });
  const before = receiver.requests('/').length;
  await receiver.waitForRequests('/', (requests) =>
    requests.slice(before).some(({ signedBy }) => signedBy.includes('new')),
  );
  const both = receiver.requests('/').length;
  await receiver.waitForRequests('/', ({ length }) => length >= both + 2);
  // Again, with a secret of the backend, and the previous ones end within a millisecond.
  const last = `whsec_${Buffer.alloc(24, 9).toString('base64')}`;
  await receiver.setSecrets('/', { old: secret, new: rotated.secret ?? '', last });
  expect((await updateWebhook(server, { id, secret: last, previousSecretValidMs: 1 })).secret).toBe(last);
  await receiver.waitForRequests('/', (requests) => requests.at(-1)?.signedBy.includes('last') === true);
  const end = receiver.requests('/').length;
  await receiver.waitForRequests('/', ({ length }) => length >= end + 2);
  flowing = false;
  await flow;

  const requests = receiver.requests('/');
  for (const { signedBy } of requests.slice(0, before)) expect(signedBy).toContain('old');
  for (const { signedBy } of requests.slice(both, both + 2)) expect(signedBy).toEqual(['old', 'new']);
  for (const { signedBy } of requests.slice(end)) expect(signedBy).toEqual(['last']);
  expect(requests.filter(({ signedBy }) => signedBy.length === 0).length, 'signed by one that was not known yet').toBe(
    0,
  );
  expect(await fetchWebhook(server, id)).toMatchObject({ state: 'ACTIVE', previousSecretValidUntil: null });
  await writer.close();
});
