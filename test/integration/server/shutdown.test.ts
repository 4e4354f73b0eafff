import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { pino } from 'pino';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createHttpHandler } from '../../../src/server/http/router.ts';
import { CUT } from '../../unit/app/webhooks/webhook-parts.ts';
import { HOOK } from '../../unit/app/webhooks/webhook-service-harness.ts';
import { API_KEY, House, LOGIN } from './support/server-harness.ts';
import { Wire } from './support/wire.ts';

describe('a server that closes', () => {
  test('closes sockets with 1012, which is no DISCONNECT', async () => {
    const house = await House.open();
    const { token } = await house.login('alice', 'WEB');
    const session = await Wire.as(house.socketUrl, token);
    const user = await Wire.as(house.socketUrl, await house.jwt('bob'));
    await user.ask(LOGIN, { input: { platform: 'IPHONE' } });
    const unknown = new Wire(house.socketUrl);
    await unknown.opened;
    await house.server.close();
    for (const wire of [session, user, unknown]) expect((await wire.closed).code).toBe(1012);
    const [alice, bob] = await house.store.read(['alice' as never, 'bob' as never]);
    for (const person of [alice, bob]) {
      // The server is done with them before its store is closed.
      expect(person).toMatchObject({ status: 'ONLINE', version: 1, sessions: [{ links: [] }] });
    }
  });

  test('answers what is under way, over both doors, and then nobody', async () => {
    const house = await House.open();
    const wire = await Wire.as(house.socketUrl, await house.jwt('alice'));
    const { tracker } = house.porchlight;
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
    const reply = house.post(LOGIN, await house.jwt('bob'), { input: { platform: 'WEB' } });
    await bothThere;
    const closed = house.server.close();
    for (const go of waiting) go();
    expect((await reply).body.errors).toBeUndefined();
    expect((await reply).headers.get('connection')).toBe('close');
    expect((await wire.next()).type).toBe('next');
    expect((await wire.closed).code).toBe(1012);
    await closed;
    await expect(fetch(`${house.url}/health/ready`)).rejects.toThrow();
  });

  test('waits for no receiver of a webhook that is tested', async () => {
    const house = await House.open();
    const wire = await Wire.as(house.socketUrl, API_KEY);
    const { webhook } = await house.porchlight.webhooks.create({ url: HOOK });
    const { courier } = house.webhooks;
    courier.answer = new Promise(() => undefined);
    const document = 'mutation ($id: ID!) { testWebhook(input: { id: $id }) { delivery { status lastError } } }';
    const reply = house.post(document, API_KEY, { id: webhook.id });
    wire.subscribe(document, { id: webhook.id });
    await vi.waitFor(() => expect(courier.attempts).toHaveLength(2));
    const closed = house.server.close();
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
    const house = await House.open();
    const response = await fetch(
      `${house.url}/graphql?query=${encodeURIComponent('subscription { statusChanges(userIds: ["a"]) { status } }')}`,
      { headers: { accept: 'text/event-stream', authorization: `Bearer ${API_KEY}` } },
    );
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let told = '';
    while (!told.includes('OFFLINE')) told += (await reader?.read())?.value ?? '';
    const closed = house.server.close();
    for (let chunk = await reader?.read(); chunk?.done === false; chunk = await reader?.read()) told += chunk.value;
    expect(told).toContain('"code":"OVERLOADED","retryAfterMs":1000');
    expect(told).toContain('event: complete');
    await closed;
    expect(house.porchlight.watchers.watchedUsers).toBe(0);
  });

  test('does not wait for who keeps a connection open and silent, nor for one it has refused', async () => {
    const house = await House.open();
    const { hostname, port } = new URL(house.url);
    const silent = connect(Number(port), hostname);
    await new Promise<void>((resolve) => silent.once('connect', resolve));
    const gone = new Promise<void>((resolve) => silent.once('close', () => resolve()));
    silent.resume();
    await house.server.close();
    await gone;
  });

  test('may be closed before it was opened, and twice', async () => {
    const house = await House.open();
    await Promise.all([house.server.close(), house.server.close()]);
    await house.server.close();
  });
});
