/** Requests during the start of a server with many sessions: clients get a retry delay, then connect without status changes. */
import Database from 'better-sqlite3';
import { createClient } from 'graphql-ws';
import { closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
// eslint-disable-next-line no-restricted-imports -- The bench is JavaScript.
import { fill, sessionsOf, sessionToken, userId } from '../../bench/database.js';
import { readLog } from '../../support/crash/log-checks.ts';
import { retryUntilPasses, delay } from '../../support/crash/event-stream.ts';
import { postForData } from '../../support/porchlight-client.ts';
import {
  spawnPorchlight,
  withTimeout,
  type PorchlightProcess,
  type SpawnedServer,
} from '../../support/porchlight-process.ts';

const DIST = fileURLToPath(new URL('../../../dist', import.meta.url));
const API_KEY = 'the-key-of-startup-requests-0123456789';
/** More than 32 MiB of data, above which several threads read the database. */
const USERS = 80_000;
const BEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';
const STATUS = 'subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { status version } }';

let directoryOfUsers = '';
const runs: SpawnedServer[] = [];
beforeAll(async () => {
  directoryOfUsers = mkdtempSync(join(tmpdir(), 'porchlight-startup-'));
  await fill(DIST, directoryOfUsers, USERS);
});
afterEach(async () => {
  for (const run of runs.splice(0)) await run.dispose();
});
afterAll(() => rmSync(directoryOfUsers, { recursive: true, force: true, maxRetries: 5 }));

type StartingServer = Pick<PorchlightProcess, 'origin' | 'port' | 'apiKey'> & SpawnedServer;

/** Spawns a server on a known port without waiting for it. */
const spawn = async (directory = directoryOfUsers): Promise<StartingServer> => {
  const port = await freePort();
  const run = spawnPorchlight({ directory, env: { PORCHLIGHT_PORT: String(port), PORCHLIGHT_API_KEYS: API_KEY } });
  runs.push(run);
  return { ...run, origin: `http://127.0.0.1:${port}`, port, apiKey: API_KEY };
};

const freePort = async (): Promise<number> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
};

/** Retries from before the port is open. @returns the first response. */
const fetchWhenListening = (server: StartingServer, path: string): Promise<Response> =>
  retryUntilPasses(() => fetch(`${server.origin}${path}`), 20_000);

interface WatchResult {
  /** The codes with which its sockets were closed before it was accepted. */
  readonly closeCodes: readonly number[];
  readonly firstResult: unknown;
}

/** Watches a user with the user's session token by a graphql-ws client with default settings. */
const watchWithLibrary = async (server: StartingServer, index: number): Promise<WatchResult> => {
  const closed: number[] = [];
  const client = createClient({
    url: `${server.origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${sessionToken(index)}` },
    on: { closed: (event) => closed.push((event as { code: number }).code) },
  });
  const subscription = client.iterate({ query: STATUS, variables: { userIds: [userId(index)] } });
  const { value } = (await subscription.next()) as { value: unknown };
  const result = { closeCodes: [...closed], firstResult: value };
  // The client stays connected until the end of the test, because its close would be a DISCONNECT.
  disconnectClients.push(() => client.terminate());
  return result;
};
const disconnectClients: (() => void)[] = [];

interface BeatResult {
  readonly rejections: readonly {
    readonly status: number;
    readonly retryAfter: string | null;
    readonly body: unknown;
  }[];
  readonly answer: unknown;
}

/** Sends a heartbeat over HTTP and retries after the Retry-After time. */
const beatWithRetries = async (server: StartingServer, index: number): Promise<BeatResult> => {
  const rejections = [];
  for (;;) {
    const response = await fetch(`${server.origin}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${sessionToken(index)}` },
      body: JSON.stringify({ query: BEAT }),
    });
    const body: unknown = await response.json();
    if (response.status === 200) return { rejections, answer: body };
    const retryAfter = response.headers.get('retry-after');
    rejections.push({ status: response.status, retryAfter, body });
    await delay(Number(retryAfter) * 1_000);
  }
};

