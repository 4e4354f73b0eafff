/** What clients learn whose upgrade does not offer graphql-transport-ws. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { API_KEY, LIMITS, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const ACCEPTED = 'graphql-transport-ws';

/** Sends an upgrade with that header line, and never answers a frame. */
const openUpgrade = (harness: ServerHarness, subprotocols: string | null): Socket => {
  const { hostname, port } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(
    'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
      `Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${subprotocols === null ? '' : `${subprotocols}\r\n`}\r\n`,
  );
  return socket;
};

/** Returns the head of the response to an upgrade. */
const readUpgradeResponse = async (harness: ServerHarness, subprotocols: string | null): Promise<string> => {
  let response = '';
  for await (const chunk of openUpgrade(harness, subprotocols)) {
    response += (chunk as Buffer).toString('latin1');
    if (response.includes('\r\n\r\n')) break;
  }
  return response.split('\r\n\r\n')[0] ?? '';
};

describe('a client that offers only other subprotocols', () => {
  test.each([
    [
      'graphql-ws',
      /^Subprotocol graphql-ws \(subscriptions-transport-ws\) not acceptable; accepted: graphql-transport-ws$/,
    ],
    ['actioncable-v1-json', /^Subprotocol not acceptable; accepted: graphql-transport-ws$/],
    ['mqtt', /accepted: graphql-transport-ws$/],
  ])('%s is closed with 4406 and the accepted name, and its connection_init is not read', async (offered, reason) => {
    const harness = await ServerHarness.open();
    const { token } = await harness.login('alice');
    const socket = new TestSocket(harness.socketUrl, {
      protocols: [offered, 'other'],
      headers: { authorization: `Bearer ${token}` },
    });
    await socket.sendInit({ authorization: `Bearer ${token}` });
    const closed = await socket.closed;
    expect(closed).toEqual({ code: 4406, reason: expect.stringMatching(reason) as string });
    expect(socket.webSocket.protocol).toBe(offered);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    await expect.poll(() => harness.server.openResources.sockets).toBe(0);
    expect((await harness.metrics()).get('porchlight_sockets_closed_total{code="4406"}')).toBe(1);
  });

  test('graphql-ws also receives a connection_error, which subscriptions-transport-ws reports to its callback', async () => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl, { protocols: ['graphql-ws'] });
    const { reason } = await socket.closed;
    expect(socket.unreadMessages).toEqual([{ type: 'connection_error', payload: { message: reason } }]);
    const other = new TestSocket(harness.socketUrl, { protocols: ['actioncable-v1-json'] });
    await other.closed;
    expect(other.unreadMessages).toEqual([]);
  });

  test('is closed with 4406 when it offers none', async () => {
    const harness = await ServerHarness.open();
    expect(await readUpgradeResponse(harness, null)).not.toMatch(/Sec-WebSocket-Protocol/i);
    expect(await new TestSocket(harness.socketUrl, { protocols: [] }).closed).toEqual({
      code: 4406,
      reason: 'No subprotocol offered; accepted: graphql-transport-ws',
    });
  });

  test('counts against maxSockets until it is closed', async () => {
    const harness = await ServerHarness.open({
      settings: { limits: { ...LIMITS, maxSockets: 1 } },
      connectionSettings: { unacknowledgedCloseTimeoutMs: 60_000 },
    });
    const silent = openUpgrade(harness, 'Sec-WebSocket-Protocol: graphql-ws');
    await once(silent, 'data');
    await expect(new TestSocket(harness.socketUrl).opened).rejects.toThrow('503');
    silent.destroy();
    await expect.poll(() => harness.server.sockets.openCount).toBe(0);
    await TestSocket.connect(harness.socketUrl, API_KEY);
  });

  test('is disconnected after unacknowledgedCloseTimeoutMs when it does not answer the close frame', async () => {
    const harness = await ServerHarness.open({ connectionSettings: { unacknowledgedCloseTimeoutMs: 50 } });
    const received = await buffer(openUpgrade(harness, 'Sec-WebSocket-Protocol: graphql-ws'));
    expect(received.toString('latin1')).toMatch(/^HTTP\/1.1 101 [^]*accepted: graphql-transport-ws$/);
    await expect.poll(() => harness.server.sockets.openCount).toBe(0);
  });

  test('is rejected with 503 while the limit of sockets is reached', async () => {
    const harness = await ServerHarness.open({ settings: { limits: { ...LIMITS, maxSockets: 1 } } });
    await TestSocket.connect(harness.socketUrl, API_KEY);
    const socket = new TestSocket(harness.socketUrl, { protocols: ['graphql-ws'] });
    await expect(socket.opened).rejects.toThrow('503');
  });

  test('is rejected with 403 when its origin is not allowed', async () => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl, {
      protocols: ['graphql-ws'],
      headers: { origin: 'https://evil.example' },
    });
    await expect(socket.opened).rejects.toThrow('403');
  });
});

