/** Readers who do not read: a watcher is told less and the newest, a follower is sent away and resumes. */
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

const FAT = repeatedAliases(25);
const LONG = '\u{1F600}'.repeat(240);
const IN_FLIGHT = 40;

interface Writer {
  readonly device: Device;
  readonly socket: GraphqlSocket;
}
const writers: Writer[] = [];

/** Sets so many texts, several at a time, and then one last text by itself. */
const write = async ({ socket }: Writer, count: number, prefix: string, last: string): Promise<void> => {
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

describe('a watcher whose stream stands still', () => {
  test('is told little of 2,000 changes, and of each user the newest', async () => {
    const users = writers.map(({ device }) => device.userId);
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const query = `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { userId status version previousStatus customStatus ${FAT} } }`;
    const lists = socket.subscribe<{ statusChanges: StatusChange[] }>(query, { userIds: users });
    await lists.next();
    socket.tcp.pause();
    const brisk = await Watcher.open(server, users);
    await Promise.all(writers.map((writer) => write(writer, 667, LONG, 'the last word')));

    const lastOf = (changes: readonly StatusChange[], user: string) =>
      changes.filter(({ userId }) => userId === user).at(-1);
    // Somebody who reads has not been held up by the one who does not.
    await expect
      .poll(() => users.map((user) => lastOf(brisk.changes.all, user)?.customStatus), { timeout: 10_000 })
      .toEqual(users.map(() => 'the last word'));

    socket.tcp.resume();
    const heard = () => lists.all.slice(1).flatMap((answer) => dataOf(answer).statusChanges);
    await expect
      .poll(() => users.map((user) => lastOf(heard(), user)?.customStatus), { timeout: 10_000 })
      .toEqual(users.map(() => 'the last word'));
    for (const user of users) {
      const mine = heard().filter(({ userId }) => userId === user);
      const versions = mine.map(({ version }) => version);
      expect(versions).toEqual([...new Set(versions)].sort((one, other) => one - other));
      expect(versions.at(-1)).toBe((await fetchUser(server, user)).version);
      expect(mine.every(({ previousStatus, status }) => previousStatus === 'ONLINE' && status === 'ONLINE')).toBe(true);
    }
    // 2,004 changes were made; the kernels’ buffers hold some hundreds of these at the most.
    expect(heard().length).toBeLessThan(700);
    expect((await fetchUser(server, users[0] ?? '')).version).toBe(669);
    await Promise.all([socket.close(), brisk.socket.close()]);
  });

  test('is told of two changes as one: from what it last heard to what is now', async () => {
    const user = newUserId();
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const filler = writers[0];
    if (filler === undefined) throw new Error('Nobody writes.');
    const query = `subscription ($userIds: [ID!]!) { statusChanges(userIds: $userIds) { userId status version previousStatus reason customStatus ${FAT} } }`;
    const lists = socket.subscribe<{ statusChanges: StatusChange[] }>(query, { userIds: [user, filler.device.userId] });
    await lists.next();
    socket.tcp.pause();
    await write(filler, 600, LONG, 'full');
    // The stream is full: from here on everything is told at once.
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

describe('a follower whose stream stands still', () => {
  test('is closed with 4411 when it is too far behind, and resumes with its cursor without a gap', async () => {
    const fat = Array.from({ length: 25 }, (_, index) => `c${index}: customStatus`).join(' ');
    const follow = `subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId version ${fat} } }`;
    interface Followed {
      readonly presenceEvents: readonly {
        readonly cursor: string;
        readonly userId: string;
        readonly version: number;
      }[];
    }
    const users = writers.map(({ device }) => device.userId);
    const before = await Promise.all(users.map(async (user) => (await fetchUser(server, user)).version));
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const first = socket.subscribe<Followed>(follow);
    await socket.executeForData('{ latestCursor }');
    await write(writers[0] as Writer, 1, 'short', 'heard');
    await first.next();
    socket.tcp.pause();
    // It may leave 10,000 unread beside the lists that are under way to it, of 250 each.
    await Promise.all(writers.map((writer) => write(writer, 3_340, LONG, 'behind')));
    const tooFar = performance.now();
    await Promise.all(writers.map((writer) => write(writer, 260, LONG, 'further behind')));
    socket.tcp.resume();
    const late = performance.now() - tooFar > 2_000;
    // Who does not even read the good-bye is cut off at last.
    const { code } = await socket.closed;
    expect(late ? [4411, 1006] : [4411]).toContain(code);
    const refusal = first.all.find((answer) => codeOf(answer) !== null);
    if (refusal !== undefined) expect(codeOf(refusal)).toBe('OVERLOADED');

    const heard = (answers: readonly GraphqlResult<Followed>[]) =>
      answers.flatMap((answer) => answer.data?.presenceEvents ?? []);
    const again = await GraphqlSocket.open(server, server.apiKey);
    const rest = again.subscribe<Followed>(
      'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor userId version } }',
      {
        after: heard(first.all).at(-1)?.cursor,
      },
    );
    const after = await Promise.all(users.map(async (user) => (await fetchUser(server, user)).version));
    const all = () => [...heard(first.all), ...heard(rest.all)];
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