test(
  'requests during the start get 503 or 1013 with a retry delay, succeed later and cause no status change',
  { timeout: 60_000 },
  async () => {
    const server = await spawn();
    const live = await fetchWhenListening(server, '/health/live');
    const ready = await fetch(`${server.origin}/health/ready`);
    expect([live.status, await live.json()]).toEqual([200, { status: 'live' }]);
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'starting' }]);
    const range = (from: number): number[] => Array.from({ length: 20 }, (_, index) => from + index);
    const [sockets, heartbeats] = await Promise.all([
      Promise.all(range(0).map((index) => watchWithLibrary(server, index))),
      Promise.all(range(100).map((index) => beatWithRetries(server, index))),
    ]);
    // A client that connected after the start has no close codes.
    for (const { closeCodes } of sockets) expect(closeCodes).toEqual(closeCodes.map(() => 1013));
    for (const { firstResult } of sockets)
      expect(firstResult).toEqual({ data: { statusChanges: [{ status: 'ONLINE', version: 1 }] } });
    for (const { rejections, answer } of heartbeats) {
      expect(answer).toEqual({ data: { heartbeat: { heartbeatIntervalMs: 120_000 } } });
      const startingResponse = {
        status: 503,
        retryAfter: expect.stringMatching(/^[234]$/) as string,
        body: {
          errors: [
            {
              message: expect.stringContaining('starting') as string,
              extensions: { code: 'OVERLOADED', retryAfterMs: expect.any(Number) as number },
            },
          ],
        },
      };
      expect(rejections).toEqual(rejections.map(() => startingResponse));
    }
    expect((await fetch(`${server.origin}/health/ready`)).status).toBe(200);
    expect(server.output()).toContain('Porchlight is ready');
    expect(server.output()).not.toMatch(/"level":"(warn|error|fatal)"/);
    // All users keep their status, and no event was created.
    const { stats } = await postForData<{ stats: unknown }>(
      server,
      API_KEY,
      '{ stats { usersOnline usersPushOnline sockets sessions { online } } }',
    );
    expect(stats).toMatchObject({ usersOnline: USERS, usersPushOnline: 0, sockets: 20 });
    const online = (stats as { sessions: { online: number }[] }).sessions.map((count) => count.online);
    expect(online.reduce((sum, count) => sum + count, 0)).toBe(sessionsOf(USERS));
    expect(await readLog(server as unknown as PorchlightProcess)).toEqual([]);
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual({ code: 0, signal: null });
    for (const disconnect of disconnectClients.splice(0)) disconnect();
  },
);

test('SIGTERM during the start ends the server with code 0 before it is ready', async () => {
  const server = await spawn();
  const ready = await fetchWhenListening(server, '/health/ready');
  expect(await ready.json()).toEqual({ status: 'starting' });
  const waiting = new WebSocket(`${server.origin.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const closed = new Promise((resolve) => waiting.once('error', resolve).once('close', resolve));
  server.child.kill('SIGTERM');
  expect(await withTimeout(server.exited, 15_000, server.output)).toEqual({ code: 0, signal: null });
  expect(server.output()).not.toContain('ready');
  await closed;
});

test('a damaged database makes the starting server exit with 78 and a clear message', async () => {
  const directory = join(directoryOfUsers, 'damaged');
  mkdirSync(directory);
  const path = join(directory, 'porchlight.db');
  copyFileSync(join(directoryOfUsers, 'porchlight.db'), path);
  const database = new Database(path);
  const pages = database
    .prepare<[], number>("SELECT pageno FROM dbstat WHERE name = 'sessions' AND pagetype = 'leaf' ORDER BY 1 DESC")
    .pluck()
    .all();
  database.close();
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(4_096, 0xa5), 0, 4_096, (Number(pages[0]) - 1) * 4_096);
  closeSync(file);
  const server = await spawn(directory);
  const ready = await fetchWhenListening(server, '/health/ready');
  expect(ready.status).toBe(503);
  await ready.body?.cancel();
  expect(await withTimeout(server.exited, 15_000, server.output)).toEqual({ code: 78, signal: null });
  expect(server.output()).toMatch(/^porchlight: .*porchlight\.db is damaged: the table sessions/m);
  expect(server.output()).not.toMatch(/ {4}at /);
});
