/** Lists, page by page, and how many users one call may name. */
import { beforeAll, describe, expect, test } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  logIn,
  logOut,
  newUserId,
  createPushOnlineDevice,
  startSharedServer,
  updatePolicy,
  WATCH,
  Watcher,
  type StatusChange,
  type Platform,
} from '../support/users.ts';

const server = startSharedServer();

interface Page<Node> {
  readonly nodes: readonly Node[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}
type Variables = Readonly<Record<string, unknown>>;
interface Listed {
  readonly userId: string;
}

const EVENTS = `query ($first: Int, $after: Cursor, $userId: ID) { events(first: $first, after: $after, userId: $userId) {
  nodes { cursor userId reason version } pageInfo { hasNextPage endCursor } } }`;
const ONLINE = `query ($first: Int, $after: String, $status: Status, $platform: Platform) {
  onlineUsers(first: $first, after: $after, status: $status, platform: $platform) {
  nodes { userId status } pageInfo { hasNextPage endCursor } } }`;

const pageOf = async <Node extends Listed>(query: string, variables: Variables): Promise<Page<Node>> => {
  const data = await postForData<Record<string, Page<Node>>>(server, server.apiKey, query, variables);
  const [page] = Object.values(data);
  if (page === undefined) throw new Error('No page.');
  return page;
};

/** All pages of a size: each but the last is full, and says that there are more. */
const walk = async <Node extends Listed>(query: string, first: number, rest: Variables = {}): Promise<Node[]> => {
  const all: Node[] = [];
  let after: string | null = null;
  for (;;) {
    const page: Page<Node> = await pageOf<Node>(query, { first, after, ...rest });
    all.push(...page.nodes);
    if (!page.pageInfo.hasNextPage) {
      expect(page.nodes.length).toBeLessThanOrEqual(first);
      return all;
    }
    expect(page.nodes).toHaveLength(first);
    after = page.pageInfo.endCursor;
  }
};

/** 260 users of whom each is ONLINE, PUSH_ONLINE or OFFLINE, by platform; and one of two devices. */
const people = { web: [] as string[], phone: [] as string[], lost: [] as string[], gone: [] as string[], both: '' };

beforeAll(async () => {
  await updatePolicy(server, { multiDevice: { mode: 'MULTI' } });
  const users = (name: string, count: number) => Array.from({ length: count }, () => newUserId(name));
  people.web = users('web', 40);
  people.phone = users('phone', 20);
  people.lost = users('lost', 5);
  people.gone = users('gone', 240);
  people.both = newUserId('both');
  await Promise.all([
    ...people.web.map((user) => logIn(server, user, 'WEB')),
    ...people.phone.map((user) => logIn(server, user, 'IPHONE')),
    ...people.lost.map((user) => createPushOnlineDevice(server, user, 'IPHONE')),
    ...people.gone.map(async (user) => logOut(server, await logIn(server, user, 'LINUX'))),
  ]);
  await createPushOnlineDevice(server, people.both, 'IPHONE');
  await logIn(server, people.both, 'WEB');
});

describe('events', () => {
  test('in pages of 500, 100 (by itself), 7, 2 and 1 they are the same, each once and in order', async () => {
    const whole = await walk<{ cursor: string; userId: string; reason: string; version: number }>(EVENTS, 500);
    // One LOGIN each; a DISCONNECT or a LOGOUT for some; and both has three.
    expect(whole).toHaveLength(40 + 20 + 2 * 5 + 2 * 240 + 3);
    expect(new Set(whole.map(({ cursor }) => cursor)).size).toBe(whole.length);
    expect(await walk(EVENTS, 7)).toEqual(whole);
    const byItself = await pageOf(EVENTS, {});
    expect(byItself.nodes).toEqual(whole.slice(0, 100));
    const tail = { after: whole[540]?.cursor };
    const rest: unknown[] = [];
    for (const first of [1, 2, 1]) {
      const page: Page<Listed & { cursor: string }> = await pageOf(EVENTS, { first, ...tail });
      rest.push(...page.nodes);
      tail.after = page.nodes.at(-1)?.cursor;
    }
    expect(rest).toEqual(whole.slice(541, 545));
    for (const user of [people.web[3], people.gone[7], people.both]) {
      const versions = whole.filter(({ userId }) => userId === user).map(({ version }) => version);
      expect(versions).toEqual([...versions].sort((one, other) => one - other));
    }
  });

  test.for([1, 2, 500])('of one user, in pages of %i', async (first) => {
    const mine = await walk<{ userId: string; reason: string }>(EVENTS, first, { userId: people.both });
    expect(mine.map(({ userId, reason }) => [userId, reason])).toEqual([
      [people.both, 'LOGIN'],
      [people.both, 'DISCONNECT'],
      [people.both, 'LOGIN'],
    ]);
    expect(await pageOf(EVENTS, { first, userId: 'nobody has seen her' })).toEqual({
      nodes: [],
      pageInfo: { hasNextPage: false, endCursor: null },
    });
  });

  test('the end of an empty page is where it was asked from; latestCursor is such a place', async () => {
    const { latestCursor } = await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }');
    const empty = { nodes: [], pageInfo: { hasNextPage: false, endCursor: latestCursor } };
    expect(await pageOf(EVENTS, { first: 1, after: latestCursor })).toEqual(empty);
    const [last] = (await walk<{ cursor: string; userId: string }>(EVENTS, 500)).slice(-1);
    expect((await pageOf(EVENTS, { after: last?.cursor })).pageInfo.endCursor).toBe(last?.cursor);
    // What happens next stands right after it.
    const user = newUserId();
    await logIn(server, user, 'WEB');
    const next = await pageOf<{ userId: string; reason: string }>(EVENTS, { after: latestCursor });
    expect(next.nodes).toMatchObject([{ userId: user, reason: 'LOGIN' }]);
    people.web.push(user);
  });
});

