/** What may come over a socket that is no message: the socket is closed for it, with a reason, and nothing else is. */
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { expectStillWell } from '../support/assert-still-serving.ts';
import { TestSocket } from '../support/wire.ts';

const deep = (levels: number): string => `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;

const MESSAGES: readonly (readonly [string, string, number])[] = [
  ['a ping that is nested deeper than can be answered', `{"type":"ping","payload":${deep(100_000)}}`, 4400],
  ['a list', '[]', 4400],
  ['nothing', '', 4400],
  ['a byte order mark', '\uFEFF{"type":"ping"}', 4400],
  ['brackets that are never closed', '['.repeat(500_000), 4400],
  ['a type that every object has', '{"type":"constructor"}', 4400],
  ['a type that is a list', '{"type":["ping"]}', 4400],
  ['a ping whose payload is a list', '{"type":"ping","payload":[]}', 4400],
  ['a pong whose payload is text', '{"type":"pong","payload":"x"}', 4400],
  ['an id that is a number', '{"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}', 4400],
  ['an id that is empty', '{"type":"subscribe","id":"","payload":{"query":"{ __typename }"}}', 4400],
  ['an id of 500 KB', `{"type":"subscribe","id":"${'x'.repeat(500_000)}","payload":{"query":"{ __typename }"}}`, 4400],
  [
    'an id of 1,025 letters',
    `{"type":"subscribe","id":"${'ë'.repeat(1_025)}","payload":{"query":"{ __typename }"}}`,
    4400,
  ],
  ['a query that is a list', '{"type":"subscribe","id":"1","payload":{"query":["{ __typename }"]}}', 4400],
  [
    'variables that are a list',
    '{"type":"subscribe","id":"1","payload":{"query":"{ __typename }","variables":[]}}',
    4400,
  ],
  ['a batch', '[{"type":"subscribe","id":"1","payload":{"query":"{ __typename }"}}]', 4400],
  ['what only servers say', '{"type":"connection_ack"}', 4400],
  ['an answer of the server’s', '{"type":"error","id":"1","payload":[{"message":"x"}]}', 4400],
  ['the end of what was never begun', '{"type":"complete"}', 4400],
];

/** A close after any of these is the library's own, by the RFC. */
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
  ['a frame that is not masked', [frame(0x81, '{"type":"ping"}', { masked: false })], 1002],
  ['a reserved bit', [frame(0xf1, 'x')], 1002],
  ['compressed, which was not agreed on', [frame(0xc1, 'x')], 1002],
  ['an opcode that is none', [frame(0x83, 'x')], 1002],
  ['the rest of nothing', [frame(0x80, 'x')], 1002],
  ['a new message in the middle of one', [frame(0x01, '{'), frame(0x81, '}')], 1002],
  ['a ping in pieces', [frame(0x09, 'x')], 1002],
  ['a ping of 126 bytes', [frame(0x89, 'x'.repeat(126))], 1002],
  ['a close of one byte', [frame(0x88, 'x')], 1002],
  ['a close with a code that is not for the wire', [frame(0x88, Buffer.from([0x03, 0xed]))], 1002],
  ['a close with a reason that is no UTF-8', [frame(0x88, Buffer.from([0x03, 0xe8, 0xff]))], 1007],
  ['text that is no UTF-8', [frame(0x81, Buffer.from([0xff, 0xfe]))], 1007],
  ['text that ends in the middle of a letter', [frame(0x81, Buffer.from([0x22, 0xc3]))], 1007],
  ['an overlong slash', [frame(0x81, Buffer.from([0xc0, 0xaf]))], 1007],
  ['a surrogate', [frame(0x81, Buffer.from([0xed, 0xa0, 0x80]))], 1007],
  [
    'text that is no UTF-8, in pieces',
    [frame(0x01, Buffer.from([0x22, 0xc3])), frame(0x80, Buffer.from([0xc3]))],
    1007,
  ],
  ['bytes that are no text', [frame(0x82, Buffer.from([0xff, 0xfe]))], 4400],
  ['bytes that would be a message', [frame(0x82, '{"type":"ping"}')], 4400],
  [
    'bytes that would log somebody else in',
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
  ['a length of 2^40', [frame(0x81, 'x', { length: 2 ** 40 })], 1009],
  ['a length of 2^62', [frame(0x81, 'x', { length: 2 ** 62 })], 1009],
  ['pieces without end', [frame(0x01, '['), ...Array.from({ length: 17_000 }, () => frame(0x00, '['))], 1008],
];

/** A socket as bytes, with the frames that come from the server. */
class RawWire {
  readonly tcp: Socket;
  /** The code of the server's close frame; 1006 without one. */
  readonly closed: Promise<number>;
  readonly opened: Promise<void>;

  constructor({ url }: ServerHarness) {
    const { hostname, port } = new URL(url);
    this.tcp = connect(Number(port), hostname);
    onTestFinished(() => void this.tcp.destroy());
    let seen = Buffer.alloc(0);
    let isOpen = (): void => undefined;
    this.opened = new Promise((resolve) => (isOpen = resolve));
    this.closed = new Promise((resolve) => {
      this.tcp.on('data', (chunk: Buffer) => {
        seen = Buffer.concat([seen, chunk]);
        const end = seen.indexOf('\r\n\r\n');
        if (end < 0) return;
        isOpen();
        for (let at = end + 4; at + 2 <= seen.length;) {
          const short = (seen[at + 1] ?? 0) & 0x7f;
          const start = at + (short === 126 ? 4 : 2);
          const length = short === 126 ? seen.readUInt16BE(at + 2) : short;
          if (seen[at] === 0x88 && seen.length >= start + 2) return resolve(seen.readUInt16BE(start));
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

describe.each([false, true])('a socket whose client is known: %s; it is closed for', (known) => {
  test.for(MESSAGES)('%s', async ([, message, code]) => {
    const harness = await ServerHarness.open();
    const wire = known ? await TestSocket.as(harness.socketUrl, API_KEY) : new TestSocket(harness.socketUrl);
    await wire.opened;
    wire.ws.send(message);
    const closed = await wire.closed;
    // Whoever may not ask yet may be closed for that, or for having sent so much.
    expect(known ? [code] : [code, 4401, 1009]).toContain(closed.code);
    expect(Buffer.byteLength(closed.reason)).toBeLessThanOrEqual(123);
    await expectStillWell(harness);
  });

  test.for(FRAMES)('%s', async ([, frames, code]) => {
    const harness = await ServerHarness.open();
    const wire = new RawWire(harness);
    await wire.opened;
    if (known)
      wire.tcp.write(
        frame(0x81, JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${API_KEY}` } })),
      );
    wire.tcp.write(Buffer.concat(frames));
    expect(await wire.closed).toBe(code);
    wire.tcp.destroy();
    await expectStillWell(harness);
  });
});

test('half a frame, and then nothing: whoever is not known by then is closed in time, and whoever is gone is gone', async () => {
  const harness = await ServerHarness.open({ limits: { initMs: 100, closeMs: 100 } });
  for (const bytes of [
    Buffer.from([0x81]),
    Buffer.from([0x81, 0xff]),
    frame(0x81, 'x'.repeat(100)).subarray(0, 50),
    frame(0x01, '{'),
  ]) {
    const wire = new RawWire(harness);
    await wire.opened;
    wire.tcp.write(bytes);
    expect(await wire.closed).toBe(4408);
  }
  const known = new RawWire(harness);
  await known.opened;
  known.tcp.write(
    frame(0x81, JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${API_KEY}` } })),
  );
  await expect.poll(() => harness.porchlight.links.count).toBe(1);
  known.tcp.write(frame(0x81, '{"type":"ping"}').subarray(0, 5));
  known.tcp.resetAndDestroy();
  await expectStillWell(harness);
});
