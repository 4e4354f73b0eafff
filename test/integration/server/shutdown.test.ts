import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createHttpHandler } from '../../../src/server/http/router.ts';
import { CUT } from '../../unit/app/webhooks/webhook-parts.ts';
import { HOOK } from '../../unit/app/webhooks/webhook-service-harness.ts';
import { API_KEY, ServerHarness, LOGIN } from './support/server-harness.ts';
import { TestSocket } from './support/wire.ts';

describe('a server that closes', () => {
  test('closes sockets with 1012, which is no DISCONNECT', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice', 'WEB');
    const session = await TestSocket.as(harness.socketUrl, token);
    const user = await TestSocket.as(harness.socketUrl, await harness.jwt('bob'));
    await user.ask(LOGIN, { input: { platform: 'IPHONE' } });
    const unknown = new TestSocket(harness.socketUrl);
    await unknown.opened;
    await harness.server.close();
    for (const wire of [session, user, unknown]) expect((await wire.closed).code).toBe(1012);
    const [alice, bob] = await harness.store.read(['alice' as never, 'bob' as never]);
    for (const person of [alice, bob]) {
      // The server is done with them before its store is closed.
      expect(person).toMatchObject({ status: 'ONLINE', version: 1, sessions: [{ links: [] }] });
    }
  });

  test('answers what is under way, over both doors, and then nobody', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.as(harness.socketUrl, await harness.jwt('alice'));
    const { tracker } = harness.porchlight;
    const waiting: (() => void)[] = [];
    const bothThere = new Promise<void>((resolve) => {
      const login = vi.spyOn(tracker, 'login');
      login.mockImplementation(async (...args) => {
        await new Promise<void>((go) => {
          if (waiting.push(go) === 2) resolve();
        });
        login.mockRestore();
        return tracker.login(...args);
      });
    });
    wire.subscribe(LOGIN, { input: { platform: 'WEB' } });
    const reply = harness.post(LOGIN, await harness.jwt('bob'), { input: { platform: 'WEB' } });
    await bothThere;
    const closed = harness.server.close();
    for (const go of waiting) go();
    expect((await reply).body.errors).toBeUndefined();
    expect((await reply).headers.get('connection')).toBe('close');
    expect((await wire.next()).type).toBe('next');
    expect((await wire.closed).code).toBe(1012);
    await closed;
    await expect(fetch(`${harness.url}/health/ready`)).rejects.toThrow();
  });

  test('waits for no receiver of a webhook that is tested', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.as(harness.socketUrl, API_KEY);
    const { webhook } = await harness.porchlight.webhooks.create({ url: HOOK });
    const { courier } = harness.webhooks;
    courier.answer = new Promise(() => undefined);
    const document = 'mutation ($id: ID!) { testWebhook(input: { id: $id }) { delivery { status lastError } } }';
    const reply = harness.post(document, API_KEY, { id: webhook.id });
    wire.subscribe(document, { id: webhook.id });
    await vi.waitFor(() => expect(courier.attempts).toHaveLength(2));
    const closed = harness.server.close();
    const cut = { testWebhook: { delivery: { status: 'DEAD', lastError: CUT.error } } };
    expect((await reply).body).toEqual({ data: cut });
    expect(await wire.next()).toMatchObject({ type: 'next', payload: { data: cut } });
    expect((await wire.closed).code).toBe(1012);
    await closed;
  });

  test('is not ready any more, but alive', async () => {
    const http = createServer(
      createHttpHandler({
        graphql: () => Promise.reject(new Error('Nobody asks.')),
        allowedOrigins: [],
        state: () => 'stopping',
        graphiql: undefined,
        metrics: undefined,
        foreign: undefined,
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

  test('ends streams of events and tells when to come back', async () => {
    const harness = await ServerHarness.open();
    const response = await fetch(
      `${harness.url}/graphql?query=${encodeURIComponent('subscription { statusChanges(userIds: ["a"]) { status } }')}`,
      { headers: { accept: 'text/event-stream', authorization: `Bearer ${API_KEY}` } },
    );
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let told = '';
    while (!told.includes('OFFLINE')) told += (await reader?.read())?.value ?? '';
    const closed = harness.server.close();
    for (let chunk = await reader?.read(); chunk?.done === false; chunk = await reader?.read()) told += chunk.value;
    expect(told).toContain('"code":"OVERLOADED","retryAfterMs":1000');
    expect(told).toContain('event: complete');
    await closed;
    expect(harness.porchlight.watchers.watchedUsers).toBe(0);
  });

  test('does not wait for who keeps a connection open and silent, nor for one it has refused', async () => {
    const harness = await ServerHarness.open();
    const { hostname, port } = new URL(harness.url);
    const silent = connect(Number(port), hostname);
    await new Promise<void>((resolve) => silent.once('connect', resolve));
    const gone = new Promise<void>((resolve) => silent.once('close', () => resolve()));
    silent.resume();
    await harness.server.close();
    await gone;
  });

  test('may be closed before it was opened, and twice', async () => {
    const harness = await ServerHarness.open();
    await Promise.all([harness.server.close(), harness.server.close()]);
    await harness.server.close();
  });
});
