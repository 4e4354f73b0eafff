/** How many sockets there may be, how much they may send before it is known whose they are, and watch afterwards. */
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

/** The answer to an upgrade: 101 and the socket, or another status and its Retry-After. */
const knock = async (
  harness: ServerHarness,
  address = '192.0.2.1',
): Promise<{ wire: TestSocket; answer: [number, string | undefined] }> => {
  const wire = new TestSocket(harness.socketUrl, { headers: { 'x-forwarded-for': address } });
  const answer = await new Promise<[number, string | undefined]>((resolve) => {
    wire.webSocket.once('open', () => resolve([101, undefined]));
    wire.webSocket.once('unexpected-response', (_request, { statusCode, headers }) =>
      resolve([statusCode ?? 0, headers['retry-after']]),
    );
  });
  return { wire, answer };
};

const gone = async (harness: ServerHarness, wire: TestSocket, left: number): Promise<void> => {
  wire.webSocket.terminate();
  await expect.poll(() => harness.server.sockets.openCount).toBe(left);
};

const acknowledged = async (harness: ServerHarness, credential: string): Promise<TestSocket> => {
  const wire = await TestSocket.connect(harness.socketUrl, credential);
  await wire.waitForRoundTrip();
  return wire;
};

describe('sockets in all', () => {
  test('are at most so many: one more is refused before it is one, until there is a place', async () => {
    const harness = await open({ maxSockets: 3 });
    const wires = [];
    for (let count = 0; count < 3; count++) wires.push(await acknowledged(harness, API_KEY));
    expect((await knock(harness)).answer).toEqual([503, '1']);
    expect(harness.server.rejections.socketsPerServer).toBe(1);
    expect(harness.server.sockets).toMatchObject({ openCount: 3, uninitialisedCount: 0 });
    await gone(harness, wires[0] as TestSocket, 2);
    expect((await knock(harness)).answer).toEqual([101, undefined]);
  });

  test('that do not say who they are take no places from those who do: the oldest gives way', async () => {
    const harness = await open({ maxSockets: 16 }, true);
    const { token } = await harness.login('alice', 'IPHONE');
    const silent: TestSocket[] = [];
    for (let count = 0; count < 4; count++) silent.push((await knock(harness, `192.0.2.${count}`)).wire);
    expect(harness.server.sockets.uninitialisedCount).toBe(4);
    await acknowledged(harness, token);
    expect(await (silent[0] as TestSocket).closed).toEqual({
      code: 4414,
      reason: 'Too many sockets without connection_init',
    });
    expect(harness.server.sockets.uninitialisedCount).toBe(3);
    for (const wire of silent.slice(1)) expect(wire.webSocket.readyState).toBe(wire.webSocket.OPEN);
    for (let count = 0; count < 40; count++) await knock(harness, `198.51.100.${count}`);
    expect(harness.server.sockets.uninitialisedCount).toBe(4);
    await acknowledged(harness, token);
    expect(harness.server.rejections.socketsEvicted).toBe(1 + 39 + 1);
    expect(await harness.status('alice')).toBe('ONLINE');
  });

  test('that are closed for their silence are not waited for', async () => {
    const harness = await ServerHarness.open({
      connectionSettings: { initTimeoutMs: 20, unacknowledgedCloseTimeoutMs: 20 },
    });
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    wire.tcpSocket.pause();
    await expect.poll(() => harness.server.sockets.openCount).toBe(0);
    expect(harness.server.rejections.socketsInitTimeout).toBe(1);
  });
});

describe('sockets that never say who they are', () => {
  test('leave nothing in memory', async () => {
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
      // What was said of each is the test's to keep.
      harness.logLines.length = 0;
      collect();
      return process.memoryUsage().heapUsed;
    };
    await round();
    const before = await round();
    expect((await round()) - before).toBeLessThan(300 * 512);
  });
});

describe('sockets of one address', () => {
  test('are at most so many', async () => {
    const harness = await open({ maxSocketsPerAddress: 2 }, true);
    const { wire } = await knock(harness);
    await wire.sendInit({ authorization: `Bearer ${API_KEY}` });
    await wire.nextMessage();
    const other = await knock(harness);
    await other.wire.sendInit({ authorization: `Bearer ${API_KEY}` });
    await other.wire.nextMessage();
    expect((await knock(harness)).answer).toEqual([429, '1']);
    expect((await knock(harness, '192.0.2.2')).answer).toEqual([101, undefined]);
    expect(harness.server.rejections.socketsPerAddress).toBe(1);
    await gone(harness, wire, 2);
    expect((await knock(harness)).answer).toEqual([101, undefined]);
  });

  test('are at most half as many as long as they do not say who they are', async () => {
    const harness = await open({ maxSocketsPerAddress: 4 }, true);
    const { wire } = await knock(harness);
    await knock(harness);
    expect((await knock(harness)).answer).toEqual([429, '1']);
    await wire.sendInit({ authorization: `Bearer ${API_KEY}` });
    await wire.nextMessage();
    expect((await knock(harness)).answer).toEqual([101, undefined]);
  });

  test('are counted by their network of 64 bits when it is IPv6', async () => {
    const harness = await open({ maxSocketsPerAddress: 2 }, true);
    expect((await knock(harness, '2001:db8::1')).answer).toEqual([101, undefined]);
    expect((await knock(harness, '2001:db8::2')).answer).toEqual([429, '1']);
    expect((await knock(harness, '2001:db8:0:1::2')).answer).toEqual([101, undefined]);
  });

  test('are as many as like where 0 says so', async () => {
    const harness = await open({ maxSocketsPerAddress: 0, maxSocketsPerUser: 0 });
    const { token } = await harness.login('alice');
    for (let count = 0; count < 5; count++) await acknowledged(harness, token);
    expect(harness.server.sockets.openCount).toBe(5);
  });
});

