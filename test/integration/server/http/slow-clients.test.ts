/** HTTP clients that are slow, or that open many connections. */
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { LimitSettings } from '../../../../src/server/limits/limit-settings.ts';
import { API_KEY, ServerHarness, LIMITS } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const open = (limits: Partial<LimitSettings>): Promise<ServerHarness> =>
  ServerHarness.open({ settings: { limits: { ...LIMITS, ...limits } } });

/** A TCP connection without a client protocol: it sends exactly the given bytes. */
class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  received = '';

  constructor(harness: ServerHarness, localAddress = '127.0.0.1') {
    const { hostname, port } = new URL(harness.url);
    this.socket = connect({ port: Number(port), host: hostname, localAddress });
    this.socket.setEncoding('latin1').on('data', (text: string) => (this.received += text));
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    onTestFinished(() => void this.socket.destroy());
  }

  /** Sends the text in a loop, one letter every 5 ms, until the connection is closed. */
  drip(text: string): void {
    let index = 0;
    const dripping = setInterval(() => this.socket.write(text[index++ % text.length] ?? ''), 5);
    void this.closed.then(() => clearInterval(dripping));
    onTestFinished(() => clearInterval(dripping));
  }
}

const BODY = JSON.stringify({ query: '{ __typename }' });
const head = (...headers: string[]): string =>
  [
    'POST /graphql HTTP/1.1',
    'Host: x',
    `Authorization: Bearer ${API_KEY}`,
    'Content-Type: application/json',
    ...headers,
  ].join('\r\n');

describe('an unfinished request is closed in time while other requests are served', () => {
  test.each<[string, (client: RawClient) => void]>([
    ['nothing', () => undefined],
    ['a head, letter by letter', (client) => client.drip(`${head()}\r\nX-A: b\r\n`)],
    ['half a head', (client) => client.socket.write(head())],
    [
      'a body, letter by letter',
      (client) => (client.socket.write(`${head('Content-Length: 500000')}\r\n\r\n`), client.drip(BODY)),
    ],
    [
      'half a body',
      (client) => client.socket.write(`${head(`Content-Length: ${BODY.length}`)}\r\n\r\n${BODY.slice(1)}`),
    ],
    ['half a chunk', (client) => client.socket.write(`${head('Transfer-Encoding: chunked')}\r\n\r\nff\r\n{`)],
    [
      'half a body for an unknown path',
      (client) => client.socket.write(`GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n`),
    ],
  ])('%s', async (what, sendPart) => {
    // The timeout of the head must apply here, so the timeout of the whole request is long.
    const isOfHead = what === 'nothing' || what.includes('a head');
    const httpTimeouts = { headersMs: 150, requestMs: isOfHead ? 600_000 : 200, checkMs: 20 };
    const harness = await ServerHarness.open({ httpTimeouts });
    const clients = Array.from({ length: 20 }, () => new RawClient(harness));
    for (const client of clients) sendPart(client);
    expect((await harness.post('{ __typename }')).status).toBe(200);
    await Promise.all(clients.map(({ closed }) => closed));
    await expect.poll(() => harness.server.connections.openCount).toBeLessThanOrEqual(1);
    expect((await harness.post('{ __typename }')).status).toBe(200);
  });
});

test('closes the connection of a client that does not read its response', async () => {
  const harness = await ServerHarness.open({ httpTimeouts: { unreadMs: 150 } });
  const { token } = await harness.login('alice');
  const text = '\u{1F600}'.repeat(250);
  await harness.post(
    'mutation ($text: String) { setCustomStatus(input: { text: $text }) { userStatus { version } } }',
    token,
    {
      text,
    },
  );
  // 12 MiB, more than the kernel buffers.
  const many = Array.from({ length: 25 }, (_, index) => `t${index}: customStatus`).join(' ');
  const body = JSON.stringify({
    query: `query ($ids: [ID!]!) { userStatuses(userIds: $ids) { ${many} } }`,
    variables: { ids: Array.from({ length: 500 }, () => 'alice') },
  });
  const before = harness.server.connections.openCount;
  const client = new RawClient(harness);
  client.socket.pause();
  client.socket.write(`${head(`Content-Length: ${body.length}`)}\r\n\r\n${body}`);
  await expect.poll(() => harness.server.connections.openCount).toBe(before + 1);
  const isClosed = () => harness.server.connections.openCount <= before;
  await expect.poll(isClosed, { timeout: 10_000 }).toBe(true);
  client.socket.resume();
  await client.closed;
  expect(client.received.length).toBeLessThan(12_000_000);
});

describe('HTTP connections', () => {
  test('are limited per address, and other addresses are still served', async () => {
    const harness = await open({ maxSocketsPerAddress: 1 });
    const clients = Array.from({ length: 256 }, () => new RawClient(harness));
    await expect.poll(() => harness.server.connections.openCount).toBe(256);
    const [first] = clients;
    await new RawClient(harness).closed;
    expect(harness.server.rejections.connections).toBe(1);
    const other = new RawClient(harness, '127.0.0.2');
    other.socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await other.closed;
    expect(other.received).toMatch(/^HTTP\/1\.1 200 /);
    first?.socket.destroy();
    await expect.poll(() => harness.server.connections.openCount).toBe(255);
    expect((await harness.post('{ __typename }')).status).toBe(200);
  });

  test('are limited in total: a new one replaces the one that was idle longest', async () => {
    const harness = await open({ maxSockets: 10, maxSocketsPerAddress: 0 });
    const kept = new RawClient(harness);
    await expect.poll(() => harness.server.connections.openCount).toBe(1);
    const clients = Array.from({ length: 255 }, () => new RawClient(harness));
    await expect.poll(() => harness.server.connections.openCount).toBe(256);
    // Its request makes it the connection that was idle for the shortest time.
    kept.socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => kept.received).toMatch(/^HTTP\/1\.1 200 /);
    expect((await harness.post('{ __typename }')).status).toBe(200);
    await expect.poll(() => clients.filter(({ socket }) => socket.destroyed).length).toBe(1);
    expect(kept.socket.destroyed).toBe(false);
    expect(harness.server.connections.openCount).toBe(256);
    expect(harness.server.rejections.connections).toBe(1);
  });

  test('are no longer counted once they are upgraded to WebSockets', async () => {
    const harness = await open({});
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect(harness.server.connections.openCount).toBe(0);
    socket.webSocket.close();
    await socket.closed;
    expect(harness.server.connections.openCount).toBe(0);
  });
});

describe('a compressed body', () => {
  const bomb = gzipSync(JSON.stringify({ query: `{ __typename } #${' '.repeat(64 * 1024 * 1024)}` }));

  test.each(['gzip', 'x-gzip', 'deflate', 'br', 'zstd', 'identity, gzip', 'gzip, gzip'])(
    'is rejected with 415 and not decompressed: %s',
    async (encoding) => {
      const harness = await ServerHarness.open();
      const before = process.memoryUsage().arrayBuffers;
      const response = await fetch(`${harness.url}/graphql`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${API_KEY}`,
          'content-type': 'application/json',
          'content-encoding': encoding,
        },
        body: bomb,
      });
      expect(response.status).toBe(415);
      expect(((await response.json()) as { errors: unknown }).errors).toMatchObject([
        { extensions: { code: 'BAD_REQUEST' } },
      ]);
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
    },
  );
});
