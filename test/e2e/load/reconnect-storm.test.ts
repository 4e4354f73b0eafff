/**
 * Very many sockets, lost at once and back at once: everybody is let in, nobody flaps who has grace, and
 * those who stayed are heard meanwhile. PORCHLIGHT_STORM_SOCKETS=20000 makes it that many, and says how
 * long it took; that needs `ulimit -n` above it.
 */
import { expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { createRestartHarness } from '../../support/crash/crash-restart.ts';
import { postForData, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { logIn } from '../support/users.ts';
import { delay } from '../support/stopwatch.ts';

const GIVEN = process.env['PORCHLIGHT_STORM_SOCKETS'];
const SOCKETS = Number(GIVEN ?? 2_000);
/** How many of the calm there are. */
const CALM = 10;
const AT_ONCE = 100;
const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { sessionToken } }';
const EVENTS = `query ($after: Cursor) {
  events(after: $after, first: 500) { nodes { userId reason version } pageInfo { endCursor hasNextPage } }
}`;
const SETTLED = { timeout: 60_000, interval: 100 };

vi.setConfig({ testTimeout: 300_000 });

interface Device {
  readonly userId: string;
  readonly token: string;
}

/** Half of them count as gone as soon as their socket is, half of them have five minutes. */
const devices = async (server: PorchlightProcess): Promise<readonly Device[]> => {
  const all: Device[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    for (let index = next++; index < SOCKETS; index = next++) {
      const platform = index % 2 === 0 ? 'ANDROID' : 'IPHONE';
      const userId = `${platform} ${index}`;
      const { login } = await postForData<{ login: { sessionToken: string } }>(server, await mintToken(userId), LOGIN, {
        input: { platform },
      });
      all.push({ userId, token: login.sessionToken });
    }
  };
  await Promise.all(Array.from({ length: 32 }, one));
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

const lose = (sockets: readonly (WebSocket | number)[]): void => {
  for (const ws of sockets) {
    if (typeof ws === 'number') continue;
    ws.on('error', () => undefined);
    (ws as unknown as { _socket: { resetAndDestroy(): void } })._socket.resetAndDestroy();
  }
};

/** All of them, so many at once. */
const attachAll = async (server: PorchlightProcess, all: readonly Device[], atOnce = all.length) => {
  const sockets: (WebSocket | number)[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    for (let device = all[next++]; device !== undefined; device = all[next++])
      sockets.push(await attach(server, device));
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  expect(sockets.filter((socket) => typeof socket === 'number')).toEqual([]);
  return sockets;
};

const openSockets = async (server: PorchlightProcess): Promise<number> =>
  (await postForData<{ stats: { sockets: number } }>(server, server.apiKey, '{ stats { sockets } }')).stats.sockets;

/** Each user's story, and how many have the same one, by platform. */
const stories = async (server: PorchlightProcess): Promise<Record<string, number>> => {
  const byUser = new Map<string, string[]>();
  interface Page {
    readonly nodes: readonly { readonly userId: string; readonly reason: string; readonly version: number }[];
    readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean };
  }
  for (let after: string | null = null, more = true; more;) {
    const { events }: { events: Page } = await postForData<{ events: Page }>(server, server.apiKey, EVENTS, { after });
    for (const { userId, reason, version } of events.nodes) {
      const story = byUser.get(userId);
      if (story === undefined) byUser.set(userId, [`${reason} ${version}`]);
      else story.push(`${reason} ${version}`);
    }
    ({ endCursor: after, hasNextPage: more } = events.pageInfo);
  }
  const found: Record<string, number> = {};
  for (const [userId, story] of byUser) {
    const [who] = userId.split(' ');
    if (who !== 'ANDROID' && who !== 'IPHONE') continue;
    const key = `${who}: ${story.join(', ')}`;
    found[key] = (found[key] ?? 0) + 1;
  }
  return found;
};

/** Beats over and over. @returns what ends them, with how long each took. */
const calm = async (server: PorchlightProcess): Promise<() => Promise<readonly number[]>> => {
  const took: number[] = [];
  let going = true;
  const loops = Array.from({ length: CALM }, async (_, index) => {
    const { token } = await logIn(server, `calm ${index}`, 'MAC');
    const socket = await GraphqlSocket.open(server, token);
    return async (): Promise<void> => {
      while (going) {
        const began = performance.now();
        const answer = await postOperation(server, token, 'mutation { heartbeat { heartbeatIntervalMs } }');
        if (answer.errors !== undefined) throw new Error(JSON.stringify(answer.errors));
        took.push(performance.now() - began);
        await delay(20);
      }
      socket.sendReset();
    };
  });
  const beating = Promise.all((await Promise.all(loops)).map((beat) => beat()));
  return async () => {
    going = false;
    await beating;
    return took;
  };
};

const say = (what: string, began: number, took: readonly number[] = []): void => {
  if (GIVEN === undefined) return;
  const sorted = took.toSorted((one, other) => one - other);
  const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
  console.log(
    `${what}: ${Math.round(performance.now() - began)} ms; beats p99 ${Math.round(p99)} ms of ${took.length}`,
  );
};

test('sockets lost at once and back at once', async () => {
  await using place = createRestartHarness({
    PORCHLIGHT_PLATFORMS: '[{"platform":"IPHONE","disconnectGraceMs":300000}]',
    PORCHLIGHT_RATE_PER_ADDRESS: '0',
    PORCHLIGHT_MAX_SOCKETS_PER_ADDRESS: '0',
  });
  const server = await place.start();
  const all = await devices(server);
  const half = SOCKETS / 2;
  const first = await attachAll(server, all, AT_ONCE);
  const ended = await calm(server);
  expect(await openSockets(server)).toBe(SOCKETS + CALM);

  let began = performance.now();
  lose(first);
  await vi.waitFor(async () => expect(await openSockets(server)).toBe(CALM), SETTLED);
  await vi.waitFor(
    async () => expect(await stories(server)).toMatchObject({ 'ANDROID: LOGIN 1, DISCONNECT 2': half }),
    SETTLED,
  );
  say('lost', began);
  began = performance.now();
  const second = await attachAll(server, all);
  const took = await ended();
  say('back', began, took);
  expect(await stories(server)).toEqual({
    'ANDROID: LOGIN 1, DISCONNECT 2, RECONNECT 3': half,
    'IPHONE: LOGIN 1': half,
  });

  await server.sigkill();
  lose(second);
  began = performance.now();
  const restarted = await place.start();
  const third = await attachAll(restarted, all);
  say('back after a kill -9', began);
  expect(await stories(restarted)).toEqual({
    'ANDROID: LOGIN 1, DISCONNECT 2, RECONNECT 3': half,
    'IPHONE: LOGIN 1': half,
  });
  expect(await openSockets(restarted)).toBe(SOCKETS);
  lose(third);
});