describe('several offered subprotocols', () => {
  test.each([
    [['graphql-ws', ACCEPTED]],
    [[ACCEPTED, 'graphql-ws']],
    [['actioncable-v1-json', 'graphql-ws', ACCEPTED, 'x']],
  ])('%j select graphql-transport-ws', async (protocols) => {
    const harness = await ServerHarness.open();
    const socket = new TestSocket(harness.socketUrl, { protocols });
    await socket.sendInit({ authorization: `Bearer ${API_KEY}` });
    expect((await socket.nextMessage()).type).toBe('connection_ack');
    expect(socket.webSocket.protocol).toBe(ACCEPTED);
    expect((await socket.execute('{ __typename }')).type).toBe('next');
  });

  test('may be hundreds, in several headers', async () => {
    const harness = await ServerHarness.open();
    const many = Array.from({ length: 500 }, (_, index) => `p${index}`).join(', ');
    expect(await readUpgradeResponse(harness, `Sec-WebSocket-Protocol: ${many}`)).toMatch(
      /^HTTP\/1.1 101 [^]*\r\nSec-WebSocket-Protocol: p0$/,
    );
    expect(
      await readUpgradeResponse(
        harness,
        `Sec-WebSocket-Protocol: ${many}\r\nSec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: ${ACCEPTED}`,
      ),
    ).toMatch(/^HTTP\/1.1 101 [^]*\r\nSec-WebSocket-Protocol: graphql-transport-ws$/);
  });
});

describe('a malformed offer of subprotocols', () => {
  test.each([
    ['is empty', ''],
    ['has an empty item', 'a,,graphql-transport-ws'],
    ['ends with a comma', 'graphql-transport-ws,'],
    ['has a space inside', 'graphql transport-ws'],
    ['has quotes', '"graphql-transport-ws"'],
    ['repeats an item', 'graphql-transport-ws, graphql-transport-ws'],
    ['has bytes outside of ASCII', 'gr\u00e4phql'],
    ['has a tab inside', 'a\tb'],
    ['has a semicolon', 'graphql-ws; q=1'],
    ['has a slash', 'graphql/ws'],
  ])('that %s is rejected with 400 and is not repeated', async (_what, value) => {
    const harness = await ServerHarness.open();
    const head = await readUpgradeResponse(harness, `Sec-WebSocket-Protocol: ${value}`);
    expect(head).toMatch(/^HTTP\/1.1 400 /);
    expect(head).not.toMatch(/\r\nSec-WebSocket-Protocol:/i);
    expect(harness.server.openResources.sockets).toBe(0);
  });

  test.each([
    ['a carriage return', 'a\rSet-Cookie: x=1'],
    ['a line feed', 'a\nSet-Cookie: x=1'],
    ['a NUL', 'a\0b'],
  ])('with %s adds no header to the response', async (_what, value) => {
    const harness = await ServerHarness.open();
    const head = await readUpgradeResponse(harness, `Sec-WebSocket-Protocol: ${value}`);
    expect(head).not.toMatch(/\r?\n?Set-Cookie/i);
    expect(head.split('\r\n').every((line) => !line.includes('\n') && !line.includes('\0'))).toBe(true);
  });
});

test('the message of a ws client names the close, not a missing subprotocol', async () => {
  const harness = await ServerHarness.open();
  const socket = new WebSocket(harness.socketUrl, ['graphql-ws']);
  const errors: Error[] = [];
  socket.on('error', (error) => errors.push(error));
  const code = await new Promise((resolve) => socket.once('close', resolve));
  expect(code).toBe(4406);
  expect(errors).toEqual([]);
});
