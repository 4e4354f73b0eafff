/** Limits of sockets: their number, the size of messages before authentication, and the watched users. */
import { connect } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { onTestFinished, describe, expect, test, vi } from 'vitest';
import type { LimitSettings } from '../../../../src/server/limits/limit-settings.ts';
import { UPGRADE_REQUEST } from '../../../support/porchlight-client.ts';
import { API_KEY, ServerHarness, LIMITS, LOGIN } from '../support/server-harness.ts';
import { TestSocket, type ServerMessage } from '../support/test-socket.ts';

const open = (limits: Partial<LimitSettings>, trustProxy = false): Promise<ServerHarness> =>
  ServerHarness.open({ settings: { limits: { ...LIMITS, ...limits }, trustProxy } });

/** The socket and the response to its upgrade request: the status and Retry-After. */
const requestUpgrade = async (
  harness: ServerHarness,
  address = '192.0.2.1',
): Promise<{ socket: TestSocket; response: [number, string | undefined] }> => {
  const socket = new TestSocket(harness.socketUrl, { headers: { 'x-forwarded-for': address } });
  const response = await new Promise<[number, string | undefined]>((resolve) => {
    socket.webSocket.once('open', () => resolve([101, undefined]));
    socket.webSocket.once('unexpected-response', (_request, { statusCode, headers }) =>
      resolve([statusCode ?? 0, headers['retry-after']]),
    );
  });
  return { socket, response };
};

const terminateSocket = async (harness: ServerHarness, socket: TestSocket, remaining: number): Promise<void> => {
  socket.webSocket.terminate();
  await expect.poll(() => harness.server.sockets.openCount).toBe(remaining);
};

const openAcknowledged = async (harness: ServerHarness, credential: string): Promise<TestSocket> => {
  const socket = await TestSocket.connect(harness.socketUrl, credential);
  await socket.waitForRoundTrip();
  return socket;
};

describe('the sockets of the server', () => {
  test('are limited by maxSockets: a further upgrade is rejected with 503 until a socket closes', async () => {
    const harness = await open({ maxSockets: 3 });
    const sockets = [];
    for (let count = 0; count < 3; count++) sockets.push(await openAcknowledged(harness, API_KEY));
    expect((await requestUpgrade(harness)).response).toEqual([503, '1']);
    expect(harness.server.rejections.socketsPerServer).toBe(1);
    expect(harness.server.sockets).toMatchObject({ openCount: 3, uninitialisedCount: 0 });
    await terminateSocket(harness, sockets[0] as TestSocket, 2);
    expect((await requestUpgrade(harness)).response).toEqual([101, undefined]);
  });

  test('without connection_init are limited to a share: the oldest is evicted with 4414 for a new socket', async () => {
    const harness = await open({ maxSockets: 16 }, true);
    const { token } = await harness.login('alice', 'IPHONE');
    const uninitialised: TestSocket[] = [];
    for (let count = 0; count < 4; count++)
      uninitialised.push((await requestUpgrade(harness, `192.0.2.${count}`)).socket);
    expect(harness.server.sockets.uninitialisedCount).toBe(4);
    await openAcknowledged(harness, token);
    expect(await (uninitialised[0] as TestSocket).closed).toEqual({
      code: 4414,
      reason: 'Too many sockets without connection_init',
    });
    expect(harness.server.sockets.uninitialisedCount).toBe(3);
    for (const socket of uninitialised.slice(1)) expect(socket.webSocket.readyState).toBe(socket.webSocket.OPEN);
    for (let count = 0; count < 40; count++) await requestUpgrade(harness, `198.51.100.${count}`);
    expect(harness.server.sockets.uninitialisedCount).toBe(4);
    await openAcknowledged(harness, token);
    expect(harness.server.rejections.socketsEvicted).toBe(1 + 39 + 1);
    expect(await harness.status('alice')).toBe('ONLINE');
  });

  test('without connection_init are terminated soon after the init timeout', async () => {
    const harness = await ServerHarness.open({
      connectionSettings: { initTimeoutMs: 20, unacknowledgedCloseTimeoutMs: 20 },
    });
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    socket.tcpSocket.pause();
    await expect.poll(() => harness.server.sockets.openCount).toBe(0);
    expect(harness.server.rejections.socketsInitTimeout).toBe(1);
  });
});