describe('sockets of one user', () => {
  test('are at most so many, JWTs and sessions together: one more is closed with 4414, which is no DISCONNECT', async () => {
    const harness = await open({ maxSocketsPerUser: 2 });
    const { token } = await harness.login('alice', 'IPHONE');
    const attached = await acknowledged(harness, token);
    const byJwt = await acknowledged(harness, await harness.jwt('alice'));
    for (const credential of [token, await harness.jwt('alice')]) {
      const wire = new TestSocket(harness.socketUrl);
      await wire.sendInit({ authorization: `Bearer ${credential}` });
      expect(await wire.closed).toEqual({ code: 4414, reason: 'Too many sockets of this user' });
      expect(wire.unreadMessages).toEqual([]);
    }
    expect(harness.server.rejections.socketsPerUser).toBe(2);
    await acknowledged(harness, await harness.jwt('bob'));
    for (let count = 0; count < 3; count++) await acknowledged(harness, API_KEY);
    await gone(harness, byJwt, 5);
    await acknowledged(harness, token);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
    expect(attached.webSocket.readyState).toBe(attached.webSocket.OPEN);
  });

  test('are not counted when they were never let in', async () => {
    const harness = await open({ maxSocketsPerUser: 1 });
    for (let count = 0; count < 3; count++) {
      const wire = new TestSocket(harness.socketUrl);
      await wire.sendInit({ authorization: `Bearer ${await harness.jwt('alice')}x` });
      expect((await wire.closed).code).toBe(4401);
    }
    await acknowledged(harness, await harness.jwt('alice'));
  });
});

describe('a message before it is known whose it is', () => {
  const KIB = 1_024;
  const init = (bytes: number, authorization: string): string => {
    const text = JSON.stringify({ type: 'connection_init', payload: { authorization, padding: '' } });
    return text.replace('"padding":""', `"padding":"${'x'.repeat(bytes - text.length)}"`);
  };

  test('has at most 16 KiB', async () => {
    const harness = await open({});
    const fits = new TestSocket(harness.socketUrl);
    await fits.opened;
    fits.webSocket.send(init(16 * KIB, `Bearer ${API_KEY}`));
    expect(await fits.nextMessage()).toEqual({ type: 'connection_ack' });
    const long = new TestSocket(harness.socketUrl);
    await long.opened;
    long.webSocket.send(init(16 * KIB + 1, `Bearer ${API_KEY}`));
    expect((await long.closed).code).toBe(1009);
    expect(harness.server.rejections.messageSize).toBe(1);
  });

  test('has no more in many frames', async () => {
    const harness = await open({});
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    for (let count = 0; count < 20; count++) wire.webSocket.send('x'.repeat(KIB), { fin: false });
    expect((await wire.closed).code).toBe(1009);
  });

  test('is as long as any as soon as it is: 512 KiB', async () => {
    const harness = await open({});
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const frame = JSON.stringify({ type: 'subscribe', id: 'a', payload: { query: '{ __typename }' } });
    wire.webSocket.send(frame.padEnd(512 * KIB));
    expect((await wire.nextMessage()).type).toBe('next');
    await wire.nextMessage();
    wire.webSocket.send(frame.padEnd(512 * KIB + 1));
    expect((await wire.closed).code).toBe(1009);
  });

  test('is refused by the length that it announces, before it comes', async () => {
    const harness = await open({});
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    // A masked text of 2^40 bytes, of which none follows.
    wire.tcpSocket.write(Buffer.from([0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]));
    expect((await wire.closed).code).toBe(1009);
    const absurd = new TestSocket(harness.socketUrl);
    await absurd.opened;
    absurd.tcpSocket.write(Buffer.from([0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]));
    expect((await absurd.closed).code).toBe(1009);
    expect(harness.server.rejections.messageSize).toBe(2);
  });

  test.each<[string, (wire: TestSocket) => void]>([
    ['half a frame', (wire) => void wire.tcpSocket.write(Buffer.from([0x81, 0xfe, 0x10, 0, 1, 2, 3, 4, 0x7a]))],
    ['half a header', (wire) => void wire.tcpSocket.write(Buffer.from([0x81]))],
    ['half a message', (wire) => wire.webSocket.send('{"type":', { fin: false })],
    ['half a message, and pings', (wire) => (wire.webSocket.send('{"type":', { fin: false }), wire.webSocket.ping())],
  ])('that is %s is not waited for longer than for none', async (_what, half) => {
    const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 100 } });
    const wire = new TestSocket(harness.socketUrl);
    await wire.opened;
    half(wire);
    expect((await wire.closed).code).toBe(4408);
  });
});

