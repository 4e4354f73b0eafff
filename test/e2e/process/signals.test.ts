/** Termination of the process by signals: clean, in time, with any kind of open connection. */
import { once } from 'node:events';
import { connect, type Socket as TcpSocket } from 'node:net';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { openStream } from '../../support/crash/event-stream.ts';
import { postForData, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess, startPorchlight } from '../../support/porchlight-process.ts';
import { logIn, LOGIN, fetchUser, WATCH } from '../support/users.ts';

const MAX_STOP_MS = 10_000;
const MAX_FORCED_STOP_MS = 2_000;

/** Opens a TCP connection and sends some bytes. */
const connectAndSend = async ({ port }: PorchlightProcess, bytes: string): Promise<TcpSocket> => {
  const tcp = connect(port, '127.0.0.1');
  tcp.on('error', () => undefined);
  await once(tcp, 'connect');
  if (bytes !== '') await new Promise<void>((resolve) => tcp.write(bytes, () => resolve()));
  return tcp;
};

const PARTIAL_HEAD = 'POST /graphql HTTP/1.1\r\nHost: localhost\r\ncontent-type: appl';
const PARTIAL_BODY = `POST /graphql HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"query"`;

/** Opens every kind of connection that could delay the end of a server. */
const openConnections = async (server: PorchlightProcess) => {
  const alice = await logIn(server, 'alice', 'WEB');
  const stream = openStream(server, server.apiKey, WATCH, { userIds: ['alice'] });
  await stream.inbox.next();
  const idle = await connectAndSend(server, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(idle, 'data');
  const unauthenticated = new GraphqlSocket(server);
  await once(unauthenticated.ws, 'open');
  // This socket does not read, so it never answers a close frame.
  const notReading = await GraphqlSocket.open(server, server.apiKey);
  notReading.subscribe('subscription { presenceEvents { cursor } }');
  notReading.tcp.pause();
  const partialRequests = [
    await connectAndSend(server, PARTIAL_HEAD),
    await connectAndSend(server, PARTIAL_BODY),
    await connectAndSend(server, ''),
  ];
  const sockets = [
    await GraphqlSocket.open(server, alice.token),
    await GraphqlSocket.open(server, await mintToken('bob')),
    unauthenticated,
  ];
  return { stream, sockets, notReading, connections: [idle, ...partialRequests] };
};

/** Expects the readiness check to be refused or to answer 503. */
const expectNotReady = async (server: PorchlightProcess): Promise<void> => {
  const health = await fetch(`${server.origin}/health/ready`).catch(() => null);
  await health?.body?.cancel();
  expect([null, 503]).toContain(health?.status ?? null);
};

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('ends the process with code 0 within 10 s with any open connections', async () => {
    await using harness = createRestartHarness();
    const server = await harness.start();
    const { stream, sockets, notReading, connections } = await openConnections(server);
    const began = performance.now();
    server.signal(signal);
    for (const { closed } of sockets) expect((await closed).code).toBe(1012);
    await expectNotReady(server);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(MAX_STOP_MS);
    expect(server.output()).not.toMatch(/\n {4}at |"level":"(error|fatal)"/);
    stream.disconnect();
    notReading.ws.terminate();
    for (const tcp of connections) tcp.destroy();
    const log = `${harness.database}-wal`;
    expect(existsSync(log) ? statSync(log).size : 0, 'the write-ahead log is merged into the database').toBe(0);
  });

  test('sent twice ends the process at once', async () => {
    await using server = await startPorchlight();
    const socket = await GraphqlSocket.open(server, server.apiKey);
    // The server waits for the partial request, so that the second signal has something to abort.
    const partialRequest = await connectAndSend(server, PARTIAL_BODY);
    server.signal(signal);
    await socket.closed;
    const secondSignalAt = performance.now();
    server.signal(signal);
    const { code, signal: killedBy } = await server.exited;
    expect(performance.now() - secondSignalAt).toBeLessThan(MAX_FORCED_STOP_MS);
    expect([code, killedBy], 'the exit is not clean').not.toEqual([0, null]);
    partialRequest.destroy();
  });
});

test('logins that succeed during the shutdown are stored, and rejected ones are not', async () => {
  await using harness = createRestartHarness();
  const server = await harness.start();
  const ids = Array.from({ length: 60 }, (_, index) => `user ${index}`);
  const jwts = await Promise.all(ids.map((id) => mintToken(id)));
  let signalled = false;
  const expectedStatuses = await Promise.all(
    jwts.map(async (jwt) => {
      // Without an answer the result is unknown.
      const answer = await postOperation(server, jwt, LOGIN, { input: { platform: 'WEB' } }).catch(() => null);
      // The first answer triggers the signal, while the other logins are active.
      if (!signalled) server.signal('SIGTERM');
      signalled = true;
      return answer === null ? null : answer.errors === undefined ? 'ONLINE' : 'OFFLINE';
    }),
  );
  expect(expectedStatuses).toContain('ONLINE');
  expect(await server.exited).toEqual({ code: 0, signal: null });

  const after = await harness.start();
  const { userStatuses } = await postForData<{ userStatuses: { status: string }[] }>(
    after,
    after.apiKey,
    'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }',
    { ids },
  );
  expectedStatuses.forEach((status, index) => {
    if (status !== null) expect(userStatuses[index]?.status, `user ${index}`).toBe(status);
  });
});

test('a server that was killed by SIGKILL starts again with its users', async () => {
  await using harness = createRestartHarness();
  const server = await harness.start();
  await logIn(server, 'alice', 'WEB');
  await server.sigkill();
  expect(existsSync(join(harness.directory, 'porchlight.db.lock')), 'the lock file remains').toBe(true);
  const after = await harness.start();
  expect(await fetchUser(after, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
});
