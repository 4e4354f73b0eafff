/** Internal errors of the server: no client learns the cause, files or values. */
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { sendRawBytes } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/test-socket.ts';

const CAUSE = 'SQLITE_CORRUPT: no such table users in /var/lib/porchlight/porchlight.db';

/** Expects no file, line, function or internal value in an answer. */
const expectNoInternals = (answer: string): void => {
  expect(answer).not.toMatch(
    /SQLITE|porchlight\.db|\/(src|dist|home|tmp|var|node_modules)\/|\.(js|ts):\d|\bat .+\(|stack|originalError|Error:/i,
  );
};

const breakStore = (harness: ServerHarness): void => {
  const { store, webhooks } = harness;
  const throwCorruption = (): never => {
    throw Object.assign(new Error(CAUSE), {
      path: '/var/lib/porchlight',
      code: 'SQLITE_CORRUPT',
      extensions: { code: 'X', cause: CAUSE },
    });
  };
  for (const name of ['readUsers', 'updateUser', 'getPresenceCounts', 'listOnlineUsers', 'findEndedSession'] as const) {
    vi.spyOn(store, name).mockImplementation(throwCorruption);
  }
  for (const name of ['listWebhooks', 'createWebhook', 'listDeliveries', 'findDelivery'] as const) {
    vi.spyOn(webhooks.store, name).mockImplementation(throwCorruption);
  }
  for (const name of ['readEvents', 'getLatestCursor'] as const)
    vi.spyOn(store.eventLog, name).mockImplementation(throwCorruption);
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

describe('a failing store', () => {
  test('answers each operation with INTERNAL_SERVER_ERROR alone, over every transport and content type', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
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
      answers.push(JSON.stringify(await socket.execute(query)));
      for (const answer of answers) {
        expect(answer, query).toContain('"message":"Internal server error."');
        expect(answer, query).toContain('"extensions":{"code":"INTERNAL_SERVER_ERROR"}');
        expectNoInternals(answer);
      }
    }
    expect(harness.logLines.join('')).toContain(CAUSE);
  });

  test('discloses nothing in a failed subscription, authentication or event stream', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    breakStore(harness);
    socket.subscribe('subscription { statusChanges(userIds: ["alice"]) { status } }');
    expectNoInternals(JSON.stringify(await socket.nextMessage()));
    const refused = new TestSocket(harness.socketUrl);
    await refused.sendInit({ authorization: `Bearer ${token}` });
    expect(await refused.closed).toEqual({ code: 1013, reason: 'Internal server error' });
    const stream = await fetch(`${harness.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: 'subscription { sessionEnded { reason } }' }),
    });
    const body = await stream.text();
    expect(body).toContain('INTERNAL_SERVER_ERROR');
    expectNoInternals(body);
  });

  test('discloses nothing in the answers to malformed requests', async () => {
    const harness = await ServerHarness.open();
    for (const bytes of [
      'HELLO\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      `GET /${'x'.repeat(60_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    ]) {
      const answer = await sendRawBytes(harness, bytes);
      expect(answer).toMatch(
        /^HTTP\/1\.1 4\d\d [\w ]+\r\nConnection: close\r\n([\w-]+: [\w/; =-]+\r\n)+\r\n{"errors":\[{"message":"[\w ,./]+","extensions":{"code":"BAD_REQUEST"}}\]}$/,
      );
    }
  });
});

test('answers a request that fails before it is an operation with 500 and logs the cause', async () => {
  const harness = await ServerHarness.open({
    graphiql: () => {
      throw new Error(CAUSE);
    },
  });
  const response = await fetch(`${harness.url}/nothing`);
  expect([response.status, await response.json()]).toEqual([
    500,
    { errors: [{ message: 'Internal server error.', extensions: { code: 'INTERNAL_SERVER_ERROR' } }] },
  ]);
  expect(harness.logLines.join('')).toContain(CAUSE);
});
