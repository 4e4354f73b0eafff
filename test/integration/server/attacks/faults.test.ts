/** When we are at fault ourselves: whatever breaks, nobody outside learns how. */
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { rawly } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/wire.ts';

const WHY = 'SQLITE_CORRUPT: no such table users in /var/lib/porchlight/porchlight.db';

/** Files, lines, functions, values of ours. */
const expectTellsNothing = (told: string): void => {
  expect(told).not.toMatch(
    /SQLITE|porchlight\.db|\/(src|dist|home|tmp|var|node_modules)\/|\.(js|ts):\d|\bat .+\(|stack|originalError|Error:/i,
  );
};

const breakStore = (harness: ServerHarness): void => {
  const { store, webhooks } = harness;
  const fails = (): never => {
    throw Object.assign(new Error(WHY), {
      path: '/var/lib/porchlight',
      code: 'SQLITE_CORRUPT',
      extensions: { code: 'X', why: WHY },
    });
  };
  for (const name of ['read', 'update', 'counts', 'listOnline', 'findEnded'] as const) {
    vi.spyOn(store, name).mockImplementation(fails);
  }
  for (const name of ['webhooks', 'createWebhook', 'deliveries', 'findDelivery'] as const) {
    vi.spyOn(webhooks.store, name).mockImplementation(fails);
  }
  for (const name of ['read', 'latestCursor'] as const) vi.spyOn(store.log, name).mockImplementation(fails);
};

const QUERIES: readonly string[] = [
  '{ userStatus(userId: "alice") { status sessions { id } } }',
  '{ userStatuses(userIds: ["alice"]) { status } }',
  '{ onlineUsers { nodes { userId } } }',
  '{ stats { sockets } }',
  '{ events { nodes { userId } } }',
  'mutation { endSessions(input: { userId: "alice" }) { ended { id } } }',
  '{ webhooks { id } }',
  '{ webhookDeliveries { nodes { id } } }',
  'mutation { createWebhook(input: { url: "https://chat.example/hook" }) { secret } }',
  'mutation { testWebhook(input: { id: "webhook-1" }) { delivery { id } } }',
  'mutation { redeliver(input: { deliveryId: "delivery-1" }) { count } }',
];

describe('when the store fails', () => {
  test('an operation that fails tells its place in the document, at every door', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    breakStore(harness);
    for (const query of QUERIES) {
      const answers: string[] = [];
      for (const [path, accept] of [
        ['/graphql', 'application/json'],
        ['/graphql', 'application/graphql-response+json'],
        ['/graphql?by=yoga', 'application/json'],
        ['/graphql', 'text/event-stream'],
      ] as const) {
        const response = await fetch(`${harness.url}${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', accept, authorization: `Bearer ${API_KEY}` },
          body: JSON.stringify({ query }),
        });
        answers.push(await response.text());
      }
      answers.push(JSON.stringify(await wire.ask(query)));
      for (const answer of answers) {
        expect(answer, query).toContain('"message":"Internal server error."');
        expect(answer, query).toContain('"extensions":{"code":"INTERNAL_SERVER_ERROR"}');
        expectTellsNothing(answer);
      }
    }
    expect(harness.logged.join('')).toContain(WHY);
  });

  test('a subscription, an authentication, a request that fail tell nothing at all', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    breakStore(harness);
    wire.subscribe('subscription { statusChanges(userIds: ["alice"]) { status } }');
    expectTellsNothing(JSON.stringify(await wire.next()));
    const refused = new TestSocket(harness.socketUrl);
    await refused.init({ authorization: `Bearer ${token}` });
    expect(await refused.closed).toEqual({ code: 1011, reason: 'Internal server error' });
    const stream = await fetch(`${harness.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: 'subscription { sessionEnded { reason } }' }),
    });
    const told = await stream.text();
    expect(told).toContain('INTERNAL_SERVER_ERROR');
    expectTellsNothing(told);
  });

  test('what Node itself answers tells nothing either', async () => {
    const harness = await ServerHarness.open();
    for (const bytes of [
      'HELLO\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /${'x'.repeat(30_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    ]) {
      const answer = await rawly(harness, bytes);
      expect(answer).toMatch(/^HTTP\/1\.1 4\d\d [\w ]+\r\nConnection: close\r\n\r\n$/);
    }
  });
});

test('a request that fails before it is an operation is answered, and its connection is not lost', async () => {
  const harness = await ServerHarness.open({
    graphiql: () => {
      throw new Error(WHY);
    },
  });
  const response = await fetch(`${harness.url}/nothing`);
  expect([response.status, await response.json()]).toEqual([
    500,
    { errors: [{ message: 'Internal server error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } }] },
  ]);
  expect(harness.logged.join('')).toContain(WHY);
});
