/** Sockets that close before they are answered leave no stale state, and concurrent changes stay consistent. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { postForData, dataOf, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  fetchEvents,
  LOGIN,
  logIn,
  newUserId,
  PLATFORMS,
  startSharedServer,
  updatePolicy,
  fetchUser,
  Watcher,
  type EventResult,
} from '../support/users.ts';
import { delay } from '../support/stopwatch.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = startSharedServer();
const POLL_OPTIONS = { timeout: 10_000, interval: 50 };

beforeAll(() => updatePolicy(server, { platforms: [{ platform: 'MAC', maxInstances: 3 }] }));

const CLOSE_METHODS: readonly (readonly [string, (socket: GraphqlSocket) => unknown])[] = [
  ['RST', (socket) => socket.sendReset()],
  ['FIN', (socket) => socket.sendFin()],
  ['a close frame', (socket) => socket.ws.close()],
];
/** Delays in milliseconds after the last message: before, during and after the answer of the server. */
const DELAYS_MS = [0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 8, 13, 30];

describe.concurrent('a socket that closes before the answer', () => {
  test.for(CLOSE_METHODS)(
    'to the connection_init of a session causes at most one DISCONNECT: closed by %s',
    async ([, closeSocket]) => {
      const users = await Promise.all(
        DELAYS_MS.map(async (delayMs) => {
          const device = await logIn(server, newUserId(), 'IPHONE');
          const socket = new GraphqlSocket(server);
          await socket.init(device.token);
          await delay(delayMs);
          closeSocket(socket);
          await socket.closed;
          return device.userId;
        }),
      );
      for (const user of users) {
        await vi.waitFor(async () => {
          const { status, sessions } = await fetchUser(server, user);
          // The socket was attached and disconnected, or never attached.
          const reasons = (await fetchEvents(server, user)).map(({ reason }) => reason);
          expect([['LOGIN'], ['LOGIN', 'DISCONNECT']]).toContainEqual(reasons);
          expect(sessions).toMatchObject([{ attached: false }]);
          expect(status).toBe(reasons.length === 1 ? 'ONLINE' : 'PUSH_ONLINE');
        }, POLL_OPTIONS);
      }
    },
  );

  test.for(CLOSE_METHODS)('to a login leaves no ONLINE session: closed by %s', async ([, closeSocket]) => {
    const users = await Promise.all(
      DELAYS_MS.map(async (delayMs) => {
        const user = newUserId();
        const socket = await GraphqlSocket.open(server, await mintToken(user));
        socket.subscribe(LOGIN, { input: { platform: 'IPHONE' } });
        // With so many answers pending, the close happens during one of them.
        for (let count = 0; count < 150; count++) socket.subscribe('{ me { id } }');
        await delay(delayMs);
        closeSocket(socket);
        await socket.closed;
        return user;
      }),
    );
    for (const user of users) {
      await vi.waitFor(async () => {
        const { status } = await fetchUser(server, user);
        // The login was processed or not. If it was, its session is disconnected with the socket.
        const reasons = (await fetchEvents(server, user)).map(({ reason }) => reason);
        expect([[], ['LOGIN', 'DISCONNECT']]).toContainEqual(reasons);
        expect(status).toBe(reasons.length === 0 ? 'OFFLINE' : 'PUSH_ONLINE');
      }, POLL_OPTIONS);
    }
  });

  test('50 times in a row leaves the correct status, and each disconnect is delivered once', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const watcher = await Watcher.open(server, [device.userId]);
    for (let round = 0; round < 50; round++) {
      const socket = await GraphqlSocket.open(server, device.token);
      if (round % 2 === 0) socket.sendReset();
      else socket.ws.close();
    }
    await vi.waitFor(async () => {
      expect(await fetchUser(server, device.userId)).toMatchObject({
        status: 'PUSH_ONLINE',
        sessions: [{ attached: false }],
      });
    }, POLL_OPTIONS);
    const { version } = await fetchUser(server, device.userId);
    await watcher.changes.nextMatching((change) => change.version === version);
    // The previous status of each change is the status of the change before it.
    let last = 'ONLINE';
    for (const { previousStatus, status } of watcher.changes.all) {
      expect(previousStatus).toBe(last);
      last = status;
    }
    const reasons = (await fetchEvents(server, device.userId)).map(({ reason }) => reason);
    expect(reasons.filter((reason, index) => reason === reasons[index - 1])).toEqual([]);
  });
});

describe('concurrent changes', () => {
  test('are never split between two lists of the event feed', async () => {
    const feed = (await GraphqlSocket.open(server, server.apiKey)).subscribe<{ presenceEvents: EventResult[] }>(
      'subscription { presenceEvents { changeId userId reason version status previousStatus } }',
    );
    await delay(200);
    const users = Array.from({ length: 60 }, () => newUserId());
    await Promise.all(
      users.map(async (user) => {
        for (const platform of ['MAC', 'MAC', 'MAC', ...PLATFORMS] as const) await logIn(server, user, platform);
      }),
    );
    const end = newUserId();
    await logIn(server, end);
    await feed.nextMatching((answer) => dataOf(answer).presenceEvents.some(({ userId }) => userId === end));
    const lists = feed.all.map((answer) => dataOf(answer).presenceEvents);
    const listsOf = new Map<string, Set<number>>();
    for (const [index, list] of lists.entries()) {
      for (const { changeId } of list) listsOf.set(changeId, (listsOf.get(changeId) ?? new Set()).add(index));
    }
    expect([...listsOf.values()].filter(({ size }) => size > 1)).toEqual([]);
    for (const user of users) {
      const mine = lists.flat().filter(({ userId }) => userId === user);
      // Of eleven logins the first one of another platform kicks three MAC sessions, and each later one kicks one session.
      expect(mine.filter(({ reason }) => reason === 'LOGIN')).toHaveLength(11);
      expect(mine.filter(({ reason }) => reason === 'KICKED')).toHaveLength(10);
      expect(new Set(mine.map(({ changeId }) => changeId)).size).toBe(11);
      expect(mine.every(({ version, status }) => version === 1 && status === 'ONLINE')).toBe(true);
      expect(mine.filter(({ previousStatus }) => previousStatus === 'OFFLINE')).toHaveLength(1);
    }
  });

  test('are neither missed nor repeated after the initial statuses of a subscription', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const writing = (async () => {
      for (let index = 0; index < 60; index++) {
        await postForData(
          server,
          device.token,
          `mutation { setCustomStatus(input: {text: "${index}"}) { userStatus { version } } }`,
        );
      }
    })();
    const watchers = [];
    for (let count = 0; count < 15; count++) watchers.push(await Watcher.open(server, [device.userId]));
    await writing;
    for (const watcher of watchers) {
      if (watcher.initialStatuses[0]?.version !== 61)
        await watcher.changes.nextMatching(({ version }) => version === 61);
      const versions = [...watcher.initialStatuses, ...watcher.changes.all].map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((one, other) => one - other));
      expect(versions.at(-1)).toBe(61);
    }
  });
});
