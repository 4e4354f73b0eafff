/** Receivers that violate HTTP, send too much, send too slowly or stop responding. */
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createSender, HttpReceiver, sendDelivery } from '../support/http-receivers.ts';

const OK = 'HTTP/1.1 200 OK\r\n';

const saying =
  (...lines: readonly string[]) =>
  (socket: Socket): void => {
    socket.write(lines.join(''));
  };

/** Resolves for any end of the connection. */
const closing = (socket: Socket): Promise<void> => new Promise((resolve) => void socket.once('close', () => resolve()));

/** Writes while the other side reads, and resolves when the connection ends. */
const flooding = (socket: Socket, head: string, text: string, written: { bytes: number }): Promise<void> => {
  const more = (): void => {
    while (socket.writable) {
      written.bytes += text.length;
      if (!socket.write(text)) return;
    }
  };
  socket.on('drain', more);
  socket.write(head);
  more();
  return closing(socket);
};

describe('an attempt', () => {
  it.each<[what: string, speak: (socket: Socket) => void, error: string | RegExp]>([
    ['the connection is closed', (socket) => socket.end(), 'The connection was closed before a response arrived.'],
    [
      'the connection is reset',
      (socket) => socket.resetAndDestroy(),
      'The connection was closed before a response arrived.',
    ],
    [
      'the connection ends within the headers',
      (socket) => socket.end(`${OK}content-le`),
      'The connection was closed before a response arrived.',
    ],
    ['the connection ends within the status line', (socket) => socket.end('HTTP/1.'), /closed before|not HTTP/],
    ['the response is not HTTP', saying('SSH-2.0-OpenSSH_9.2\r\n'), 'The response is not valid HTTP.'],
    ['the response is a page without headers', saying('<html>hello</html>\r\n\r\n'), 'The response is not valid HTTP.'],
    ['the response is binary', (socket) => socket.write(Buffer.alloc(1_000, 0xff)), 'The response is not valid HTTP.'],
    ['a header has no name', saying(OK, ': nothing\r\n\r\n'), 'The response is not valid HTTP.'],
    [
      'the response has two lengths',
      saying(OK, 'content-length: 1\r\ncontent-length: 2\r\n\r\nxx'),
      'The response is not valid HTTP.',
    ],
    [
      'it has a length and chunks',
      saying(OK, 'content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'),
      'The response is not valid HTTP.',
    ],
    ['the headers never end', saying(OK, 'x: y\r\n'.repeat(100_000)), 'The response headers are too long.'],
    ['one header is enormous', saying(OK, `x: ${'y'.repeat(1_000_000)}\r\n\r\n`), 'The response headers are too long.'],
    [
      'interim answers go on and on',
      saying('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(11), OK, '\r\n'),
      /^The receiver sent too many 1xx responses/,
    ],
    [
      'it switches protocols',
      saying('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
      /./,
    ],
  ])('fails when %s', async (_what, speak, error) => {
    const receiver = await HttpReceiver.startTcp(speak);
    const attempt = await sendDelivery(createSender(), receiver.url);
    expect(attempt).toMatchObject({ status: null, deliveredEventCount: 0, retryAfterMs: null });
    expect(attempt.error).toMatch(error);
  });

  it('fails when the port is closed', async () => {
    const receiver = await HttpReceiver.startHttp();
    const { url } = receiver;
    await receiver.close();
    expect(await sendDelivery(createSender(), url)).toMatchObject({
      status: null,
      error: 'The connection was refused.',
    });
  });

  it.each<[what: string, speak: (socket: Socket) => void]>([
    ['the receiver sends nothing', () => undefined],
    ['the receiver stops in the status line without closing', (socket) => socket.write('HTTP/1.1 200')],
    ['the headers are slow', (socket) => drip(socket, OK, 'x: y\r\n')],
    ['1xx responses are slow', (socket) => drip(socket, '', 'HTTP/1.1 100 Continue\r\n\r\n')],
  ])('fails at the timeout when %s', async (_what, speak) => {
    const closed: Promise<void>[] = [];
    const receiver = await HttpReceiver.startTcp((socket) => {
      closed.push(closing(socket));
      speak(socket);
    });
    const attempt = await sendDelivery(createSender({ timeoutMs: 200 }), receiver.url);
    expect(attempt).toMatchObject({ status: null, error: 'The receiver sent no complete response within 200 ms.' });
    await Promise.all(closed);
  });
});

/** Sends one piece every 50 ms until the other side closes the connection. */
const drip = (socket: Socket, head: string, piece: string): void => {
  socket.write(head);
  const timer = setInterval(() => socket.write(piece), 50);
  socket.once('close', () => clearInterval(timer));
};

describe('a response counts by its status', () => {
  it.each<[what: string, speak: (socket: Socket) => void]>([
    ['the body is shorter than it says', (socket) => socket.end(`${OK}content-length: 100\r\n\r\nhello`)],
    ['the body is longer than it says', saying(OK, 'content-length: 1\r\n\r\nhello')],
    ['the chunks are invalid', saying(OK, 'transfer-encoding: chunked\r\n\r\nhello\r\n')],
    ['the last chunk is missing', (socket) => socket.end(`${OK}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n`)],
    ['the body ends with the connection', (socket) => socket.end(`${OK}\r\nhello`)],
    ['the response is HTTP/1.0', (socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello')],
    ['the receiver half-closes the connection', (socket) => socket.end(`${OK}content-length: 0\r\n\r\n`)],
    [
      'it is reset within the body',
      (socket) =>
        socket.write(`${OK}content-length: 100\r\n\r\nhello`, () => setImmediate(() => socket.resetAndDestroy())),
    ],
    [
      'a few interim answers came before',
      saying('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(10), OK, 'content-length: 0\r\n\r\n'),
    ],
  ])('when %s', async (_what, speak) => {
    const receiver = await HttpReceiver.startTcp(speak);
    expect(await sendDelivery(createSender(), receiver.url)).toMatchObject({ status: 200, error: null });
    const refusing = await HttpReceiver.startTcp((socket) => {
      socket.end('HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\nhello');
    });
    expect(await sendDelivery(createSender(), refusing.url)).toMatchObject({
      status: 500,
      error: 'The receiver answered with status 500.',
    });
  });

  it.each([
    ['in one length', `${OK}content-length: 10000000000\r\n\r\n`, 'x'.repeat(1_024)],
    ['until the end', `${OK}\r\n`, 'x'.repeat(1_024)],
    ['in small chunks', `${OK}transfer-encoding: chunked\r\n\r\n`, '1\r\nx\r\n'.repeat(100)],
  ])('when the body never ends (%s), without reading more than 4 KiB', async (_what, head, text) => {
    const written = { bytes: 0 };
    let over: Promise<void> = Promise.resolve();
    const receiver = await HttpReceiver.startTcp((socket) => {
      over = flooding(socket, head, text, written);
    });
    expect(await sendDelivery(createSender(), receiver.url)).toMatchObject({ status: 200, error: null });
    await over;
    // A few MiB of an endless stream fit into the kernel buffers of both sides.
    expect(written.bytes).toBeLessThan(32 * 1_024 * 1_024);
  });

  it('when the body is slow or hangs, and the connection is closed at the timeout', async () => {
    for (const piece of ['', 'x']) {
      let closed: Promise<void> = Promise.resolve();
      const receiver = await HttpReceiver.startTcp((socket) => {
        closed = closing(socket);
        drip(socket, `${OK}content-length: 4000\r\n\r\n`, piece);
      });
      expect(await sendDelivery(createSender({ timeoutMs: 200 }), receiver.url)).toMatchObject({
        status: 200,
        error: null,
      });
      await closed;
    }
  });
});

it('reports failures in short texts without any content of the response', async () => {
  const receiver = await HttpReceiver.startTcp((socket) => {
    socket.end(`HTTP/1.1 500 \u001b[31mcoloured\r\nserver: inner-host-17\r\ncontent-length: 6\r\n\r\nsecret`);
  });
  const { error } = await sendDelivery(createSender(), receiver.url);
  expect(error).not.toMatch(/coloured|secret|inner|\p{Cc}/u);
  const long = `http://${'x'.repeat(2_000)}.localhost:1/`;
  expect((await sendDelivery(createSender({ allowPrivate: [] }), long)).error).toHaveLength(300);
});
