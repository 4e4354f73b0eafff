/** Clients who knock while a hundred thousand sessions are read: told to come back, they all come in, and nobody flaps. */
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
import { readLog } from '../../support/crash/crash-log.ts';
import { retryUntilPasses, delay } from '../../support/crash/crash-stream.ts';
import { postForData } from '../../support/porchlight-client.ts';
import {
  spawnPorchlight,
  withTimeout,
  type PorchlightProcess,
  type SpawnedServer,
} from '../../support/porchlight-process.ts';

const DIST = fileURLToPath(new URL('../../../dist', import.meta.url));
const API_KEY = 'the-key-of-those-who-knock-0123456789';
/** Together more than 32 MiB, from where on several threads read them. */
const USERS = 80_000;
const BEAT = 'mutation { heartbeat { heartbeatIntervalMs } }';
const STATUS = 'subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { status version } }';

let place = '';
const runs: SpawnedServer[] = [];
beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'porchlight-knock-'));
  await fill(DIST, place, USERS);
});
afterEach(async () => {
  for (const run of runs.splice(0)) await run.dispose();
});
afterAll(() => rmSync(place, { recursive: true, force: true, maxRetries: 5 }));

type Knocked = Pick<PorchlightProcess, 'origin' | 'port' | 'apiKey'> & SpawnedServer;

/** A server of that database, of which is known where it will be. Nothing is waited for. */
const spawn = async (directory = place): Promise<Knocked> => {
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

/** Asks again and again, from before there is a port. @returns the first answer. */
const firstAnswer = (server: Knocked, path: string): Promise<Response> =>
  retryUntilPasses(() => fetch(`${server.origin}${path}`), 20_000);

interface Visit {
  /** How its sockets were closed before it was let in. */
  readonly closed: readonly number[];
  readonly told: unknown;
}

/** The client library as it is, which watches a user with her own token. */
const visit = async (server: Knocked, index: number): Promise<Visit> => {
  const closed: number[] = [];
  const client = createClient({
    url: `${server.origin.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${sessionToken(index)}` },
    on: { closed: (event) => closed.push((event as { code: number }).code) },
  });
  const subscription = client.iterate({ query: STATUS, variables: { userIds: [userId(index)] } });
  const { value } = (await subscription.next()) as { value: unknown };
  const seen = { closed: [...closed], told: value };
  // It would be a DISCONNECT, and who is told of that is another test's matter.
  visitors.push(() => client.terminate());
  return seen;
};
const visitors: (() => void)[] = [];

interface Answered {
  readonly refusals: readonly { readonly status: number; readonly retryAfter: string | null; readonly body: unknown }[];
  readonly answer: unknown;
}

/** A client over HTTP that comes back when it is told to. */
const beatOver = async (server: Knocked, index: number): Promise<Answered> => {
  const refusals = [];
  for (;;) {
    const response = await fetch(`${server.origin}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${sessionToken(index)}` },
      body: JSON.stringify({ query: BEAT }),
    });
    const body: unknown = await response.json();
    if (response.status === 200) return { refusals, answer: body };
    const retryAfter = response.headers.get('retry-after');
    refusals.push({ status: response.status, retryAfter, body });
    await delay(Number(retryAfter) * 1_000);
  }
};

test(
  'who knocks while the sessions are read waits, or is told to come back, and comes in',
  { timeout: 60_000 },
  async () => {
    const server = await spawn();
    const live = await firstAnswer(server, '/health/live');
    const ready = await fetch(`${server.origin}/health/ready`);
    expect([live.status, await live.json()]).toEqual([200, { status: 'live' }]);
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'starting' }]);
    const range = (from: number): number[] => Array.from({ length: 20 }, (_, index) => from + index);
    const [sockets, beats] = await Promise.all([
      Promise.all(range(0).map((index) => visit(server, index))),
      Promise.all(range(100).map((index) => beatOver(server, index))),
    ]);
    // None where the start was over before they were sent away.
    for (const { closed } of sockets) expect(closed).toEqual(closed.map(() => 1013));
    for (const { told } of sockets)
      expect(told).toEqual({ data: { statusChanges: [{ status: 'ONLINE', version: 1 }] } });
    for (const { refusals, answer } of beats) {
      expect(answer).toEqual({ data: { heartbeat: { heartbeatIntervalMs: 120_000 } } });
      const told = {
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
      expect(refusals).toEqual(refusals.map(() => told));
    }
    expect((await fetch(`${server.origin}/health/ready`)).status).toBe(200);
    expect(server.output()).toContain('Porchlight is ready');
    expect(server.output()).not.toMatch(/"level":"(warn|error|fatal)"/);
    // Everybody is as she was, and nobody was told anything else.
    const { stats } = await postForData<{ stats: unknown }>(
      server,
      API_KEY,
      '{ stats { usersOnline usersPushOnline sockets sessions { online } } }',
    );
    expect(stats).toMatchObject({ usersOnline: USERS, usersPushOnline: 0, sockets: 20 });
    const online = (stats as { sessions: { online: number }[] }).sessions.map((each) => each.online);
    expect(online.reduce((sum, each) => sum + each, 0)).toBe(sessionsOf(USERS));
    expect(await readLog(server as unknown as PorchlightProcess)).toEqual([]);
    server.child.kill('SIGTERM');
    expect(await server.exited).toEqual({ code: 0, signal: null });
    for (const leave of visitors.splice(0)) leave();
  },
);

test('SIGTERM while the sessions are read ends the server in order, before it was ready', async () => {
  const server = await spawn();
  const ready = await firstAnswer(server, '/health/ready');
  expect(await ready.json()).toEqual({ status: 'starting' });
  const waiting = new WebSocket(`${server.origin.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const gone = new Promise((resolve) => waiting.once('error', resolve).once('close', resolve));
  server.child.kill('SIGTERM');
  expect(await withTimeout(server.exited, 15_000, server.output)).toEqual({ code: 0, signal: null });
  expect(server.output()).not.toContain('ready');
  await gone;
});

test('a damaged file is refused as ever, and the port is given back', async () => {
  const directory = join(place, 'damaged');
  mkdirSync(directory);
  const path = join(directory, 'porchlight.db');
  copyFileSync(join(place, 'porchlight.db'), path);
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
  const ready = await firstAnswer(server, '/health/ready');
  expect(ready.status).toBe(503);
  await ready.body?.cancel();
  expect(await withTimeout(server.exited, 15_000, server.output)).toEqual({ code: 78, signal: null });
  expect(server.output()).toMatch(/^porchlight: .*porchlight\.db is damaged: the table sessions/m);
  expect(server.output()).not.toMatch(/ {4}at /);
});
