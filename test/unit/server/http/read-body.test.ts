import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readBody, isCompressedEncoding, decodeUtf8 } from '../../../../src/server/http/read-body.ts';

const server = createServer();

/** Sends bytes to a server and returns its request. `disconnects`: the client is gone before this resolves. */
const receiveRequest = async (bytes: string, disconnects = false): Promise<IncomingMessage> => {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(bytes);
  const [request] = (await once(server, 'request')) as [IncomingMessage];
  if (disconnects) {
    const closed = new Promise((resolve) => request.once('close', resolve));
    socket.destroy();
    await closed;
  }
  return request;
};

afterEach(async () => {
  server.closeAllConnections();
  if (server.listening) await once(server.close(), 'close');
});

describe('the request body', () => {
  it('is read completely, and is null when the client has disconnected before', async () => {
    const whole = await receiveRequest('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello');
    expect((await readBody(whole))?.toString()).toBe('hello');
    const half = await receiveRequest('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel', true);
    expect(await readBody(half)).toBeNull();
  });

  it('is rejected as soon as it is longer than the limit', async () => {
    const endless = await receiveRequest('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhello');
    await expect(readBody(endless, 4)).rejects.toThrow('The body is longer than 4 bytes.');
  });

  it('decodes to text only if it is UTF-8', () => {
    expect(decodeUtf8(Buffer.from('zoë'))).toBe('zoë');
    expect(decodeUtf8(Buffer.from('zoë', 'latin1'))).toBeNull();
  });

  it('is decoded without its first byte order mark', () => {
    expect(decodeUtf8(Buffer.from('\ufeffzoë'))).toBe('zoë');
    expect(['\ufeff\ufeff', '\ufeff', 'zo\ufeff', 'ë'].map((text) => decodeUtf8(Buffer.from(text)))).toEqual([
      '\ufeff',
      '',
      'zo\ufeff',
      'ë',
    ]);
  });

  it('counts as compressed for every Content-Encoding except identity', () => {
    expect([undefined, null, '', 'identity', 'Identity'].map(isCompressedEncoding)).toEqual([
      false,
      false,
      false,
      false,
      false,
    ]);
    expect(['gzip', 'identity, gzip', 'br'].map(isCompressedEncoding)).toEqual([true, true, true]);
  });
});