describe('sockets without connection_init', () => {
  test('leave nothing in memory after they are closed', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 200 } });
    const { hostname, port } = new URL(harness.url);
    const round = async (): Promise<number> => {
      await Promise.all(
        Array.from({ length: 300 }, async () => {
          const socket = connect(Number(port), hostname);
          socket.write(UPGRADE_REQUEST);
          for await (const chunk of socket) if ((chunk as Buffer)[0] === 0x88) break;
        }),
      );
      await expect.poll(() => harness.server.sockets.openCount).toBe(0);
      // The collected log lines belong to the test.
      harness.logLines.length = 0;
      collect();
      return process.memoryUsage().heapUsed;
    };
    await round();
    const before = await round();
    expect((await round()) - before).toBeLessThan(300 * 512);
  });
});

describe('the sockets of one address', () => {
  test('are limited by maxSocketsPerAddress: a further upgrade is rejected with 429', async () => {
    const harness = await open({ maxSocketsPerAddress: 2 }, true);
    const { socket } = await requestUpgrade(harness);
    await socket.sendInit({ authorization: `Bearer ${API_KEY}` });
    await socket.nextMessage();
    const other = await requestUpgrade(harness);
    await other.socket.sendInit({ authorization: `Bearer ${API_KEY}` });
    await other.socket.nextMessage();
    expect((await requestUpgrade(harness)).response).toEqual([429, '1']);
    expect((await requestUpgrade(harness, '192.0.2.2')).response).toEqual([101, undefined]);
    expect(harness.server.rejections.socketsPerAddress).toBe(1);
    await terminateSocket(harness, socket, 2);
    expect((await requestUpgrade(harness)).response).toEqual([101, undefined]);
  });

  test('are limited to half of maxSocketsPerAddress while they have sent no connection_init', async () => {
    const harness = await open({ maxSocketsPerAddress: 4 }, true);
    const { socket } = await requestUpgrade(harness);
    await requestUpgrade(harness);
    expect((await requestUpgrade(harness)).response).toEqual([429, '1']);
    await socket.sendInit({ authorization: `Bearer ${API_KEY}` });
    await socket.nextMessage();
    expect((await requestUpgrade(harness)).response).toEqual([101, undefined]);
  });

  test('are counted by the /64 network of an IPv6 address', async () => {
    const harness = await open({ maxSocketsPerAddress: 2 }, true);
    expect((await requestUpgrade(harness, '2001:db8::1')).response).toEqual([101, undefined]);
    expect((await requestUpgrade(harness, '2001:db8::2')).response).toEqual([429, '1']);
    expect((await requestUpgrade(harness, '2001:db8:0:1::2')).response).toEqual([101, undefined]);
  });

  test('are not limited when the limits are 0', async () => {
    const harness = await open({ maxSocketsPerAddress: 0, maxSocketsPerUser: 0 });
    const { token } = await harness.login('alice');
    for (let count = 0; count < 5; count++) await openAcknowledged(harness, token);
    expect(harness.server.sockets.openCount).toBe(5);
  });
});

describe('the sockets of one user', () => {
  test('are limited by maxSocketsPerUser, JWTs and sessions together: a further one is closed with 4414 without a DISCONNECT event', async () => {
    const harness = await open({ maxSocketsPerUser: 2 });
    const { token } = await harness.login('alice', 'IPHONE');
    const attached = await openAcknowledged(harness, token);
    const byJwt = await openAcknowledged(harness, await harness.jwt('alice'));
    for (const credential of [token, await harness.jwt('alice')]) {
      const socket = new TestSocket(harness.socketUrl);
      await socket.sendInit({ authorization: `Bearer ${credential}` });
      expect(await socket.closed).toEqual({ code: 4414, reason: 'Too many sockets of this user' });
      expect(socket.unreadMessages).toEqual([]);
    }
    expect(harness.server.rejections.socketsPerUser).toBe(2);
    await openAcknowledged(harness, await harness.jwt('bob'));
    for (let count = 0; count < 3; count++) await openAcknowledged(harness, API_KEY);
    await terminateSocket(harness, byJwt, 5);
    await openAcknowledged(harness, token);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(attached.webSocket.readyState).toBe(attached.webSocket.OPEN);
  });

  test('are not counted when their authentication failed', async () => {
    const harness = await open({ maxSocketsPerUser: 1 });
    for (let count = 0; count < 3; count++) {
      const socket = new TestSocket(harness.socketUrl);
      await socket.sendInit({ authorization: `Bearer ${await harness.jwt('alice')}x` });
      expect((await socket.closed).code).toBe(4401);
    }
    await openAcknowledged(harness, await harness.jwt('alice'));
  });
});

