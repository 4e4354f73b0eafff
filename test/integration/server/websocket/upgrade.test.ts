/** Who may open a socket, and how one is closed that breaks the protocol. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const asBackend = { authorization: `Bearer ${API_KEY}` };

/** The status with which an upgrade is refused; 101 when it is not. */
const upgrade = (harness: ServerHarness, path: string, headers: Record<string, string> = {}): Promise<number> => {
  const wire = new TestSocket(`ws://${new URL(harness.url).host}${path}`, { headers });
  return new Promise((resolve) => {
    wire.webSocket.once('open', () => resolve(101));
    wire.webSocket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
  });
};

describe('an upgrade', () => {
  test('is for /graphql alone', async () => {
    const harness = await ServerHarness.open();
    expect(await upgrade(harness, '/graphql')).toBe(101);
    expect(await upgrade(harness, '/graphql?x=1')).toBe(101);
    for (const path of ['/', '/graphql/', '/graphqlx', '/health/live']) expect(await upgrade(harness, path)).toBe(404);
  });

  test('is for pages of its own and of allowed origins, and for what is no browser', async () => {
    const harness = await ServerHarness.open({ settings: { allowedOrigins: ['https://app.example'] } });
    const { host, port } = new URL(harness.url);
    expect(await upgrade(harness, '/graphql', { origin: `http://${host}` })).toBe(101);
    expect(await upgrade(harness, '/graphql', { origin: `https://${host}` })).toBe(101);
    expect(await upgrade(harness, '/graphql', { origin: 'https://APP.example' })).toBe(101);
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
      expect(await upgrade(harness, '/graphql', { origin }), origin).toBe(403);
    }
    const open = await ServerHarness.open({ settings: { allowedOrigins: ['*'] } });
    expect(await upgrade(open, '/graphql', { origin: 'https://evil.example' })).toBe(101);
  });

  test('is for the one protocol there is', async () => {
    const harness = await ServerHarness.open();
    expect((await new TestSocket(harness.socketUrl, { protocols: [] }).closed).code).toBe(4406);
    // A client that gets none of its protocols gives up by itself.
    expect((await new TestSocket(harness.socketUrl, { protocols: ['graphql-ws', 'other'] }).closed).code).toBe(1006);
    expect((await TestSocket.connect(harness.socketUrl, API_KEY)).webSocket.protocol).toBe('graphql-transport-ws');
  });

  test('that is none is refused', async () => {
    const harness = await ServerHarness.open();
    const { hostname, port } = new URL(harness.url);
    const socket = connect(Number(port), hostname);
    socket.write('GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('a client that breaks the protocol is closed', () => {
  test.each<[string, (wire: TestSocket) => void, number]>([
    ['no JSON', (wire) => wire.webSocket.send('{'), 4400],
    ['no message', (wire) => wire.send({ hello: 1 }), 4400],
    ['a message that only servers send', (wire) => wire.send({ type: 'next', id: '1', payload: {} }), 4400],
    ['init again', (wire) => wire.send({ type: 'connection_init' }), 4429],
    [
      'an id that is taken, however long',
      (wire) => {
        const message = {
          type: 'subscribe',
          id: 'é'.repeat(300),
          payload: { query: 'subscription { presenceEvents { reason } }' },
        };
        wire.send(message);
        wire.send(message);
      },
      4409,
    ],
    ['no UTF-8', (wire) => wire.webSocket.send(Buffer.from([0xff, 0xfe]), { binary: false }), 1007],
  ])('%s', async (_what, misbehave, code) => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    misbehave(wire);
    const closed = await wire.closed;
    expect(closed.code).toBe(code);
    expect(closed.reason).not.toMatch(/at .*\.(ts|js)/);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
    expect(harness.logLines.join('')).not.toContain('"level":"error"');
  });

  test('for asking before it said who it is', async () => {
    const harness = await ServerHarness.open();
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    wire.subscribe('{ __typename }');
    expect((await wire.closed).code).toBe(4401);
  });

  test('for not saying who it is in time', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 50 } });
    const wire = new TestSocket(harness.socketUrl);
    expect((await wire.closed).code).toBe(4408);
  });

  test('when it cannot be found out in time who it is: it may come back', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 50 } });
    const { token } = await harness.login('alice');
    vi.spyOn(harness.store, 'readUsers').mockReturnValueOnce(new Promise(() => undefined));
    const wire = new TestSocket(harness.socketUrl);
    await wire.sendInit({ authorization: `Bearer ${token}` });
    expect((await wire.closed).code).toBe(1013);
  });

  test('when finding it out fails, and the client is not told how', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    vi.spyOn(harness.store, 'readUsers').mockRejectedValueOnce(new Error('disk on fire'));
    const wire = new TestSocket(harness.socketUrl);
    await wire.sendInit({ authorization: `Bearer ${token}` });
    expect(await wire.closed).toEqual({ code: 1011, reason: 'Internal server error' });
    expect(harness.logLines.join('')).toContain('disk on fire');
  });
});

describe('a socket', () => {
  test('answers many at once, each by its id, and pings as they come', async () => {
    const harness = await ServerHarness.open();
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const ids = Array.from({ length: 20 }, () => wire.subscribe('{ stats { sockets } }'));
    const answers = await Promise.all(Array.from({ length: 40 }, () => wire.nextMessage()));
    expect(
      answers
        .filter(({ type }) => type === 'next')
        .map(({ id }) => id)
        .sort(),
    ).toEqual(ids.sort());
    wire.send({ type: 'ping', payload: { n: 1 } });
    expect(await wire.nextMessage()).toEqual({ type: 'pong', payload: { n: 1 } });
  });

  test('of a foreign header alone is nobody’s', async () => {
    const harness = await ServerHarness.open();
    const wire = new TestSocket(harness.socketUrl, { headers: asBackend });
    await wire.sendInit();
    expect((await wire.closed).code).toBe(4401);
  });

  test('that answers no ping is cut off, one that does is not, and one that serves a session is left to its platform', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { pingIntervalMs: 40 } });
    const { token } = await harness.login('alice', 'IPHONE');
    const frozen = await TestSocket.connect(harness.socketUrl, API_KEY, { autoPong: false });
    const attached = await TestSocket.connect(harness.socketUrl, token, { autoPong: false });
    const well = await TestSocket.connect(harness.socketUrl, API_KEY);
    let pings = 0;
    attached.webSocket.on('ping', () => pings++);
    expect((await frozen.closed).code).toBe(1006);
    await expect.poll(() => pings).toBeGreaterThan(8);
    expect((await well.execute('{ stats { sockets } }')).payload?.['data']).toEqual({ stats: { sockets: 2 } });
    expect(await harness.status('alice')).toBe('ONLINE');
  });
});
