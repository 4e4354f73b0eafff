import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { OriginPolicy } from '../../../src/server/auth/allowed-origins.ts';
import { createRouter } from '../../../src/server/http/router.ts';
import { ABORTED_REPORT } from '../../unit/webhooks/support/fake-sender.ts';
import { HOOK } from '../../unit/app/webhooks/webhook-service-harness.ts';
import { API_KEY, ServerHarness, LOGIN } from './support/server-harness.ts';
import { TestSocket } from './support/test-socket.ts';

describe('a closing server', () => {
  test('closes sockets with 1012 without a DISCONNECT event', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const session = await TestSocket.connect(harness.socketUrl, token);
    const userSocket = await TestSocket.connect(harness.socketUrl, await harness.jwt('bob'));
    await userSocket.execute(LOGIN, { input: { platform: 'IPHONE' } });
    const unknown = new TestSocket(harness.socketUrl);
    await unknown.opened;
    await harness.server.close();
    for (const socket of [session, userSocket, unknown]) expect((await socket.closed).code).toBe(1012);
    const [alice, bob] = await harness.store.readUsers(['alice' as never, 'bob' as never]);
    for (const user of [alice, bob]) {
      // Every socket is removed from its session before the store is closed.
      expect(user).toMatchObject({ status: 'ONLINE', version: 1, sessions: [{ socketIds: [] }] });
    }
  });

  test('completes active operations over both transports, and then refuses connections', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
    const { tracker } = harness.application;
    const waiting: (() => void)[] = [];
    const bothArrived = new Promise<void>((resolve) => {
      const login = vi.spyOn(tracker, 'login');
      login.mockImplementation(async (...args) => {
        await new Promise<void>((go) => {
          if (waiting.push(go) === 2) resolve();
        });
        login.mockRestore();
        return tracker.login(...args);
      });
    });
    socket.subscribe(LOGIN, { input: { platform: 'WEB' } });
    const reply = harness.post(LOGIN, await harness.jwt('bob'), { input: { platform: 'WEB' } });
    await bothArrived;
    const closed = harness.server.close();
    for (const go of waiting) go();
    expect((await reply).body.errors).toBeUndefined();
    expect((await reply).headers.get('connection')).toBe('close');
    expect((await socket.nextMessage()).type).toBe('next');
    expect((await socket.closed).code).toBe(1012);
    await closed;
    await expect(fetch(`${harness.url}/health/ready`)).rejects.toThrow();
  });

  test('aborts test deliveries of webhooks and answers their mutations', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const { webhook } = await harness.application.webhookService.createWebhook({ url: HOOK });
    const { sender: courier } = harness.webhooks;
    courier.nextReport = new Promise(() => undefined);
    const document = 'mutation ($id: ID!) { testWebhook(input: { id: $id }) { delivery { status lastError } } }';
    const reply = harness.post(document, API_KEY, { id: webhook.id });
    socket.subscribe(document, { id: webhook.id });
    await vi.waitFor(() => expect(courier.attempts).toHaveLength(2));
    const closed = harness.server.close();
    const cut = { testWebhook: { delivery: { status: 'DEAD', lastError: ABORTED_REPORT.error } } };
    expect((await reply).body).toEqual({ data: cut });
    expect(await socket.nextMessage()).toMatchObject({ type: 'next', payload: { data: cut } });
    expect((await socket.closed).code).toBe(1012);
    await closed;
  });

  test('reports 503 for readiness and 200 for liveness', async () => {
    const http = createServer(
      createRouter({
        graphql: () => Promise.reject(new Error('Unexpected GraphQL request.')),
        originPolicy: new OriginPolicy({ allowedOrigins: [], trustProxy: false, log: null }),
        state: () => 'stopping',
        graphiql: undefined,
        metrics: undefined,
        externalApi: undefined,
        log: pino({ level: 'silent' }),
      }),
    );
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void http.close());
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const ready = await fetch(`${url}/health/ready`);
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'stopping' }]);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });

  test('ends event streams with OVERLOADED and a retry delay', async () => {
    const harness = await ServerHarness.open();
    const response = await fetch(
      `${harness.url}/graphql?query=${encodeURIComponent('subscription { statusChanges(userIds: ["a"]) { status } }')}`,
      { headers: { accept: 'text/event-stream', authorization: `Bearer ${API_KEY}` } },
    );
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let received = '';
    while (!received.includes('OFFLINE')) received += (await reader?.read())?.value ?? '';
    const closed = harness.server.close();
    for (let chunk = await reader?.read(); chunk?.done === false; chunk = await reader?.read()) received += chunk.value;
    expect(received).toContain('"code":"OVERLOADED","retryAfterMs":1000');
    expect(received).toContain('event: complete');
    await closed;
    expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
  });

  test('does not wait for an idle connection', async () => {
    const harness = await ServerHarness.open();
    const { hostname, port } = new URL(harness.url);
    const idle = connect(Number(port), hostname);
    await new Promise<void>((resolve) => idle.once('connect', resolve));
    const closed = new Promise<void>((resolve) => idle.once('close', () => resolve()));
    idle.resume();
    await harness.server.close();
    await closed;
  });

  test('can be closed several times, also concurrently', async () => {
    const harness = await ServerHarness.open();
    await Promise.all([harness.server.close(), harness.server.close()]);
    await harness.server.close();
  });
});