describe('a message before the acknowledgement', () => {
  const KIB = 1_024;
  const init = (bytes: number, authorization: string): string => {
    const text = JSON.stringify({ type: 'connection_init', payload: { authorization, padding: '' } });
    return text.replace('"padding":""', `"padding":"${'x'.repeat(bytes - text.length)}"`);
  };

  /** The close frame names the limit, because a client sees nothing else. */
  const TOO_LONG = { code: 1009, reason: 'A message may have at most 40 KiB before connection_ack' };

  test('is limited to 40 KiB', async () => {
    const harness = await open({});
    const fits = new TestSocket(harness.socketUrl);
    await fits.opened;
    fits.webSocket.send(init(40 * KIB, `Bearer ${API_KEY}`));
    expect(await fits.nextMessage()).toEqual({ type: 'connection_ack' });
    const long = new TestSocket(harness.socketUrl);
    await long.opened;
    long.webSocket.send(init(40 * KIB + 1, `Bearer ${API_KEY}`));
    expect(await long.closed).toEqual(TOO_LONG);
    expect(harness.server.rejections.messageSize).toBe(1);
  });

  test('is limited to 40 KiB in many frames together', async () => {
    const harness = await open({});
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    for (let count = 0; count < 44; count++) socket.webSocket.send('x'.repeat(KIB), { fin: false });
    expect(await socket.closed).toEqual(TOO_LONG);
  });

  test('has a limit that rises to 512 KiB with the acknowledgement', async () => {
    const harness = await open({});
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const frame = JSON.stringify({ type: 'subscribe', id: 'a', payload: { query: '{ __typename }' } });
    socket.webSocket.send(frame.padEnd(512 * KIB));
    expect((await socket.nextMessage()).type).toBe('next');
    await socket.nextMessage();
    socket.webSocket.send(frame.padEnd(512 * KIB + 1));
    expect(await socket.closed).toEqual({ code: 1009, reason: 'A message may have at most 512 KiB' });
  });

  test('is rejected by its announced length, before it arrives', async () => {
    const harness = await open({});
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    // The header of a masked text of 2^40 bytes, without the bytes.
    socket.tcpSocket.write(Buffer.from([0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]));
    expect((await socket.closed).code).toBe(1009);
    const absurd = new TestSocket(harness.socketUrl);
    await absurd.opened;
    absurd.tcpSocket.write(Buffer.from([0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]));
    expect((await absurd.closed).code).toBe(1009);
    expect(harness.server.rejections.messageSize).toBe(2);
  });

  test.each<[string, (socket: TestSocket) => void]>([
    ['half a frame', (socket) => void socket.tcpSocket.write(Buffer.from([0x81, 0xfe, 0x10, 0, 1, 2, 3, 4, 0x7a]))],
    ['half a header', (socket) => void socket.tcpSocket.write(Buffer.from([0x81]))],
    ['half a message', (socket) => socket.webSocket.send('{"type":', { fin: false })],
    ['40 KiB of a message', (socket) => socket.webSocket.send('x'.repeat(40 * KIB), { fin: false })],
    [
      'half a message with pings',
      (socket) => (socket.webSocket.send('{"type":', { fin: false }), socket.webSocket.ping()),
    ],
  ])('that is incomplete (%s) does not extend the init timeout', async (_what, sendPart) => {
    const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 100 } });
    const socket = new TestSocket(harness.socketUrl);
    await socket.opened;
    sendPart(socket);
    expect((await socket.closed).code).toBe(4408);
  });
});

