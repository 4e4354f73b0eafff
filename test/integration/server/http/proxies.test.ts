/** What proxies need of the server: headers of streams and errors, HTTP/1.0, health checks, and clear refusals. */
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

/** Longer than any test. */
const RARE_PINGS = { pingIntervalMs: 600_000 };

const FEED = 'subscription { presenceEvents { reason } }';

const connectTo = (harness: ServerHarness): Socket => {
  const { port, hostname } = new URL(harness.url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  return socket;
};

/** Writes the bytes, and reads until the server closes. */
const exchange = (harness: ServerHarness, bytes: string | Buffer): Promise<string> => {
  const socket = connectTo(harness);
  socket.write(bytes);
  return text(socket);
};

/** Reads until the text contains `end`. */
const readUntil = async (socket: Socket, end: string): Promise<string> => {
  let received = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    received += String(chunk);
    if (received.includes(end)) break;
  }
  return received;
};

const streamRequest = (version: string, connection: string): string =>
  `GET /graphql?query=${encodeURIComponent(FEED)} HTTP/${version}\r\nHost: x\r\nAccept: text/event-stream\r\n` +
  `Authorization: Bearer ${API_KEY}\r\nConnection: ${connection}\r\n\r\n`;

const openStream = (harness: ServerHarness, query: string, credential: string): Promise<Response> => {
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  return fetch(`${harness.url}/graphql`, {
    method: 'POST',
    signal: abort.signal,
    headers: {
      accept: 'text/event-stream',
      authorization: `Bearer ${credential}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ query }),
  });
};

describe('an event stream', () => {
  test.each([
    ['that runs', FEED, API_KEY],
    ['that is rejected', FEED, 'wrong'],
    ['whose document is invalid', 'subscription { nothing }', API_KEY],
  ])('%s has headers that forbid buffering, caching and compression', async (_which, query, credential) => {
    const { status, headers } = await openStream(await ServerHarness.open(), query, credential);
    expect(status).toBe(200);
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'content-encoding': 'none',
      'x-accel-buffering': 'no',
    });
  });

  test('sends comments at the interval of the setting while nothing happens', async () => {
    const harness = await ServerHarness.open({ settings: { pingIntervalMs: 20 } });
    const socket = connectTo(harness);
    socket.write(streamRequest('1.0', 'close'));
    expect(await readUntil(socket, ':\n\n'.repeat(10))).toMatch(/\r\n\r\n(:\n\n){10,}$/);
  });

  test('of an HTTP/1.0 client is not chunked, and its connection is closed at the end', async () => {
    const harness = await ServerHarness.open({ settings: RARE_PINGS });
    const socket = connectTo(harness);
    socket.write(streamRequest('1.0', 'keep-alive'));
    const head = await readUntil(socket, ':\n\n');
    expect(head).toContain('\r\nConnection: close\r\n');
    expect(head).not.toMatch(/transfer-encoding/i);
    const rest = text(socket);
    await harness.server.close();
    expect(await rest).toMatch(/OVERLOADED.*\n\nevent: complete\ndata:\n\n$/);
  });

  test('sends the first byte before the first event, also to a client of HTTP/1.1', async () => {
    const harness = await ServerHarness.open({ settings: RARE_PINGS });
    const socket = connectTo(harness);
    socket.write(streamRequest('1.1', 'keep-alive'));
    expect(await readUntil(socket, ':\n\n')).toContain('\r\nTransfer-Encoding: chunked\r\n');
  });
});

describe('a connection of a proxy', () => {
  test('is kept open for longer than proxies keep idle connections, and the answer says how long', async () => {
    const harness = await ServerHarness.open();
    const response = await fetch(`${harness.url}/health/live`);
    expect(response.headers.get('keep-alive')).toBe('timeout=130');
  });

  test('is closed after the idle time of the setting', async () => {
    const harness = await ServerHarness.open({ listenAt: { httpKeepAliveMs: 1_000 } });
    expect(await exchange(harness, 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n')).toContain('timeout=1\r\n');
  });

  test('receives 100 Continue before it sends the body', async () => {
    const harness = await ServerHarness.open();
    const socket = connectTo(harness);
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 26\r\n' +
        'Expect: 100-continue\r\nConnection: close\r\n\r\n',
    );
    expect(await readUntil(socket, '\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write('{"query":"{ __typename }"}');
    expect(await text(socket)).toContain('{"data":{"__typename":"Query"}}');
  });

  test('is closed after an answer while the server stops, so that the proxy sends nothing more over it', async () => {
    const harness = await ServerHarness.open();
    const socket = connectTo(harness);
    // The headers are incomplete, so the connection is not idle and the server has no request yet when it stops.
    socket.write('POST /graphql HTTP/1.1\r\nHost: x\r\n');
    await expect.poll(() => harness.server.connections.openCount).toBe(1);
    const waiting = await TestSocket.connect(harness.socketUrl, API_KEY);
    const closed = harness.server.close();
    socket.write('Content-Type: application/json\r\nContent-Length: 26\r\n\r\n{"query":"{ __typename }"}');
    const answer = await text(socket);
    expect(answer).toContain('{"data":{"__typename":"Query"}}');
    expect(answer).toContain('\r\nConnection: close\r\n');
    expect((await waiting.closed).code).toBe(1012);
    await closed;
  });
});

describe('a request with a complete URL, as a proxy receives it', () => {
  test('is answered like one with a path', async () => {
    const harness = await ServerHarness.open();
    const answer = await exchange(
      harness,
      'POST http://presence.example.com/graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
        'Connection: close\r\nContent-Length: 26\r\n\r\n{"query":"{ __typename }"}',
    );
    expect(answer).toContain('{"data":{"__typename":"Query"}}');
    const query = encodeURIComponent('{ __typename }');
    expect(
      await exchange(
        harness,
        `GET http://presence.example.com/graphql?query=${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      ),
    ).toContain('{"data":{"__typename":"Query"}}');
  });

  test.each([
    ['http://presence.example.com', '101 Switching Protocols'],
    ['http://x', '403 Forbidden'],
  ])('opens a WebSocket for a page of the host in the URL, not of the header Host: %s', async (origin, status) => {
    const harness = await ServerHarness.open();
    const socket = connectTo(harness);
    socket.write(
      'GET http://presence.example.com/graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        `Origin: ${origin}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n` +
        'Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n',
    );
    expect(await readUntil(socket, '\r\n\r\n')).toContain(`HTTP/1.1 ${status}\r\n`);
  });
});

