/**
 * Many sockets that disconnect at once and reconnect at once. All are accepted, sessions with a disconnect grace have no
 * status change, and other clients are served meanwhile. PORCHLIGHT_STORM_SOCKETS=20000 sets the number and prints
 * durations; `ulimit -n` must be higher.
 */
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { postForData, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { logIn } from '../support/users.ts';
import { delay } from '../support/stopwatch.ts';

const CONFIGURED_SOCKETS = process.env['PORCHLIGHT_STORM_SOCKETS'];
const SOCKETS = Number(CONFIGURED_SOCKETS ?? 2_000);
/** The number of clients that stay connected and send heartbeats. */
const STEADY_CLIENTS = 10;
const CONCURRENCY = 100;
const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { sessionToken } }';
const EVENTS = `query ($after: Cursor) {
  events(after: $after, first: 500) { nodes { userId reason version } pageInfo { endCursor hasNextPage } }
}`;
const POLL_OPTIONS = { timeout: 60_000, interval: 100 };

vi.setConfig({ testTimeout: 300_000 });

interface Device {
  readonly userId: string;
  readonly token: string;
}

/** Logs all devices in. Half of them have no disconnect grace (ANDROID), half have five minutes (IPHONE). */
const logInAll = async (server: PorchlightProcess): Promise<readonly Device[]> => {
  const all: Device[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < SOCKETS; index = next++) {
      const platform = index % 2 === 0 ? 'ANDROID' : 'IPHONE';
      const userId = `${platform} ${index}`;
      const { login } = await postForData<{ login: { sessionToken: string } }>(server, await mintToken(userId), LOGIN, {
        input: { platform },
      });
      all.push({ userId, token: login.sessionToken });
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  return all;
};

/** Resolves with the socket when it is acknowledged, with the code of its close when it is not. */
const attach = ({ port }: PorchlightProcess, { token }: Device): Promise<WebSocket | number> =>
  new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/graphql`, ['graphql-transport-ws'], { perMessageDeflate: false });
    ws.once('error', reject);
    ws.once('close', resolve);
    ws.once('open', () =>
      ws.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } })),
    );
    ws.once('message', () => {
      ws.removeAllListeners('close');
      resolve(ws);
    });
  });

const resetAll = (sockets: readonly (WebSocket | number)[]): void => {
  for (const ws of sockets) {
    if (typeof ws === 'number') continue;
    ws.on('error', () => undefined);
    (ws as unknown as { _socket: { resetAndDestroy(): void } })._socket.resetAndDestroy();
  }
};

/** Opens the sockets of all devices, `atOnce` at a time. */
const attachAll = async (server: PorchlightProcess, all: readonly Device[], atOnce = all.length) => {
  const sockets: (WebSocket | number)[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let device = all[next++]; device !== undefined; device = all[next++])
      sockets.push(await attach(server, device));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  expect(sockets.filter((socket) => typeof socket === 'number')).toEqual([]);
  return sockets;
};

const countOpenSockets = async (server: PorchlightProcess): Promise<number> =>
  (await postForData<{ stats: { sockets: number } }>(server, server.apiKey, '{ stats { sockets } }')).stats.sockets;

/** The sequences of events per platform, and the number of users with each sequence. */
const countEventSequences = async (server: PorchlightProcess): Promise<Record<string, number>> => {
  const byUser = new Map<string, string[]>();
  interface Page {
    readonly nodes: readonly { readonly userId: string; readonly reason: string; readonly version: number }[];
    readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean };
  }
  for (let after: string | null = null, more = true; more;) {
    const { events }: { events: Page } = await postForData<{ events: Page }>(server, server.apiKey, EVENTS, { after });
    for (const { userId, reason, version } of events.nodes) {
      const sequence = byUser.get(userId);
      if (sequence === undefined) byUser.set(userId, [`${reason} ${version}`]);
      else sequence.push(`${reason} ${version}`);
    }
    ({ endCursor: after, hasNextPage: more } = events.pageInfo);
  }
  const counts: Record<string, number> = {};
  for (const [userId, sequence] of byUser) {
    const [platform] = userId.split(' ');
    if (platform !== 'ANDROID' && platform !== 'IPHONE') continue;
    const key = `${platform}: ${sequence.join(', ')}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
};

/** Starts clients that send heartbeats continuously. @returns a function that stops them and returns the latencies in ms. */
const startSteadyClients = async (server: PorchlightProcess): Promise<() => Promise<readonly number[]>> => {
  const took: number[] = [];
  let isRunning = true;
  const loops = Array.from({ length: STEADY_CLIENTS }, async (_, index) => {
    const { token } = await logIn(server, `steady ${index}`, 'MAC');
    const socket = await GraphqlSocket.open(server, token);
    return async (): Promise<void> => {
      while (isRunning) {
        const began = performance.now();
        const answer = await postOperation(server, token, 'mutation { heartbeat { heartbeatIntervalMs } }');
        if (answer.errors !== undefined) throw new Error(JSON.stringify(answer.errors));
        took.push(performance.now() - began);
        await delay(20);
      }
      socket.sendReset();
    };
  });
  const heartbeats = Promise.all((await Promise.all(loops)).map((run) => run()));
  return async () => {
    isRunning = false;
    await heartbeats;
    return took;
  };
};

const printDuration = (step: string, began: number, took: readonly number[] = []): void => {
  if (CONFIGURED_SOCKETS === undefined) return;
  const sorted = took.toSorted((one, other) => one - other);
  const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  console.log(
    `${step}: ${Math.round(performance.now() - began)} ms; heartbeats p99 ${Math.round(p99)} ms of ${took.length}`,
  );
};

test('sockets that disconnect and reconnect at once are all accepted, also after SIGKILL, with no status change during a grace', async () => {
  await using harness = createRestartHarness({
    PORCHLIGHT_PLATFORMS: '[{"platform":"IPHONE","disconnectGraceMs":300000}]',
    PORCHLIGHT_RATE_PER_ADDRESS: '0',
    PORCHLIGHT_MAX_SOCKETS_PER_ADDRESS: '0',
  });
  const server = await harness.start();
  const all = await logInAll(server);
  const half = SOCKETS / 2;
  const first = await attachAll(server, all, CONCURRENCY);
  const stopSteadyClients = await startSteadyClients(server);
  expect(await countOpenSockets(server)).toBe(SOCKETS + STEADY_CLIENTS);

  let began = performance.now();
  resetAll(first);
  await vi.waitFor(async () => expect(await countOpenSockets(server)).toBe(STEADY_CLIENTS), POLL_OPTIONS);
  await vi.waitFor(
    async () => expect(await countEventSequences(server)).toMatchObject({ 'ANDROID: LOGIN 1, DISCONNECT 2': half }),
    POLL_OPTIONS,
  );
  printDuration('disconnected', began);
  began = performance.now();
  const second = await attachAll(server, all);
  const took = await stopSteadyClients();
  printDuration('reconnected', began, took);
  expect(await countEventSequences(server)).toEqual({
    'ANDROID: LOGIN 1, DISCONNECT 2, RECONNECT 3': half,
    'IPHONE: LOGIN 1': half,
  });

  await server.sigkill();
  resetAll(second);
  began = performance.now();
  const restarted = await harness.start();
  const third = await attachAll(restarted, all);
  printDuration('reconnected after SIGKILL', began);
  expect(await countEventSequences(restarted)).toEqual({
    'ANDROID: LOGIN 1, DISCONNECT 2, RECONNECT 3': half,
    'IPHONE: LOGIN 1': half,
  });
  expect(await countOpenSockets(restarted)).toBe(SOCKETS);
  resetAll(third);
});
