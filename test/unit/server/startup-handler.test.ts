/** While the store loads, requests are held for a limited time and rejected after it. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import WebSocket from 'ws';
import { ServerCounters } from '../../../src/server/metrics/counters.ts';
import { HttpListener, type ConnectionHandler } from '../../../src/server/http/listener.ts';
import { StartupHandler, type StartupHandlerOptions } from '../../../src/server/startup-handler.ts';
import { tencentApiBase } from '../../../src/tencent/server-api.ts';
import { LIMITS } from '../../integration/server/support/server-harness.ts';

const log = pino({ level: 'silent' });
const REQUEST = `POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`;

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const startListening = async (holdMs?: number, externalApi?: StartupHandlerOptions['externalApi']) => {
  const listener = new HttpListener({
    settings: { host: '127.0.0.1', port: 0, limits: LIMITS, trustProxy: false, httpKeepAliveMs: 60_000 },
    counters: new ServerCounters(),
    log,
  });
  const startupHandler = new StartupHandler({
    allowedOrigins: [],
    graphiql: undefined,
    externalApi,
    log,
    holdMs,
  });
  listener.setHandler(startupHandler);
  const address = await listener.listen();
  closing.push(() => listener.close(() => startupHandler.close()));
  return { listener, startupHandler, port: address.port };
};

/** Creates a handler that answers every request with one word, and every upgrade with status 418. */
const createHandler = (word: string): ConnectionHandler & { readonly upgrades: string[] } => {
  const upgrades: string[] = [];
  return {
    upgrades,
    handleRequest: (request, response) => {
      request.resume();
      request.once('end', () => response.end(word));
    },
    handleUpgrade: (request, socket) => {
      upgrades.push(request.url ?? '');
      socket.end('HTTP/1.1 418 Later\r\n\r\n');
    },
  };
};

const sendRequest = async (port: number, path = '/graphql') => {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(REQUEST.replace('/graphql', path));
  return { socket, answer: text(socket) };
};

/** Resolves when the server has received everything sent before: health checks are answered at once. */
const checkHealth = async (port: number): Promise<unknown> =>
  (await fetch(`http://127.0.0.1:${port}/health/ready`)).json();

test('holds a request and an upgrade until the handler is replaced, and passes them to the new handler', async () => {
  const { listener, port } = await startListening(60_000);
  const { answer } = await sendRequest(port);
  const ws = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
  const rejected = once(ws, 'unexpected-response');
  // The client is terminated before it is connected, which emits an error.
  ws.on('error', () => undefined);
  expect(await checkHealth(port)).toEqual({ status: 'starting' });
  const handler = createHandler('welcome');
  listener.setHandler(handler);
  expect(await answer).toMatch(/^HTTP\/1.1 200 .*welcome/s);
  await rejected;
  expect(handler.upgrades).toEqual(['/graphql']);
  expect(await (await sendRequest(port)).answer).toContain('welcome');
  ws.terminate();
});

test('rejects held and later requests with 503 and Retry-After, and closes sockets with 1013, after the hold time', async () => {
  const { port } = await startListening(0);
  for (const { answer } of [await sendRequest(port), await sendRequest(port)]) {
    expect(await answer).toMatch(/^HTTP\/1.1 503 .*Retry-After: \d.*"code":"OVERLOADED","retryAfterMs":\d+/s);
  }
  const ws = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
  expect((await once(ws, 'close'))[0]).toBe(1013);
});

test('closes a socket with 1013 whatever subprotocol its client offers, so that the client does not fail by itself', async () => {
  const { port } = await startListening(0);
  for (const offers of [['graphql-ws'], ['graphql-ws', 'graphql-transport-ws'], []]) {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/graphql`, offers);
    const [code, reason] = (await once(ws, 'close')) as [number, Buffer];
    expect([code, String(reason)], offers.join()).toEqual([1013, 'Starting']);
  }
});

test('holds requests to an external API, rejects them in the format of that API, and answers 404 without one', async () => {
  const path = '/v4/openim/querystate?a=b';
  const waiting = await startListening(60_000, tencentApiBase);
  const { answer } = await sendRequest(waiting.port, path);
  await checkHealth(waiting.port);
  waiting.listener.setHandler(createHandler('welcome'));
  expect(await answer).toContain('welcome');
  // Some clients read only ErrorCode. Without it, a rejected kick would look like a success.
  expect(await (await sendRequest((await startListening(0, tencentApiBase)).port, path)).answer).toMatch(
    /^HTTP\/1.1 200 .*Retry-After: \d.*"ActionStatus":"FAIL",.*"ErrorCode":60008\b/s,
  );
  expect(await (await sendRequest((await startListening(60_000)).port, path)).answer).toMatch(/^HTTP\/1.1 404 /);
});

test('drops held requests and upgrades whose clients have disconnected', async () => {
  const { listener, port } = await startListening(60_000);
  const { socket, answer } = await sendRequest(port);
  const upgrade = connect(port, '127.0.0.1');
  await once(upgrade, 'connect');
  upgrade.write('GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await checkHealth(port);
  socket.resetAndDestroy();
  upgrade.resetAndDestroy();
  answer.catch(() => undefined);
  await expect.poll(() => listener.connectionLimiter.openCount).toBeLessThanOrEqual(1);
  const handler = createHandler('welcome');
  let requests = 0;
  listener.setHandler({
    ...handler,
    handleRequest: (...exchange) => {
      requests++;
      handler.handleRequest(...exchange);
    },
  });
  expect(await (await sendRequest(port)).answer).toContain('welcome');
  expect([requests, handler.upgrades]).toEqual([1, []]);
});

test('rejects held requests with 503 when the handler is closed', async () => {
  const { startupHandler, port } = await startListening(60_000);
  const { answer } = await sendRequest(port);
  await checkHealth(port);
  startupHandler.close();
  expect(await answer).toMatch(/^HTTP\/1.1 503 /);
});
