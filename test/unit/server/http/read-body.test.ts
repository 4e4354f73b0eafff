import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readBody, isCompressedEncoding, decodeUtf8 } from '../../../../src/server/http/read-body.ts';

const server = createServer();

/** What a server is given for these bytes; `cut`: its client is gone by then. */
const requestOf = async (bytes: string, cut = false): Promise<IncomingMessage> => {
  if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(bytes);
  const [request] = (await once(server, 'request')) as [IncomingMessage];
  if (cut) {
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

describe('the body of a request', () => {
  it('is whole, or null once its client is gone, be that before it is asked for', async () => {
    const whole = await requestOf('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello');
    expect((await readBody(whole))?.toString()).toBe('hello');
    const half = await requestOf('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel', true);
    expect(await readBody(half)).toBeNull();
  });

  it('is refused as soon as it is too long', async () => {
    const endless = await requestOf('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhello');
    await expect(readBody(endless, 4)).rejects.toThrow('The body is longer than 4 bytes.');
  });

  it('is text if it is UTF-8', () => {
    expect(decodeUtf8(Buffer.from('zoë'))).toBe('zoë');
    expect(decodeUtf8(Buffer.from('zoë', 'latin1'))).toBeNull();
  });

  it('is what comes after a byte order mark, of which there is one', () => {
    expect(decodeUtf8(Buffer.from('\ufeffzoë'))).toBe('zoë');
    expect(['\ufeff\ufeff', '\ufeff', 'zo\ufeff', 'ë'].map((text) => decodeUtf8(Buffer.from(text)))).toEqual([
      '\ufeff',
      '',
      'zo\ufeff',
      'ë',
    ]);
  });

  it('is compressed if its header says anything else than that it is not', () => {
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