describe('a message in pieces', () => {
  test('has at most a thousand of them, empty ones too, and the session is not gone for it', async () => {
    const harness = await open({});
    const { token } = await harness.login('alice', 'IPHONE');
    const wire = await TestSocket.connect(harness.socketUrl, token);
    for (let count = 0; count < 1_100; count++) wire.webSocket.send('', { fin: false });
    expect((await wire.closed).code).toBe(1008);
    await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(0);
    expect(await harness.reasons('alice')).toEqual(['LOGIN']);
  });

  test('is put together where it has few', async () => {
    const harness = await open({});
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const text = JSON.stringify({ type: 'subscribe', id: 'a', payload: { query: '{ __typename }' } });
    for (const letter of text.slice(0, -1)) wire.webSocket.send(letter, { fin: false });
    wire.webSocket.send('}');
    expect((await wire.nextMessage()).type).toBe('next');
  });
});

describe('users watched over one socket', () => {
  const WATCH = 'subscription ($ids: [ID!]!) { statusChanges(userIds: $ids) { userId status } }';
  const users = (count: number, from = 0) => ({ ids: Array.from({ length: count }, (_, at) => `user ${from + at}`) });
  const OVER = { errors: [{ extensions: { code: 'RATE_LIMITED', retryAfterMs: 1_000 } }] };

  const watch = async (wire: TestSocket, count: number, from = 0): Promise<[string, ServerMessage]> => {
    const id = wire.subscribe(WATCH, users(count, from));
    return [id, await wire.nextMessage()];
  };

  test('are at most so many, all subscriptions together; one more is RATE_LIMITED and the others live on', async () => {
    const harness = await open({ maxWatchedPerSocket: 700 });
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    const [first] = await watch(wire, 500);
    await watch(wire, 199, 500);
    const [refused, answer] = await watch(wire, 2);
    expect(answer).toMatchObject({ type: 'next', id: refused, payload: OVER });
    expect(await wire.nextMessage()).toEqual({ type: 'complete', id: refused });
    const [last, present] = await watch(wire, 1, 700);
    expect(present).toMatchObject({ id: last, payload: { data: { statusChanges: [{ status: 'OFFLINE' }] } } });
    expect(harness.server.rejections.watchedUsersPerSocket).toBe(1);
    await harness.login('user 0');
    expect(await wire.nextMessage()).toMatchObject({
      id: first,
      payload: { data: { statusChanges: [{ status: 'ONLINE' }] } },
    });
    const other = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect((await watch(other, 500))[1]).not.toMatchObject({ payload: OVER });
  });

  test('are given back when a subscription ends, however it does', async () => {
    const harness = await open({ maxWatchedPerSocket: 500 });
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    for (let again = 0; again < 3; again++) {
      const [id, present] = await watch(wire, 500);
      expect(present).not.toMatchObject({ payload: OVER });
      wire.send({ type: 'complete', id });
    }
    vi.spyOn(harness.store, 'readUsers').mockRejectedValueOnce(new Error('disk on fire'));
    await watch(wire, 500);
    await wire.nextMessage();
    expect((await watch(wire, 500))[1]).not.toMatchObject({ payload: OVER });
  });

  test('count once where they are named twice in one subscription, and twice in two', async () => {
    const harness = await open({ maxWatchedPerSocket: 500 });
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    wire.subscribe(WATCH, { ids: Array.from({ length: 500 }, () => 'alice') });
    await wire.nextMessage();
    expect((await watch(wire, 499))[1]).not.toMatchObject({ payload: OVER });
    expect((await watch(wire, 1))[1]).toMatchObject({ payload: OVER });
  });
});

describe('what is compressed', () => {
  test('is not offered, and a frame that says it is compressed closes the socket', async () => {
    const harness = await open({});
    const { token } = await harness.login('alice', 'WEB');
    const wire = new TestSocket(harness.socketUrl, { perMessageDeflate: true });
    await wire.sendInit({ authorization: `Bearer ${token}` });
    await wire.nextMessage();
    expect(wire.webSocket.extensions).toBe('');
    // RSV1, a text, masked, one byte.
    wire.tcpSocket.write(Buffer.from([0xc1, 0x81, 0, 0, 0, 0, 0]));
    expect((await wire.closed).code).toBe(1002);
  });
});

test('a refused upgrade is told so on the wire, and its connection is closed', async () => {
  const harness = await open({ maxSockets: 1 });
  await acknowledged(harness, API_KEY);
  const { hostname, port } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  socket.write(UPGRADE_REQUEST);
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  expect(text).toBe(
    'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
  );
});

test('a login over a socket does not count it again', async () => {
  const harness = await open({ maxSocketsPerUser: 1 });
  const wire = await TestSocket.connect(harness.socketUrl, await harness.jwt('alice'));
  await wire.execute(LOGIN, { input: { platform: 'WEB' } });
  await gone(harness, wire, 0);
  await acknowledged(harness, await harness.jwt('alice'));
});
