/** Before there is anything behind the port: who comes first waits, who comes too early for that is sent away. */
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
const ASK = `POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`;

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const opened = async (patienceMs?: number, foreign?: StartupHandlerOptions['externalApi']) => {
  const port = new HttpListener({
    settings: { host: '127.0.0.1', port: 0, limits: LIMITS, trustProxy: false },
    counters: new ServerCounters(),
    log,
  });
  const starting = new StartupHandler({
    allowedOrigins: [],
    graphiql: undefined,
    externalApi: foreign,
    log,
    holdMs: patienceMs,
  });
  port.setHandler(starting);
  const address = await port.listen();
  closing.push(() => port.close(() => starting.close()));
  return { port, starting, at: address.port };
};

/** What is there in the end: it answers everybody with one word. */
const doors = (word: string): ConnectionHandler & { readonly upgrades: string[] } => {
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

const asked = async (at: number, path = '/graphql') => {
  const socket = connect(at, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(ASK.replace('/graphql', path));
  return { socket, answer: text(socket) };
};

/** Until the server has got what was sent before: it answers this one at once. */
const health = async (at: number): Promise<unknown> => (await fetch(`http://127.0.0.1:${at}/health/ready`)).json();

test('a request and a socket wait until the doors are there, and are let in', async () => {
  const { port, at } = await opened(60_000);
  const { answer } = await asked(at);
  const ws = new WebSocket(`ws://127.0.0.1:${at}/graphql`, 'graphql-transport-ws');
  const refused = once(ws, 'unexpected-response');
  // It is given up in the end, before it was one.
  ws.on('error', () => undefined);
  expect(await health(at)).toEqual({ status: 'starting' });
  const behind = doors('welcome');
  port.setHandler(behind);
  expect(await answer).toMatch(/^HTTP\/1.1 200 .*welcome/s);
  await refused;
  expect(behind.upgrades).toEqual(['/graphql']);
  expect(await (await asked(at)).answer).toContain('welcome');
  ws.terminate();
});

test('who waits too long is told to come back, and so are all who come later', async () => {
  const { at } = await opened(0);
  for (const { answer } of [await asked(at), await asked(at)]) {
    expect(await answer).toMatch(/^HTTP\/1.1 503 .*Retry-After: \d.*"code":"OVERLOADED","retryAfterMs":\d+/s);
  }
  const ws = new WebSocket(`ws://127.0.0.1:${at}/graphql`, 'graphql-transport-ws');
  expect((await once(ws, 'close'))[0]).toBe(1013);
});

test('who asks another product’s API waits and is told to come back in its words; without one there is nothing', async () => {
  const path = '/v4/openim/querystate?a=b';
  const waiting = await opened(60_000, tencentApiBase);
  const { answer } = await asked(waiting.at, path);
  await health(waiting.at);
  waiting.port.setHandler(doors('welcome'));
  expect(await answer).toContain('welcome');
  // Some of its clients look at nothing but ErrorCode: where there is none, a kick would seem to be done.
  expect(await (await asked((await opened(0, tencentApiBase)).at, path)).answer).toMatch(
    /^HTTP\/1.1 200 .*Retry-After: \d.*"ActionStatus":"FAIL",.*"ErrorCode":60008\b/s,
  );
  expect(await (await asked((await opened(60_000)).at, path)).answer).toMatch(/^HTTP\/1.1 404 /);
});

test('who is gone before the doors are there is not let in', async () => {
  const { port, at } = await opened(60_000);
  const { socket, answer } = await asked(at);
  const upgrade = connect(at, '127.0.0.1');
  await once(upgrade, 'connect');
  upgrade.write('GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await health(at);
  socket.resetAndDestroy();
  upgrade.resetAndDestroy();
  answer.catch(() => undefined);
  await expect.poll(() => port.connectionLimiter.openCount).toBeLessThanOrEqual(1);
  const behind = doors('welcome');
  let requests = 0;
  port.setHandler({
    ...behind,
    handleRequest: (...exchange) => {
      requests++;
      behind.handleRequest(...exchange);
    },
  });
  expect(await (await asked(at)).answer).toContain('welcome');
  expect([requests, behind.upgrades]).toEqual([1, []]);
});

test('whoever waits when the server goes down is sent away', async () => {
  const { starting, at } = await opened(60_000);
  const { answer } = await asked(at);
  await health(at);
  starting.close();
  expect(await answer).toMatch(/^HTTP\/1.1 503 /);
});