describe('a health check', () => {
  test.each(['/health/live', '/health/ready', '/', '*'])('by OPTIONS %s is answered with 200', async (path) => {
    const harness = await ServerHarness.open();
    expect(await exchange(harness, `OPTIONS ${path} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });
});

describe('a connection that starts with another protocol', () => {
  const PROXY_V2 = Buffer.from('0d0a0d0a000d0a515549540a2111000c7f0000017f000001ffff0fa0', 'hex');
  const CLIENT_HELLO = Buffer.from('16030100c8010000c40303', 'hex');

  test.each([
    [
      'PROXY version 1',
      'PROXY TCP4 192.0.2.1 192.0.2.2 5000 4000\r\nGET / HTTP/1.1\r\n\r\n',
      'This is the PROXY protocol. ',
    ],
    ['PROXY version 2', PROXY_V2, 'This is the PROXY protocol. '],
    ['TLS', CLIENT_HELLO, 'This is TLS. '],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'This is HTTP/2. '],
  ])('is answered with 400 and the name of the protocol, and logged once: %s', async (_name, bytes, words) => {
    const harness = await ServerHarness.open();
    for (let attempt = 0; attempt < 2; attempt++) {
      const answer = await exchange(harness, bytes);
      expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
      const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as { readonly errors: readonly object[] };
      expect(body.errors).toMatchObject([
        { message: expect.stringContaining(words) as string, extensions: { code: 'BAD_REQUEST' } },
      ]);
    }
    const lines = harness.logLines.filter((line) => line.includes('does not speak HTTP/1.1'));
    expect(lines.map((line) => (JSON.parse(line) as { readonly level: string }).level)).toEqual(['warn', 'debug']);
    expect(harness.server.connections.openCount).toBe(0);
  });

  test.each([
    ['is no HTTP', 'hello\r\n\r\n', '400 Bad Request'],
    [
      'has too many headers',
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`,
      '431 Request Header Fields',
    ],
  ])('is answered without words when it %s', async (_name, bytes, status) => {
    const harness = await ServerHarness.open();
    expect(await exchange(harness, bytes)).toMatch(new RegExp(`^HTTP/1\\.1 ${status}`));
    expect(harness.logLines.filter((line) => line.includes('does not speak HTTP/1.1'))).toEqual([]);
  });
});

describe('the answer to a request', () => {
  const GET_QUERY = `/graphql?query=${encodeURIComponent('{ __typename }')}`;

  test.each([
    ['a query by GET', GET_QUERY, {}, 200],
    ['a query by GET with a wrong token', GET_QUERY, { authorization: 'Bearer wrong' }, 401],
    ['a query that is missing', '/graphql', {}, 400],
    ['an unknown path', '/nothing', {}, 404],
    ['the redirect to GraphiQL', '/', { accept: 'text/html' }, 302],
    ['a health check', '/health/ready', {}, 200],
    ['a WebSocket without its upgrade', '/graphql', { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' }, 426],
  ])('is never cached: %s', async (_name, path, headers, status) => {
    const harness = await ServerHarness.open();
    const response = await fetch(`${harness.url}${path}`, {
      redirect: 'manual',
      headers: { accept: 'application/graphql-response+json', ...headers },
    });
    expect([response.status, response.headers.get('cache-control')]).toEqual([status, 'no-store']);
  });

  test('says that an upgrade lost its headers, when a proxy did not forward them', async () => {
    const harness = await ServerHarness.open();
    const response = await fetch(`${harness.url}/graphql`, {
      headers: { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' },
    });
    expect(await response.json()).toMatchObject({
      errors: [{ message: expect.stringContaining('must forward the headers Upgrade and Connection') as string }],
    });
  });
});
