/** Malformed messages and frames: the server closes that socket with a close code and keeps serving all others. */
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillServing } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/test-socket.ts';

const deep = (levels: number): string => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;

const MESSAGES: readonly (readonly [string, string, number])[] = [
  ['a ping with a payload nested 100,000 levels deep', `{"type":"ping","payload":${deep(100_000)}}`, 4400],
  ['a JSON list', '[]', 4400],
  ['an empty message', '', 4400],
  ['a message with a byte order mark', '\uFEFF{"type":"ping"}', 4400],
  ['500,000 brackets that are never closed', '['.repeat(500_000), 4400],
  ['a type named like a property of every object', '{"type":"constructor"}', 4400],
  ['a type that is a list', '{"type":["ping"]}', 4400],
  ['a ping whose payload is a list', '{"type":"ping","payload":[]}', 4400],
  ['a pong whose payload is a string', '{"type":"pong","payload":"x"}', 4400],
  ['an id that is a number', '{"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}', 4400],
  ['an id that is empty', '{"type":"subscribe","id":"","payload":{"query":"{ __typename }"}}', 4400],
  ['an id of 500 KB', `{"type":"subscribe","id":"${'x'.repeat(500_000)}","payload":{"query":"{ __typename }"}}`, 4400],
  [
    'an id of 1,025 letters',
    `{"type":"subscribe","id":"${'ë'.repeat(1_025)}","payload":{"query":"{ __typename }"}}`,
    4400,
  ],
  ['a payload that is a list', '{"type":"subscribe","id":"1","payload":["{ __typename }"]}', 4400],
  ['a batch of messages', '[{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}]', 4400],
  ['a message that only servers send', '{"type":"connection_ack"}', 4400],
  ['an error message, which only servers send', '{"type":"error","id":"1","payload":[{"message":"x"}]}', 4400],
  ['a complete message without an id', '{"type":"complete"}', 4400],
];

/** A WebSocket frame, with a client's mask unless stated otherwise. */
const frame = (
  first: number,
  payload: Buffer | string,
  { masked = true, length = Buffer.byteLength(payload) } = {},
): Buffer => {
  const bytes = Buffer.from(payload);
  const mask = Buffer.from([1, 2, 3, 4]);
  const size = length < 126 ? Buffer.from([length | (masked ? 0x80 : 0)]) : Buffer.alloc(9);
  if (length >= 126) {
    size[0] = 127 | (masked ? 0x80 : 0);
    size.writeBigUInt64BE(BigInt(length), 1);
  }
  const body = masked ? Buffer.concat([mask, bytes.map((byte, at) => byte ^ (mask[at % 4] ?? 0))]) : bytes;
  return Buffer.concat([Buffer.from([first]), size, body]);
};

const FRAMES: readonly (readonly [string, readonly Buffer[], number])[] = [
  ['an unmasked frame', [frame(0x81, '{"type":"ping"}', { masked: false })], 1002],
  ['a frame with a reserved bit set', [frame(0xf1, 'x')], 1002],
  ['a compressed frame without a negotiated extension', [frame(0xc1, 'x')], 1002],
  ['a frame with an undefined opcode', [frame(0x83, 'x')], 1002],
  ['a continuation frame without a message', [frame(0x80, 'x')], 1002],
  ['a new message inside a fragmented one', [frame(0x01, '{'), frame(0x81, '}')], 1002],
  ['a fragmented ping', [frame(0x09, 'x')], 1002],
  ['a ping frame of 126 bytes', [frame(0x89, 'x'.repeat(126))], 1002],
  ['a close frame with a payload of one byte', [frame(0x88, 'x')], 1002],
  ['a close frame with a code that must not be sent', [frame(0x88, Buffer.from([0x03, 0xed]))], 1002],
  ['a close frame whose reason is not valid UTF-8', [frame(0x88, Buffer.from([0x03, 0xe8, 0xff]))], 1007],
  ['a text frame that is not valid UTF-8', [frame(0x81, Buffer.from([0xff, 0xfe]))], 1007],
  ['a text frame that ends inside a UTF-8 sequence', [frame(0x81, Buffer.from([0x22, 0xc3]))], 1007],
  ['a text frame with an overlong encoding of a slash', [frame(0x81, Buffer.from([0xc0, 0xaf]))], 1007],
  ['a text frame with an encoded surrogate', [frame(0x81, Buffer.from([0xed, 0xa0, 0x80]))], 1007],
  [
    'a fragmented text message that is not valid UTF-8',
    [frame(0x01, Buffer.from([0x22, 0xc3])), frame(0x80, Buffer.from([0xc3]))],
    1007,
  ],
  ['a binary frame that is not valid UTF-8', [frame(0x82, Buffer.from([0xff, 0xfe]))], 4400],
  ['a binary frame with a valid message', [frame(0x82, '{"type":"ping"}')], 4400],
  [
    'a binary frame with a user id in Latin-1',
    [
      frame(
        0x82,
        Buffer.from(
          '{"type":"subscribe","id":"1","payload":{"query":"{ userStatus(userId: \\"Zo\xeb\\") { userId } }"}}',
          'latin1',
        ),
      ),
    ],
    4400,
  ],
  ['a frame with a declared length of 2^40', [frame(0x81, 'x', { length: 2 ** 40 })], 1009],
  ['a frame with a declared length of 2^62', [frame(0x81, 'x', { length: 2 ** 62 })], 1009],
  [
    'a message of 17,000 fragments',
    [frame(0x01, '['), ...Array.from({ length: 17_000 }, () => frame(0x00, '['))],
    1008,
  ],
];