describe('onlineUsers', () => {
  const expected: readonly (readonly [string, Variables, () => string[]])[] = [
    ['all', {}, () => [...people.web, ...people.phone, ...people.lost, people.both]],
    ['ONLINE', { status: 'ONLINE' }, () => [...people.web, ...people.phone, people.both]],
    ['PUSH_ONLINE', { status: 'PUSH_ONLINE' }, () => people.lost],
    ['on WEB', { platform: 'WEB' }, () => [...people.web, people.both]],
    // The status is the user's, and a live session may be PUSH_ONLINE.
    ['on IPHONE', { platform: 'IPHONE' }, () => [...people.phone, ...people.lost, people.both]],
    ['ONLINE on IPHONE', { status: 'ONLINE', platform: 'IPHONE' }, () => [...people.phone, people.both]],
    ['PUSH_ONLINE on IPHONE', { status: 'PUSH_ONLINE', platform: 'IPHONE' }, () => people.lost],
    ['on MAC', { platform: 'MAC' }, () => []],
    ['PUSH_ONLINE on WEB', { status: 'PUSH_ONLINE', platform: 'WEB' }, () => []],
  ];
  test.for(expected)('%s, in pages of 1, 2 and 500: each once', async ([, filter, users]) => {
    for (const first of [1, 2, 500]) {
      const listed = (await walk(ONLINE, first, filter)).map(({ userId }) => userId);
      expect(listed.sort()).toEqual([...users()].sort());
    }
  });

  test('the end of an empty page is where it was asked from', async () => {
    const all = await pageOf(ONLINE, { first: 500 });
    const after = all.pageInfo.endCursor;
    expect(after).not.toBeNull();
    const empty = { nodes: [], pageInfo: { hasNextPage: false, endCursor: after } };
    expect(await pageOf(ONLINE, { after })).toEqual(empty);
    expect((await pageOf(ONLINE, { platform: 'MAC' })).pageInfo).toEqual({ hasNextPage: false, endCursor: null });
  });

  test('somebody who leaves between two pages makes nobody appear twice, or another one be missed', async () => {
    const stay = Array.from({ length: 6 }, () => newUserId('stay'));
    await Promise.all(stay.map((user) => logIn(server, user, 'MAC')));
    const first = await pageOf(ONLINE, { first: 3, platform: 'MAC' });
    const leaving = await logIn(server, first.nodes[2]?.userId ?? '', 'MAC');
    await logOut(server, leaving);
    const rest = await pageOf(ONLINE, { first: 500, platform: 'MAC', after: first.pageInfo.endCursor });
    expect([...first.nodes, ...rest.nodes].map(({ userId }) => userId).sort()).toEqual([...stay].sort());
  });
});

