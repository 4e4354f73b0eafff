/** How the process ends: in order, in time, and whatever its clients are doing. */
import { once } from 'node:events';
import { connect, type Socket as TcpSocket } from 'node:net';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createRestartHarness } from '../../support/crash/crash-restart.ts';
import { openStream } from '../../support/crash/crash-stream.ts';
import { postForData, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess, startPorchlight } from '../../support/porchlight-process.ts';
import { logIn, LOGIN, fetchUser, WATCH } from '../support/users.ts';

const STOP_WITHIN_MS = 10_000;
const AT_ONCE_MS = 2_000;

/** A connection that says what it is given, and no more. */
const dial = async ({ port }: PorchlightProcess, says: string): Promise<TcpSocket> => {
  const tcp = connect(port, '127.0.0.1');
  tcp.on('error', () => undefined);
  await once(tcp, 'connect');
  if (says !== '') await new Promise<void>((resolve) => tcp.write(says, () => resolve()));
  return tcp;
};

const HALF_A_HEAD = 'POST /graphql HTTP/1.1\r\nHost: localhost\r\ncontent-type: appl';
const HALF_A_BODY = `POST /graphql HTTP/1.1\r\nHost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"query"`;

/** Everything that may keep a server from ending. */
const burden = async (server: PorchlightProcess) => {
  const alice = await logIn(server, 'alice', 'WEB');
  const stream = openStream(server, server.apiKey, WATCH, { userIds: ['alice'] });
  await stream.inbox.next();
  const idle = await dial(server, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(idle, 'data');
  const mute = new GraphqlSocket(server);
  await once(mute.ws, 'open');
  // One that does not even read: it will not answer a close frame.
  const deaf = await GraphqlSocket.open(server, server.apiKey);
  deaf.subscribe('subscription { presenceEvents { cursor } }');
  deaf.tcp.pause();
  const halves = [await dial(server, HALF_A_HEAD), await dial(server, HALF_A_BODY), await dial(server, '')];
  const sockets = [
    await GraphqlSocket.open(server, alice.token),
    await GraphqlSocket.open(server, await mintToken('bob')),
    mute,
  ];
  return { stream, sockets, deaf, connections: [idle, ...halves] };
};

/** Who asks now is refused, or told that it is not ready; never that it is. */
const expectUnready = async (server: PorchlightProcess): Promise<void> => {
  const health = await fetch(`${server.origin}/health/ready`).catch(() => null);
  await health?.body?.cancel();
  expect([null, 503]).toContain(health?.status ?? null);
};

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('ends the process with 0 within 10 s, whatever is open', async () => {
    await using place = createRestartHarness();
    const server = await place.start();
    const { stream, sockets, deaf, connections } = await burden(server);
    const began = performance.now();
    server.signal(signal);
    for (const { closed } of sockets) expect((await closed).code).toBe(1012);
    await expectUnready(server);
    expect(await server.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(STOP_WITHIN_MS);
    expect(server.output()).not.toMatch(/\n {4}at |"level":"(error|fatal)"/);
    stream.disconnect();
    deaf.ws.terminate();
    for (const tcp of connections) tcp.destroy();
    const log = `${place.database}-wal`;
    expect(existsSync(log) ? statSync(log).size : 0, 'everything is in the one file').toBe(0);
  });

  test('sent twice ends it at once', async () => {
    await using server = await startPorchlight();
    const socket = await GraphqlSocket.open(server, server.apiKey);
    // What is half sent is waited for, so that there is something to cut short.
    const half = await dial(server, HALF_A_BODY);
    server.signal(signal);
    await socket.closed;
    const again = performance.now();
    server.signal(signal);
    const { code, signal: killedBy } = await server.exited;
    expect(performance.now() - again).toBeLessThan(AT_ONCE_MS);
    expect([code, killedBy], 'it was no clean end').not.toEqual([0, null]);
    half.destroy();
  });
});

test('what is answered while it goes down is kept, and what is refused has not happened', async () => {
  await using place = createRestartHarness();
  const server = await place.start();
  const ids = Array.from({ length: 60 }, (_, index) => `user ${index}`);
  const jwts = await Promise.all(ids.map((id) => mintToken(id)));
  let signalled = false;
  const told = await Promise.all(
    jwts.map(async (jwt) => {
      // Without an answer nobody knows.
      const answer = await postOperation(server, jwt, LOGIN, { input: { platform: 'WEB' } }).catch(() => null);
      // Sent by the first that is answered, while the others are under way.
      if (!signalled) server.signal('SIGTERM');
      signalled = true;
      return answer === null ? null : answer.errors === undefined ? 'ONLINE' : 'OFFLINE';
    }),
  );
  expect(told).toContain('ONLINE');
  expect(await server.exited).toEqual({ code: 0, signal: null });

  const after = await place.start();
  const { userStatuses } = await postForData<{ userStatuses: { status: string }[] }>(
    after,
    after.apiKey,
    'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }',
    { ids },
  );
  told.forEach((status, index) => {
    if (status !== null) expect(userStatuses[index]?.status, `user ${index}`).toBe(status);
  });
});

test('a server that was killed while it had users starts again on what it left', async () => {
  await using place = createRestartHarness();
  const server = await place.start();
  await logIn(server, 'alice', 'WEB');
  await server.sigkill();
  expect(existsSync(join(place.directory, 'porchlight.db.lock')), 'its lock is not in the way').toBe(true);
  const after = await place.start();
  expect(await fetchUser(after, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
});
