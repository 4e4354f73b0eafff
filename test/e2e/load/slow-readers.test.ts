/** Clients that do not read: a watcher gets conflated changes, and a feed subscriber is closed and resumes. */
import { beforeAll, describe, expect, test } from 'vitest';
import { codeOf, dataOf, GraphqlSocket, type GraphqlResult } from '../../support/porchlight-client.ts';
import {
  logIn,
  repeatedAliases,
  newUserId,
  NO_RATE_LIMITS,
  SET_CUSTOM_STATUS,
  startSharedServer,
  fetchUser,
  Watcher,
  type StatusChange,
  type Device,
} from '../support/users.ts';

const server = startSharedServer({ env: NO_RATE_LIMITS });

const LARGE_SELECTION = repeatedAliases(25);
const LONG_TEXT = '\u{1F600}'.repeat(240);
const IN_FLIGHT = 40;

interface Writer {
  readonly device: Device;
  readonly socket: GraphqlSocket;
}
const writers: Writer[] = [];

/** Sets `count` texts, IN_FLIGHT at a time, and then the text `last`. */
const setTexts = async ({ socket }: Writer, count: number, prefix: string, last: string): Promise<void> => {
  for (let from = 0; from < count; from += IN_FLIGHT) {
    const batch = Array.from({ length: Math.min(IN_FLIGHT, count - from) }, (_, index) => from + index);
    await Promise.all(batch.map((index) => socket.executeForData(SET_CUSTOM_STATUS, { text: `${index} ${prefix}` })));
  }
  await socket.executeForData(SET_CUSTOM_STATUS, { text: last });
};

beforeAll(async () => {
  for (let count = 0; count < 3; count++) {
    const device = await logIn(server, newUserId(), 'IPHONE');
    writers.push({ device, socket: await GraphqlSocket.open(server, device.token) });
  }
});

describe('a watcher that does not read', () => {
  test('receives few of 2,000 changes, and the newest one of each user', async () => {
    const users = writers.map(({ device }) => device.userId);
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const query = `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { userId status version previousStatus customStatus ${LARGE_SELECTION} } }`;
    const lists = socket.subscribe<{ statusChanges: StatusChange[] }>(query, { userIds: users });
    await lists.next();
    socket.tcp.pause();
    const fastWatcher = await Watcher.open(server, users);
    await Promise.all(writers.map((writer) => setTexts(writer, 667, LONG_TEXT, 'the last text')));

    const lastOf = (changes: readonly StatusChange[], user: string) =>
      changes.filter(({ userId }) => userId === user).at(-1);
    // A watcher that reads is not delayed by the one that does not.
    await expect
      .poll(() => users.map((user) => lastOf(fastWatcher.changes.all, user)?.customStatus), { timeout: 10_000 })
      .toEqual(users.map(() => 'the last text'));

    socket.tcp.resume();
    const received = () => lists.all.slice(1).flatMap((answer) => dataOf(answer).statusChanges);
    await expect
      .poll(() => users.map((user) => lastOf(received(), user)?.customStatus), { timeout: 10_000 })
      .toEqual(users.map(() => 'the last text'));
    for (const user of users) {
      const mine = received().filter(({ userId }) => userId === user);
      const versions = mine.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((one, other) => one - other));
      expect(versions.at(-1)).toBe((await fetchUser(server, user)).version);
      expect(mine.every(({ previousStatus, status }) => previousStatus === 'ONLINE' && status === 'ONLINE')).toBe(true);
    }
    // 2,004 changes were made; the kernel's socket buffers hold at most some hundreds of them.
    expect(received().length).toBeLessThan(700);
    expect((await fetchUser(server, users[0] ?? '')).version).toBe(669);
    await Promise.all([socket.close(), fastWatcher.socket.close()]);
  });

  test('receives two changes as one, from the last delivered status to the current one', async () => {
    const user = newUserId();
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const filler = writers[0];
    if (filler === undefined) throw new Error('There is no writer.');
    const query = `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { userId status version previousStatus reason customStatus ${LARGE_SELECTION} } }`;
    const lists = socket.subscribe<{ statusChanges: StatusChange[] }>(query, { userIds: [user, filler.device.userId] });
    await lists.next();
    socket.tcp.pause();
    await setTexts(filler, 600, LONG_TEXT, 'full');
    // The stream is full, so that all later changes are delivered together.
    const phone = await logIn(server, user, 'IPHONE');
    await (await GraphqlSocket.open(server, phone.token)).close();
    await expect.poll(async () => (await fetchUser(server, user)).status).toBe('PUSH_ONLINE');
    socket.tcp.resume();
    const mine = () =>
      lists.all.slice(1).flatMap((answer) => dataOf(answer).statusChanges.filter(({ userId }) => userId === user));
    await expect.poll(() => mine().at(-1)?.version, { timeout: 10_000 }).toBe(2);
    expect(
      mine().map(
        ({ previousStatus, status, version, reason }) => `${previousStatus} > ${status} v${version} ${reason}`,
      ),
    ).toEqual(['OFFLINE > PUSH_ONLINE v2 DISCONNECT']);
    await socket.close();
  });
});

