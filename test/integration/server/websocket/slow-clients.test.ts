/** Clients who take their time over HTTP, or all the connections there are. */
import { connect, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { LimitSettings } from '../../../../src/server/limits/limit-settings.ts';
import { API_KEY, ServerHarness, LIMITS } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const open = (limits: Partial<LimitSettings>): Promise<ServerHarness> =>
  ServerHarness.open({ settings: { limits: { ...LIMITS, ...limits } } });

/** A connection that says what it is told to, and nothing else. */
class Line {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  heard = '';

  constructor(harness: ServerHarness, localAddress = '127.0.0.1') {
    const { hostname, port } = new URL(harness.url);
    this.socket = connect({ port: Number(port), host: hostname, localAddress });
    this.socket.setEncoding('latin1').on('data', (text: string) => (this.heard += text));
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    onTestFinished(() => void this.socket.destroy());
  }

  /** Says it a letter at a time, again and again, for as long as it is listened to. */
  drip(text: string): void {
    let at = 0;
    const dripping = setInterval(() => this.socket.write(text[at++ % text.length] ?? ''), 5);
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

describe('a request that never ends is cut off with 408, while others are served', () => {
  test.each<[string, (line: Line) => void]>([
    ['nothing', () => undefined],
    ['a head, letter by letter', (line) => line.drip(`${head()}\r\nX-A: b\r\n`)],
    ['half a head', (line) => line.socket.write(head())],
    [
      'a body, letter by letter',
      (line) => (line.socket.write(`${head('Content-Length: 500000')}\r\n\r\n`), line.drip(BODY)),
    ],
    ['half a body', (line) => line.socket.write(`${head(`Content-Length: ${BODY.length}`)}\r\n\r\n${BODY.slice(1)}`)],
    ['half a chunk', (line) => line.socket.write(`${head('Transfer-Encoding: chunked')}\r\n\r\nff\r\n{`)],
    [
      'half a body of what is not ours',
      (line) => line.socket.write(`GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n`),
    ],
  ])('%s', async (what, say) => {
    // For a head there is less time than for all of a request, which here would be for ever.
    const isOfHead = what === 'nothing' || what.includes('a head');
    const httpTimes = { headersMs: 150, requestMs: isOfHead ? 600_000 : 200, checkMs: 20 };
    const harness = await ServerHarness.open({ httpTimeouts: httpTimes });
    const lines = Array.from({ length: 20 }, () => new Line(harness));
    for (const line of lines) say(line);
    expect((await harness.post('{ __typename }')).status).toBe(200);
    await Promise.all(lines.map(({ closed }) => closed));
    await expect.poll(() => harness.server.connections.openCount).toBeLessThanOrEqual(1);
    expect((await harness.post('{ __typename }')).status).toBe(200);
  });
});

test('who does not read an answer is not waited for', async () => {
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
  // 12 MiB, more than the kernel keeps for anybody.
  const many = Array.from({ length: 25 }, (_, index) => `t${index}: customStatus`).join(' ');
  const body = JSON.stringify({
    query: `query ($ids: [ID!]!) { userStatuses(userIds: $ids) { ${many} } }`,
    variables: { ids: Array.from({ length: 500 }, () => 'alice') },
  });
  const before = harness.server.connections.openCount;
  const line = new Line(harness);
  line.socket.pause();
  line.socket.write(`${head(`Content-Length: ${body.length}`)}\r\n\r\n${body}`);
  await expect.poll(() => harness.server.connections.openCount).toBe(before + 1);
  const cutOff = () => harness.server.connections.openCount <= before;
  await expect.poll(cutOff, { timeout: 10_000 }).toBe(true);
  line.socket.resume();
  await line.closed;
  expect(line.heard.length).toBeLessThan(12_000_000);
});

describe('connections that are no sockets', () => {
  test('are at most so many from one address; another one is served', async () => {
    const harness = await open({ maxSocketsPerAddress: 1 });
    const lines = Array.from({ length: 256 }, () => new Line(harness));
    await expect.poll(() => harness.server.connections.openCount).toBe(256);
    const [first] = lines;
    await new Line(harness).closed;
    expect(harness.server.rejections.connections).toBe(1);
    const other = new Line(harness, '127.0.0.2');
    other.socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await other.closed;
    expect(other.heard).toMatch(/^HTTP\/1\.1 200 /);
    first?.socket.destroy();
    await expect.poll(() => harness.server.connections.openCount).toBe(255);
    expect((await harness.post('{ __typename }')).status).toBe(200);
  });

  test('are at most so many in all: the one that has waited longest makes room', async () => {
    const harness = await open({ maxSockets: 10, maxSocketsPerAddress: 0 });
    const kept = new Line(harness);
    await expect.poll(() => harness.server.connections.openCount).toBe(1);
    const lines = Array.from({ length: 255 }, () => new Line(harness));
    await expect.poll(() => harness.server.connections.openCount).toBe(256);
    // It asks, so it has waited for less long than all others.
    kept.socket.write('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => kept.heard).toMatch(/^HTTP\/1\.1 200 /);
    expect((await harness.post('{ __typename }')).status).toBe(200);
    await expect.poll(() => lines.filter(({ socket }) => socket.destroyed).length).toBe(1);
    expect(kept.socket.destroyed).toBe(false);
    expect(harness.server.connections.openCount).toBe(256);
    expect(harness.server.rejections.connections).toBe(1);
  });

  test('are none any more as soon as they are sockets', async () => {
    const harness = await open({});
    const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
    expect(harness.server.connections.openCount).toBe(0);
    wire.webSocket.close();
    await wire.closed;
    expect(harness.server.connections.openCount).toBe(0);
  });
});

describe('a compressed body', () => {
  const bomb = gzipSync(JSON.stringify({ query: `{ __typename } #${' '.repeat(64 * 1024 * 1024)}` }));

  test.each(['gzip', 'x-gzip', 'deflate', 'br', 'zstd', 'identity, gzip', 'gzip, gzip'])(
    'is refused with 415, and not looked into: %s',
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
