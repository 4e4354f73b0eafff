/** Only trusted certificates for the requested host name are accepted. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:https';
import { createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ResolveName } from '../../../../src/webhooks/http/checked-lookup.ts';
import { createSender, HttpReceiver, sendDelivery } from '../support/http-receivers.ts';
import { isMissing } from '../../../support/optional-tools.ts';

const NAME = 'hooks.example.com';
const resolve: ResolveName = async () => [{ address: '127.0.0.1', family: 4 }];

const LACKS_OPENSSL = isMissing('openssl', 'webhooks over https with a certificate made by openssl');

let key: string;
let cert: string;

beforeAll(() => {
  if (LACKS_OPENSSL) return;
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-tls-'));
  try {
    const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
    const form = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
    const whose = ['-subj', `/CN=${NAME}`, '-addext', `subjectAltName=DNS:${NAME}`];
    const files = ['-keyout', keyFile, '-out', certFile];
    execFileSync('openssl', ['req', '-x509', ...form, ...whose, ...files], { stdio: 'pipe' });
    [key, cert] = [readFileSync(keyFile, 'utf8'), readFileSync(certFile, 'utf8')];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

const receiving = (): Promise<HttpReceiver> =>
  HttpReceiver.startHttp((response) => response.end(), createServer({ key, cert, keepAliveTimeout: 60_000 }));

const at = (receiver: HttpReceiver, host = NAME): string => `https://${host}:${receiver.port}/`;

describe.skipIf(LACKS_OPENSSL)('a certificate', () => {
  it('is accepted if it is trusted and for this name, and the connection is reused', async () => {
    const receiver = await receiving();
    const sender = createSender({ resolveName: resolve, trustedCaPem: cert, allowHttp: false });
    for (const _ of [1, 2])
      expect(await sendDelivery(sender, at(receiver))).toMatchObject({ status: 200, error: null });
    expect(receiver.requests).toHaveLength(2);
    expect(receiver.sockets).toHaveLength(1);
    // Also with a trailing dot, which is not part of the name in TLS.
    expect(await sendDelivery(sender, at(receiver, `${NAME}.`))).toMatchObject({ status: 200, error: null });
    expect(receiver.requests.map(({ request }) => (request.socket as TLSSocket).servername)).toEqual([
      NAME,
      NAME,
      NAME,
    ]);
  });

  it('is rejected before anything is sent if it is self-signed', async () => {
    const receiver = await receiving();
    expect(await sendDelivery(createSender({ resolveName: resolve }), at(receiver))).toMatchObject({
      status: null,
      error: expect.stringMatching(/^The receiver’s certificate is not trusted \([A-Z_]+\)\.$/) as string,
    });
    expect(receiver.requests).toHaveLength(0);
  });

  it.each(['other.example.com', '127.0.0.1'])('is rejected if it is for another name than %s', async (host) => {
    const receiver = await receiving();
    const sender = createSender({ resolveName: resolve, trustedCaPem: cert });
    expect(await sendDelivery(sender, at(receiver, host))).toMatchObject({
      status: null,
      error: 'The receiver’s certificate is for another host name.',
    });
    expect(receiver.requests).toHaveLength(0);
  });

  it('is checked even with NODE_TLS_REJECT_UNAUTHORIZED=0', async () => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      const receiver = await receiving();
      expect((await sendDelivery(createSender({ resolveName: resolve }), at(receiver))).error).toMatch(
        /is not trusted/,
      );
    } finally {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    }
  });
});

it('fails for a receiver without TLS, or with TLS 1.1 only', async () => {
  const plain = await HttpReceiver.startTcp((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'));
  const old = await HttpReceiver.startHttp(
    undefined,
    createServer({ key, cert, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }),
  );
  for (const receiver of [plain, old]) {
    expect(await sendDelivery(createSender({ resolveName: resolve, trustedCaPem: cert }), at(receiver))).toMatchObject({
      status: null,
      error: 'The TLS handshake with the receiver failed.',
    });
  }
});

it('fails at the timeout during the TLS handshake', async () => {
  const silent = await HttpReceiver.listen(createTcpServer((socket) => void socket.resume()));
  expect(await sendDelivery(createSender({ resolveName: resolve, timeoutMs: 200 }), at(silent))).toMatchObject({
    status: null,
    error: 'The receiver sent no complete response within 200 ms.',
  });
});

it('replaces a stale TLS connection without a failed attempt', async () => {
  const server = createServer({ key, cert, keepAliveTimeout: 60_000 });
  const used = new WeakSet<object>();
  const receiver = await HttpReceiver.startHttp((response, { request: { socket } }) => {
    if (receiver.requests.length === 2 && used.has(socket)) socket.end();
    else {
      used.add(socket);
      response.end();
    }
  }, server);
  const sender = createSender({ resolveName: resolve, trustedCaPem: cert });
  for (const _ of [1, 2]) expect(await sendDelivery(sender, at(receiver))).toMatchObject({ status: 200, error: null });
  expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 2]);
});