describe('a fragmented message', () => {
  test('is limited to 1024 fragments, empty ones included, and exceeding it causes no DISCONNECT event', async () => {
    const harness = await open({});
    const { token } = await harness.login('alice', 'IPHONE');
    const socket = await TestSocket.connect(harness.socketUrl, token);
    for (let count = 0; count < 1_100; count++) socket.webSocket.send('', { fin: false });
    expect(await socket.closed).toEqual({ code: 1008, reason: 'A message may have at most 1024 fragments' });
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('with few fragments is accepted', async () => {
    const harness = await open({});
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const text = JSON.stringify({ type: 'subscribe', id: 'a', payload: { query: '{ __typename }' } });
    for (const letter of text.slice(0, -1)) socket.webSocket.send(letter, { fin: false });
    socket.webSocket.send('}');
    expect((await socket.nextMessage()).type).toBe('next');
  });
});

describe('the users watched over one socket', () => {
  const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status } }';
  const users = (count: number, from = 0) => ({ ids: Array.from({ length: count }, (_, at) => `user ${from + at}`) });
  const OVER = { errors: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 } }] };

  const watch = async (socket: TestSocket, count: number, from = 0): Promise<[string, ServerMessage]> => {
    const id = socket.subscribe(WATCH, users(count, from));
    return [id, await socket.nextMessage()];
  };

  test('are limited by maxWatchedPerSocket over all subscriptions: a further subscription is RATE_LIMITED and the others continue', async () => {
    const harness = await open({ maxWatchedPerSocket: 700 });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    const [first] = await watch(socket, 500);
    await watch(socket, 199, 500);
    const [rejected, response] = await watch(socket, 2);
    expect(response).toMatchObject({ type: 'next', id: rejected, payload: OVER });
    expect(await socket.nextMessage()).toEqual({ type: 'complete', id: rejected });
    const [last, snapshot] = await watch(socket, 1, 700);
    expect(snapshot).toMatchObject({ id: last, payload: { data: { statusChanges: [{ status: 'OFFLINE' }] } } });
    expect(harness.server.rejections.watchedUsersPerSocket).toBe(1);
    await harness.login('user 0');
    expect(await socket.nextMessage()).toMatchObject({
      id: first,
      payload: { data: { statusChanges: [{ status: 'ONLINE' }] } },
    });
    const other = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect((await watch(other, 500))[1]).not.toMatchObject({ payload: OVER });
  });

  test('are released when a subscription completes or fails', async () => {
    const harness = await open({ maxWatchedPerSocket: 500 });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    for (let again = 0; again < 3; again++) {
      const [id, snapshot] = await watch(socket, 500);
      expect(snapshot).not.toMatchObject({ payload: OVER });
      socket.send({ type: 'complete', id });
    }
    vi.spyOn(harness.store, 'readUsers').mockRejectedValueOnce(new Error('disk failure'));
    await watch(socket, 500);
    await socket.nextMessage();
    expect((await watch(socket, 500))[1]).not.toMatchObject({ payload: OVER });
  });

  test('count once per subscription, even if the subscription lists them twice', async () => {
    const harness = await open({ maxWatchedPerSocket: 500 });
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    socket.subscribe(WATCH, { ids: Array.from({ length: 500 }, () => 'alice') });
    await socket.nextMessage();
    expect((await watch(socket, 499))[1]).not.toMatchObject({ payload: OVER });
    expect((await watch(socket, 1))[1]).toMatchObject({ payload: OVER });
  });
});

describe('compression', () => {
  test('is not negotiated, and a compressed frame closes the socket with 1002', async () => {
    const harness = await open({});
    const { token } = await harness.login('alice', 'WEB');
    const socket = new TestSocket(harness.socketUrl, { perMessageDeflate: true });
    await socket.sendInit({ authorization: `Bearer ${token}` });
    await socket.nextMessage();
    expect(socket.webSocket.extensions).toBe('');
    // RSV1, a text, masked, one byte.
    socket.tcpSocket.write(Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0]));
    expect((await socket.closed).code).toBe(1002);
  });
});

test('a rejected upgrade receives a complete HTTP response, and its connection is closed', async () => {
  const harness = await open({ maxSockets: 1 });
  await openAcknowledged(harness, API_KEY);
  const { hostname, port } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(UPGRADE_REQUEST);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  const [head, body = ''] = text.split('\r\n\r\n');
  expect(head).toBe(
    'HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n' +
      `Retry-After: 1\r\nConnection: close\r\nContent-Length: ${body.length}`,
  );
  expect(JSON.parse(body)).toEqual({
    errors: [
      {
        message: 'The server has as many sockets as it may have.',
        extensions: { code: 'OVERLOADED', retryAfterMs: 1_000 },
      },
    ],
  });
});

test('a login over a socket does not count the socket again', async () => {
  const harness = await open({ maxSocketsPerUser: 1 });
  const socket = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
  await socket.execute(LOGIN, { input: { platform: 'WEB' } });
  await terminateSocket(harness, socket, 0);
  await openAcknowledged(harness, await harness.jwt('alice'));
});
