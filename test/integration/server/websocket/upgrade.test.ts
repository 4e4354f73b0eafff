/** Which upgrades are accepted, and how sockets are closed that violate the protocol. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const WEBSOCKET_HEADERS = [
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
];

/** Sends an upgrade as text and returns the response. Of several lines with one name, or of request lines, the last counts. */
const sendUpgrade = (harness: ServerHarness, lines: readonly string[]): Promise<string> => {
  const { hostname, port } = new URL(harness.url);
  const all = ['GET /graphql HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', ...lines];
  const byName = new Map(all.map((line) => [line.endsWith('HTTP/1.1') ? '' : line.split(':', 1)[0], line]));
  const socket = connect(Number(port), hostname);
  socket.write(`${[...byName.values()].join('\r\n')}\r\n\r\n`);
  return text(socket);
};

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

  test('without the WebSocket headers is rejected with 400', async () => {
    const harness = await ServerHarness.open();
    expect(await sendUpgrade(harness, [])).toMatch(/^HTTP\/1.1 400 /);
  });

  test.each<[string, number, string, string, readonly string[]]>([
    ['another path', 404, 'NOT_FOUND', 'There is no WebSocket here: GraphQL is at /graphql.', ['GET /socket HTTP/1.1']],
    ['a foreign origin', 403, 'FORBIDDEN', 'PORCHLIGHT_ALLOWED_ORIGINS', ['Origin: https://evil.example']],
    ['no key', 400, 'BAD_REQUEST', 'Missing or invalid Sec-WebSocket-Key header.', ['Sec-WebSocket-Key: ']],
    ['an old version', 400, 'BAD_REQUEST', 'Sec-WebSocket-Version header.', ['Sec-WebSocket-Version: 7']],
    ['another method', 405, 'BAD_REQUEST', 'An upgrade must be a GET request.', ['POST /graphql HTTP/1.1']],
    ['a malformed subprotocol', 400, 'BAD_REQUEST', 'Sec-WebSocket-Protocol header.', ['Sec-WebSocket-Protocol: a b']],
  ])(
    'that is rejected because of %s says so in its body, in a metric and in the log at level debug',
    async (_what, status, code, message, lines) => {
      const harness = await ServerHarness.open();
      const response = await sendUpgrade(harness, [...WEBSOCKET_HEADERS, ...lines]);
      expect(response).toMatch(new RegExp(`^HTTP/1.1 ${status} [^]*\r\nConnection: close\r\n`));
      const body = JSON.parse(response.split('\r\n\r\n')[1] ?? '') as { errors: readonly { message: string }[] };
      expect(body).toMatchObject({ errors: [{ extensions: { code } }] });
      expect(body.errors[0]?.message).toContain(message);
      expect((await harness.metrics()).get(`porchlight_upgrades_rejected_total{status="${status}"}`)).toBe(1);
      expect(harness.logLines.join('')).toContain('An upgrade to WebSocket was rejected');
      if (lines.includes('Sec-WebSocket-Version: 7'))
        expect(response).toContain('\r\nSec-WebSocket-Version: 13, 8\r\n');
      if (status === 405) expect(response).toContain('\r\nAllow: GET\r\n');
    },
  );
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
    expect(harness.logLines.join('')).not.toContain('ééé');
    expect(harness.logLines.join('')).not.toContain('"level":"error"');
  });

  test.each<[string, string, string]>([
    ['start', '{"type":"start","id":"1","payload":{"query":"{ __typename }"}}', 'send "subscribe"'],
    ['stop', '{"type":"stop","id":"1"}', 'send "complete"'],
    ['connection_terminate', '{"type":"connection_terminate","payload":null}', 'close the socket'],
  ])(
    'with 4400 and what to send instead after the message %s of subscriptions-transport-ws',
    async (type, text, instead) => {
      const harness = await ServerHarness.open();
      for (const isAcknowledged of [true, false]) {
        const socket = isAcknowledged
          ? await TestSocket.connect(harness.socketUrl, API_KEY)
          : new TestSocket(harness.socketUrl);
        await socket.opened;
        socket.webSocket.send(text);
        expect(await socket.closed).toEqual({
          code: 4400,
          reason: `Invalid message received: "${type}" is of another subprotocol; ${instead}`,
        });
      }
    },
  );

  test.each<[string, string, string]>([
    ['a keep-alive of servers', '{"type":"ka"}', 'Invalid message received: unknown type "ka"'],
    ['text that is not JSON', 'hello', 'Invalid message received: not JSON'],
    ['connection_ack', '{"type":"connection_ack"}', 'Unexpected message: only servers send this type'],
    [
      'complete without an id',
      '{"type":"complete"}',
      'Invalid message received: "complete" has a wrong or missing member',
    ],
    [
      'a payload of connection_init that is text',
      '{"type":"connection_init","payload":"Bearer secret"}',
      'Invalid message received: "connection_init" has a wrong or missing member',
    ],
  ])('with 4400 and the cause after %s', async (_what, text, reason) => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    socket.webSocket.send(text);
    expect(await socket.closed).toEqual({ code: 4400, reason });
    await expect.poll(() => harness.logLines.join('')).toContain(`"reason":${JSON.stringify(reason)}`);
    expect(harness.logLines.join('')).not.toContain('secret');
  });

  test('with 4401 after an operation before connection_init', async () => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    socket.subscribe('{ __typename }');
    expect(await socket.closed).toEqual({
      code: 4401,
      reason: 'Unauthorized: send connection_init and wait for connection_ack before subscribe',
    });
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

  test('with 1013 and a masked reason when the authentication fails internally', async () => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    vi.spyOn(harness.store, 'readUsers').mockRejectedValueOnce(new Error('disk failure'));
    const socket = new TestSocket(harness.socketUrl);
    await socket.sendInit({ authorization: `Bearer ${token}` });
    expect(await socket.closed).toEqual({ code: 1013, reason: 'Internal server error' });
    expect(harness.logLines.join('')).toContain('disk failure');
  });
});

describe('a socket', () => {
  test('answers a ping frame with its payload, before and after the acknowledgement', async () => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    for (const payload of [Buffer.alloc(0), Buffer.from([0xff, 0x00]), Buffer.alloc(125, 'p')]) {
      const pong = once(socket.webSocket, 'pong');
      socket.webSocket.ping(payload);
      expect(await pong).toEqual([payload]);
      if (payload.length === 2) {
        await socket.sendInit({ authorization: `Bearer ${API_KEY}` });
        await socket.nextMessage();
      }
    }
  });

  test('without a session is terminated when its client stops in the middle of a frame', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { pingIntervalMs: 40 } });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    // The header of a masked text of 4 KiB and its first byte. The client cannot answer pings before the rest.
    socket.tcpSocket.write(Buffer.from([0x81, 0xfe, 0x10, 0, 1, 2, 3, 4, 0x7a]));
    socket.tcpSocket.write = () => true;
    expect((await socket.closed).code).toBe(1006);
  });

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