describe('a feed subscriber that does not read', () => {
  test('is closed with 4411 when its backlog is too large, and resumes at its cursor without a gap', async () => {
    const largeSelection = Array.from({ length: 25 }, (_, index) => `c${index}: customStatus`).join(' ');
    const follow = `subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId version ${largeSelection} } }`;
    interface FeedResult {
      readonly presenceEvents: readonly {
        readonly cursor: string;
        readonly userId: string;
        readonly version: number;
      }[];
    }
    const users = writers.map(({ device }) => device.userId);
    const before = await Promise.all(users.map(async (user) => (await fetchUser(server, user)).version));
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const first = socket.subscribe<FeedResult>(follow);
    await socket.executeForData('{ latestCursor }');
    await setTexts(writers[0] as Writer, 1, 'short', 'received');
    await first.next();
    socket.tcp.pause();
    // The limit is 10,000 unread events, in addition to the lists of 250 events that are in transit.
    await Promise.all(writers.map((writer) => setTexts(writer, 3_340, LONG_TEXT, 'backlog')));
    const limitReachedAt = performance.now();
    await Promise.all(writers.map((writer) => setTexts(writer, 260, LONG_TEXT, 'larger backlog')));
    socket.tcp.resume();
    const mayBeTerminated = performance.now() - limitReachedAt > 2_000;
    // A client that does not read the close frame in time is terminated.
    const { code } = await socket.closed;
    expect(mayBeTerminated ? [4411, 1006] : [4411]).toContain(code);
    const errorAnswer = first.all.find((answer) => codeOf(answer) !== null);
    if (errorAnswer !== undefined) expect(codeOf(errorAnswer)).toBe('OVERLOADED');

    const received = (answers: readonly GraphqlResult<FeedResult>[]) =>
      answers.flatMap((answer) => answer.data?.presenceEvents ?? []);
    const resumed = await GraphqlSocket.open(server, server.apiKey);
    const rest = resumed.subscribe<FeedResult>(
      'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId version } }',
      {
        after: received(first.all).at(-1)?.cursor,
      },
    );
    const after = await Promise.all(users.map(async (user) => (await fetchUser(server, user)).version));
    const all = () => [...received(first.all), ...received(rest.all)];
    await expect
      .poll(
        () =>
          users.map(
            (user) =>
              all()
                .filter(({ userId }) => userId === user)
                .at(-1)?.version,
          ),
        { timeout: 15_000 },
      )
      .toEqual(after);
    for (const [index, user] of users.entries()) {
      const from = (before[index] ?? 0) + 1;
      const versions = all()
        .filter(({ userId }) => userId === user)
        .map(({ version }) => version);
      expect(versions).toEqual(Array.from({ length: (after[index] ?? 0) - from + 1 }, (_, step) => from + step));
    }
  });
});