describe('what no page is', () => {
  test.for([0, -1, 501, 2_147_483_647, -2_147_483_648])('first: %i', async (first) => {
    expect(codeOf(await postOperation(server, server.apiKey, EVENTS, { first }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await postOperation(server, server.apiKey, ONLINE, { first }))).toBe('BAD_USER_INPUT');
    const literal = `{ events(first: ${first}) { nodes { userId } } }`;
    expect(codeOf(await postOperation(server, server.apiKey, literal))).toBe('BAD_USER_INPUT');
  });

  test.for(['', 'x', '0', '-1', '99999999999999999999', '%', 'null', '\u{1F600}', 'A'.repeat(5_000)])(
    'after: %j',
    async (after) => {
      expect(codeOf(await postOperation(server, server.apiKey, EVENTS, { after }))).toBe('BAD_USER_INPUT');
      const follow = 'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor } }';
      const socket = await GraphqlSocket.open(server, server.apiKey);
      expect(codeOf(await socket.execute(follow, { after }))).toBe('BAD_USER_INPUT');
      const online = await postOperation(server, server.apiKey, ONLINE, { after });
      // A position among users is opaque too; a text that happens to be one is no mistake.
      expect([null, 'BAD_USER_INPUT']).toContain(codeOf(online));
    },
  );
});

describe('500 users in one call', () => {
  const STATUSES = 'query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { userId status version } }';

  test('come in the order asked, duplicates and all', async () => {
    const asked = [...people.gone, ...people.web, ...people.lost, ...people.gone, ...people.web].slice(0, 499);
    asked.push('nobody yet');
    expect(asked).toHaveLength(500);
    const token = await mintToken(newUserId());
    const { userStatuses } = await postForData<{ userStatuses: readonly StatusChange[] }>(server, token, STATUSES, {
      userIds: asked,
    });
    const status = (user: string) =>
      people.web.includes(user) ? 'ONLINE' : people.lost.includes(user) ? 'PUSH_ONLINE' : 'OFFLINE';
    expect(userStatuses.map(({ userId, status }) => [userId, status])).toEqual(
      asked.map((user) => [user, status(user)]),
    );
    const same = Array.from({ length: 500 }, () => people.both);
    const answer = await postForData<{ userStatuses: readonly StatusChange[] }>(server, token, STATUSES, {
      userIds: same,
    });
    expect(new Set(answer.userStatuses.map(({ version }) => version))).toEqual(new Set([3]));
    expect(await postForData(server, token, STATUSES, { userIds: [] })).toEqual({ userStatuses: [] });
  });

  test('may be watched', async () => {
    const users = Array.from({ length: 500 }, () => newUserId('watched'));
    const watcher = await Watcher.open(server, users);
    expect(watcher.initialStatuses.map(({ userId }) => userId)).toEqual(users);
    await logIn(server, users[499] ?? '', 'WINDOWS' satisfies Platform);
    expect(await watcher.next()).toMatchObject({ userId: users[499], status: 'ONLINE' });
  });

  test('501 are TOO_MANY_USERS: asked, watched or written into the document', async () => {
    const userIds = Array.from({ length: 501 }, (_, index) => `one-${index}`);
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const literal = `{ userStatuses(userIds: ${JSON.stringify(userIds)}) { userId } }`;
    const answers = [
      await postOperation(server, server.apiKey, STATUSES, { userIds }),
      await socket.execute(STATUSES, { userIds }),
      await socket.execute(WATCH, { userIds }),
      await postOperation(server, server.apiKey, literal),
      await postOperation(server, server.apiKey, STATUSES, { userIds: userIds.map(() => 'the same') }),
    ];
    expect(answers.map(codeOf)).toEqual(answers.map(() => 'TOO_MANY_USERS'));
    expect(answers.map(({ data }) => data ?? null)).toEqual(answers.map(() => null));
  });
});
