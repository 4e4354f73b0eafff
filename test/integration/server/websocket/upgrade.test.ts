/** Which upgrades are accepted, and how sockets are closed that violate the protocol. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const asBackend = { authorization: `Bearer ${API_KEY}` };

/** The status of an upgrade request: 101 if it is accepted. */
const requestUpgrade = (
  harness: ServerHarness,
  path: string,
  headers: Record<string, string> = {},
): Promise<number> => {
  const socket = new TestSocket(`ws://${new URL(harness.url).host}${path}`, { headers });
  return new Promise((resolve) => {
    socket.webSocket.once('open', () => resolve(101));
    socket.webSocket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
  });
};

describe('an upgrade', () => {
  test('is accepted for /graphql only and rejected with 404 for other paths', async () => {
    const harness = await ServerHarness.open();
    expect(await requestUpgrade(harness, '/graphql')).toBe(101);
    expect(await requestUpgrade(harness, '/graphql?x=1')).toBe(101);
    for (const path of ['/', '/graphql/', '/graphqlx', '/health/live'])
      expect(await requestUpgrade(harness, path)).toBe(404);
  });

  test('is accepted from the own origin, allowed origins and clients without an origin, and rejected with 403 from others', async () => {
    const harness = await ServerHarness.open({ settings: { allowedOrigins: ['https://app.example'] } });
    const { host, port } = new URL(harness.url);
    expect(await requestUpgrade(harness, '/graphql', { origin: `http://${host}` })).toBe(101);
    expect(await requestUpgrade(harness, '/graphql', { origin: `https://${host}` })).toBe(101);
    expect(await requestUpgrade(harness, '/graphql', { origin: 'https://APP.example' })).toBe(101);
    for (const origin of [
      'https://evil.example',
      'https://app.example.evil.example',
      `http://127.0.0.1:${Number(port) + 1}`,
      'http://127.0.0.1',
      `http://${host}.evil.example`,
      'null',
      'file://',
      'nonsense',
      '',
    ]) {
      expect(await requestUpgrade(harness, '/graphql', { origin }), origin).toBe(403);
    }
    const anyOrigin = await ServerHarness.open({ settings: { allowedOrigins: ['*'] } });
    expect(await requestUpgrade(anyOrigin, '/graphql', { origin: 'https://evil.example' })).toBe(101);
  });

  test('requires the subprotocol graphql-transport-ws', async () => {
    const harness = await ServerHarness.open();
    expect((await new TestSocket(harness.socketUrl, { protocols: [] }).closed).code).toBe(4406);
    // A client whose subprotocols are all rejected closes by itself.
    expect((await new TestSocket(harness.socketUrl, { protocols: ['graphql-ws', 'other'] }).closed).code).toBe(1006);
    expect((await TestSocket.connect(harness.socketUrl, API_KEY)).webSocket.protocol).toBe('graphql-transport-ws');
  });

  test('without the WebSocket headers is rejected with 400', async () => {
    const harness = await ServerHarness.open();
    const { hostname, port } = new URL(harness.url);
    const socket = connect(Number(port), hostname);
    socket.write('GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('a socket is closed', () => {
  test.each<[string, (socket: TestSocket) => void, number]>([
    ['a message that is not JSON', (socket) => socket.webSocket.send('{'), 4400],
    ['JSON that is not a message', (socket) => socket.send({ hello: 1 }), 4400],
    ['a message that only servers send', (socket) => socket.send({ type: 'next', id: '1', payload: {} }), 4400],
    ['a second connection_init', (socket) => socket.send({ type: 'connection_init' }), 4429],
    [
      'a duplicate id, however long',
      (socket) => {
        const message = {
          type: 'subscribe',
          id: 'é'.repeat(300),
          payload: { query: 'subscription { presenceEvents { reason } }' },
        };
        socket.send(message);
        socket.send(message);
      },
      4409,
    ],
    ['a text that is not UTF-8', (socket) => socket.webSocket.send(Buffer.from([0xff, 0xfe]), { binary: false }), 1007],
  ])('after %s', async (_what, misbehave, code) => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    misbehave(socket);
    const closed = await socket.closed;
    expect(closed.code).toBe(code);
    expect(closed.reason).not.toMatch(/at .*\.(ts|js)/);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
    expect(harness.logLines.join('')).not.toContain('"level":"error"');
  });

  test('with 4401 after an operation before connection_init', async () => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    socket.subscribe('{ __typename }');
    expect((await socket.closed).code).toBe(4401);
  });

  test('with 4408 without connection_init in time', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 50 } });
    const socket = new TestSocket(harness.socketUrl);
    expect((await socket.closed).code).toBe(4408);
  });

  test('with 1013 when the authentication times out', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 50 } });
    const { token } = await harness.login('alice');
    vi.spyOn(harness.store, 'readUsers').mockReturnValueOnce(new Promise(() => undefined));
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${token}` });
    expect((await socket.closed).code).toBe(1013);
  });

  test('with 1011 and a masked reason when the authentication fails internally', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    vi.spyOn(harness.store, 'readUsers').mockRejectedValueOnce(new Error('disk failure'));
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${token}` });
    expect(await socket.closed).toEqual({ code: 1011, reason: 'Internal server error' });
    expect(harness.logLines.join('')).toContain('disk failure');
  });
});

describe('a socket', () => {
  test('answers concurrent operations by their ids, and pings', async () => {
    const harness = await ServerHarness.open();
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const ids = Array.from({ length: 20 }, () => socket.subscribe('{ stats { sockets } }'));
    const answers = await Promise.all(Array.from({ length: 40 }, () => socket.nextMessage()));
    expect(
      answers
        .filter(({ type }) => type === 'next')
        .map(({ id }) => id)
        .sort(),
    ).toEqual(ids.sort());
    socket.send({ type: 'ping', payload: { n: 1 } });
    expect(await socket.nextMessage()).toEqual({ type: 'pong', payload: { n: 1 } });
  });

  test('ignores the Authorization header of the upgrade request', async () => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl, { headers: asBackend });
    await socket.sendInit();
    expect((await socket.closed).code).toBe(4401);
  });

  test('is terminated after unanswered pings, unless it answers them or a session is attached', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { pingIntervalMs: 40 } });
    const { token } = await harness.login('alice', 'IPHONE');
    const frozen = await TestSocket.connect(harness.socketUrl, API_KEY, { autoPong: false });
    const attached = await TestSocket.connect(harness.socketUrl, token, { autoPong: false });
    const responsive = await TestSocket.connect(harness.socketUrl, API_KEY);
    let pings = 0;
    attached.webSocket.on('ping', () => pings++);
    expect((await frozen.closed).code).toBe(1006);
    await expect.poll(() => pings).toBeGreaterThan(8);
    expect((await responsive.execute('{ stats { sockets } }')).payload?.['data']).toEqual({ stats: { sockets: 2 } });
    expect(await harness.status('alice')).toBe('ONLINE');
  });
});