/** A WebSocket connection written as raw bytes. Reads the frames of the server up to its close frame. */
class RawWebSocketClient {
  readonly tcp: Socket;
  /** The code of the server's close frame; 1006 without one. */
  readonly closed: Promise<number>;
  readonly opened: Promise<void>;

  constructor({ url }: ServerHarness) {
    const { hostname, port } = new URL(url);
    this.tcp = connect(Number(port), hostname);
    onTestFinished(() => void this.tcp.destroy());
    let received = Buffer.alloc(0);
    let isOpen = (): void => undefined;
    this.opened = new Promise((resolve) => (isOpen = resolve));
    this.closed = new Promise((resolve) => {
      this.tcp.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        const end = received.indexOf('\r\n\r\n');
        if (end < 0) return;
        isOpen();
        for (let at = end + 4; at + 2 <= received.length;) {
          const short = (received[at + 1] ?? 0) & 0x7f;
          const start = at + (short === 126 ? 4 : 2);
          const length = short === 126 ? received.readUInt16BE(at + 2) : short;
          if (received[at] === 0x88 && received.length >= start + 2) return resolve(received.readUInt16BE(start));
          at = start + length;
        }
      });
      this.tcp.once('close', () => resolve(1006));
      this.tcp.on('error', () => undefined);
    });
    this.tcp.write(
      'GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
    );
  }
}

describe.each([
  ['before', false],
  ['after', true],
] as const)('a malformed message %s authentication', (_when, isAuthenticated) => {
  test.for(MESSAGES)('closes the socket that sends %s', async ([, message, code]) => {
    const harness = await ServerHarness.open();
    const socket = isAuthenticated
      ? await TestSocket.connect(harness.socketUrl, API_KEY)
      : new TestSocket(harness.socketUrl);
    await socket.opened;
    socket.webSocket.send(message);
    const closed = await socket.closed;
    // An unauthenticated socket may also be closed for the early message or for its size.
    expect(isAuthenticated ? [code] : [code, 4401, 1009]).toContain(closed.code);
    expect(Buffer.byteLength(closed.reason)).toBeLessThanOrEqual(123);
    await expectStillServing(harness);
  });

  test.for(FRAMES)('closes the socket that sends %s', async ([, frames, code]) => {
    const harness = await ServerHarness.open();
    const socket = new RawWebSocketClient(harness);
    await socket.opened;
    if (isAuthenticated)
      socket.tcp.write(
        frame(0x81, JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${API_KEY}` } })),
      );
    socket.tcp.write(Buffer.concat(frames));
    expect(await socket.closed).toBe(code);
    socket.tcp.destroy();
    await expectStillServing(harness);
  });
});

test('closes an unauthenticated socket that sends half a frame after the init timeout, and releases one that is reset', async () => {
  const harness = await ServerHarness.open({ connectionSettings: { initTimeoutMs: 100, closeTimeoutMs: 100 } });
  for (const bytes of [
    Buffer.from([0x81]),
    Buffer.from([0x81, 0xff]),
    frame(0x81, 'x'.repeat(100)).subarray(0, 50),
    frame(0x01, '{'),
  ]) {
    const socket = new RawWebSocketClient(harness);
    await socket.opened;
    socket.tcp.write(bytes);
    expect(await socket.closed).toBe(4408);
  }
  const authenticated = new RawWebSocketClient(harness);
  await authenticated.opened;
  authenticated.tcp.write(
    frame(0x81, JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${API_KEY}` } })),
  );
  await expect.poll(() => harness.application.socketRegistry.openSocketCount).toBe(1);
  authenticated.tcp.write(frame(0x81, '{"type":"ping"}').subarray(0, 5));
  authenticated.tcp.resetAndDestroy();
  await expectStillServing(harness);
});
