/** Pagination of lists, and the limit of user ids in one call. */
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
interface UserNode {
  readonly userId: string;
}

const EVENTS = `query ($first: Int, $after: Cursor, $userId: ID) { events(first: $first, after: $after, userId: $userId) {
  nodes { cursor userId reason version } pageInfo { hasNextPage endCursor } } }`;
const ONLINE = `query ($first: Int, $after: String, $status: Status, $platform: Platform) {
  onlineUsers(first: $first, after: $after, status: $status, platform: $platform) {
  nodes { userId status } pageInfo { hasNextPage endCursor } } }`;

const fetchPage = async <Node extends UserNode>(query: string, variables: Variables): Promise<Page<Node>> => {
  const data = await postForData<Record<string, Page<Node>>>(server, server.apiKey, query, variables);
  const [page] = Object.values(data);
  if (page === undefined) throw new Error('The result has no page.');
  return page;
};

/** Reads all pages of a size. Expects every page but the last to be full and to report a next page. */
const fetchAllPages = async <Node extends UserNode>(
  query: string,
  first: number,
  rest: Variables = {},
): Promise<Node[]> => {
  const all: Node[] = [];
  let after: string | null = null;
  for (;;) {
    const page: Page<Node> = await fetchPage<Node>(query, { first, after, ...rest });
    all.push(...page.nodes);
    if (!page.pageInfo.hasNextPage) {
      expect(page.nodes.length).toBeLessThanOrEqual(first);
      return all;
    }
    expect(page.nodes).toHaveLength(first);
    after = page.pageInfo.endCursor;
  }
};

/** User ids by state: ONLINE on WEB or IPHONE, PUSH_ONLINE, OFFLINE, and one user with two devices. */
const usersByState = {
  web: [] as string[],
  phone: [] as string[],
  pushOnline: [] as string[],
  offline: [] as string[],
  both: '',
};

beforeAll(async () => {
  await updatePolicy(server, { multiDevice: { mode: 'MULTI' } });
  const users = (name: string, count: number) => Array.from({ length: count }, () => newUserId(name));
  usersByState.web = users('web', 40);
  usersByState.phone = users('phone', 20);
  usersByState.pushOnline = users('push-online', 5);
  usersByState.offline = users('offline', 240);
  usersByState.both = newUserId('both');
  await Promise.all([
    ...usersByState.web.map((user) => logIn(server, user, 'WEB')),
    ...usersByState.phone.map((user) => logIn(server, user, 'IPHONE')),
    ...usersByState.pushOnline.map((user) => createPushOnlineDevice(server, user, 'IPHONE')),
    ...usersByState.offline.map(async (user) => logOut(server, await logIn(server, user, 'LINUX'))),
  ]);
  await createPushOnlineDevice(server, usersByState.both, 'IPHONE');
  await logIn(server, usersByState.both, 'WEB');
});

describe('events', () => {
  test('are listed once and in order with pages of 500, 100 (the default), 7, 2 and 1', async () => {
    const whole = await fetchAllPages<{ cursor: string; userId: string; reason: string; version: number }>(EVENTS, 500);
    // One LOGIN each; also one DISCONNECT or LOGOUT for `pushOnline` and `offline`; three events for `both`.
    expect(whole).toHaveLength(40 + 20 + 2 * 5 + 2 * 240 + 3);
    expect(new Set(whole.map(({ cursor }) => cursor)).size).toBe(whole.length);
    expect(await fetchAllPages(EVENTS, 7)).toEqual(whole);
    const defaultPage = await fetchPage(EVENTS, {});
    expect(defaultPage.nodes).toEqual(whole.slice(0, 100));
    const tail = { after: whole[540]?.cursor };
    const rest: unknown[] = [];
    for (const first of [1, 2, 1]) {
      const page: Page<UserNode & { cursor: string }> = await fetchPage(EVENTS, { first, ...tail });
      rest.push(...page.nodes);
      tail.after = page.nodes.at(-1)?.cursor;
    }
    expect(rest).toEqual(whole.slice(541, 545));
    for (const user of [usersByState.web[3], usersByState.offline[7], usersByState.both]) {
      const versions = whole.filter(({ userId }) => userId === user).map(({ version }) => version);
      expect(versions).toEqual([...versions].sort((one, other) => one - other));
    }
  });

  test.for([1, 2, 500])('of one user are listed completely with pages of %i', async (first) => {
    const mine = await fetchAllPages<{ userId: string; reason: string }>(EVENTS, first, { userId: usersByState.both });
    expect(mine.map(({ userId, reason }) => [userId, reason])).toEqual([
      [usersByState.both, 'LOGIN'],
      [usersByState.both, 'DISCONNECT'],
      [usersByState.both, 'LOGIN'],
    ]);
    expect(await fetchPage(EVENTS, { first, userId: 'unknown user' })).toEqual({
      nodes: [],
      pageInfo: { hasNextPage: false, endCursor: null },
    });
  });

  test('have an empty page whose end cursor is the requested one, for example after latestCursor', async () => {
    const { latestCursor } = await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }');
    const empty = { nodes: [], pageInfo: { hasNextPage: false, endCursor: latestCursor } };
    expect(await fetchPage(EVENTS, { first: 1, after: latestCursor })).toEqual(empty);
    const [last] = (await fetchAllPages<{ cursor: string; userId: string }>(EVENTS, 500)).slice(-1);
    expect((await fetchPage(EVENTS, { after: last?.cursor })).pageInfo.endCursor).toBe(last?.cursor);
    // The next event follows this cursor directly.
    const user = newUserId();
    await logIn(server, user, 'WEB');
    const next = await fetchPage<{ userId: string; reason: string }>(EVENTS, { after: latestCursor });
    expect(next.nodes).toMatchObject([{ userId: user, reason: 'LOGIN' }]);
    usersByState.web.push(user);
  });
});

describe('onlineUsers', () => {
  const expected: readonly (readonly [string, Variables, () => string[]])[] = [
    [
      'without a filter',
      {},
      () => [...usersByState.web, ...usersByState.phone, ...usersByState.pushOnline, usersByState.both],
    ],
    ['ONLINE', { status: 'ONLINE' }, () => [...usersByState.web, ...usersByState.phone, usersByState.both]],
    ['PUSH_ONLINE', { status: 'PUSH_ONLINE' }, () => usersByState.pushOnline],
    ['on WEB', { platform: 'WEB' }, () => [...usersByState.web, usersByState.both]],
    // The status filter applies to the user, and a live session may be PUSH_ONLINE.
    ['on IPHONE', { platform: 'IPHONE' }, () => [...usersByState.phone, ...usersByState.pushOnline, usersByState.both]],
    ['ONLINE on IPHONE', { status: 'ONLINE', platform: 'IPHONE' }, () => [...usersByState.phone, usersByState.both]],
    ['PUSH_ONLINE on IPHONE', { status: 'PUSH_ONLINE', platform: 'IPHONE' }, () => usersByState.pushOnline],
    ['on MAC', { platform: 'MAC' }, () => []],
    ['PUSH_ONLINE on WEB', { status: 'PUSH_ONLINE', platform: 'WEB' }, () => []],
  ];
  test.for(expected)('lists each user once with pages of 1, 2 and 500: %s', async ([, filter, users]) => {
    for (const first of [1, 2, 500]) {
      const listed = (await fetchAllPages(ONLINE, first, filter)).map(({ userId }) => userId);
      expect(listed.sort()).toEqual([...users()].sort());
    }
  });

  test('has an empty page whose end cursor is the requested one', async () => {
    const all = await fetchPage(ONLINE, { first: 500 });
    const after = all.pageInfo.endCursor;
    expect(after).not.toBeNull();
    const empty = { nodes: [], pageInfo: { hasNextPage: false, endCursor: after } };
    expect(await fetchPage(ONLINE, { after })).toEqual(empty);
    expect((await fetchPage(ONLINE, { platform: 'MAC' })).pageInfo).toEqual({ hasNextPage: false, endCursor: null });
  });

  test('neither repeats nor misses a user when another user logs out between two pages', async () => {
    const stay = Array.from({ length: 6 }, () => newUserId('stay'));
    await Promise.all(stay.map((user) => logIn(server, user, 'MAC')));
    const first = await fetchPage(ONLINE, { first: 3, platform: 'MAC' });
    const leaving = await logIn(server, first.nodes[2]?.userId ?? '', 'MAC');
    await logOut(server, leaving);
    const rest = await fetchPage(ONLINE, { first: 500, platform: 'MAC', after: first.pageInfo.endCursor });
    expect([...first.nodes, ...rest.nodes].map(({ userId }) => userId).sort()).toEqual([...stay].sort());
  });
});

describe('invalid page arguments', () => {
  test.for([0, -1, 501, 2_147_483_647, -2_147_483_648])(
    'are rejected with BAD_USER_INPUT: first = %i',
    async (first) => {
      expect(codeOf(await postOperation(server, server.apiKey, EVENTS, { first }))).toBe('BAD_USER_INPUT');
      expect(codeOf(await postOperation(server, server.apiKey, ONLINE, { first }))).toBe('BAD_USER_INPUT');
      const literal = `{ events(first: ${first}) { nodes { userId } } }`;
      expect(codeOf(await postOperation(server, server.apiKey, literal))).toBe('BAD_USER_INPUT');
    },
  );

  test.for(['', 'x', '0', '-1', '99999999999999999999', '%', 'null', '\u{1F600}', 'A'.repeat(5_000)])(
    'are rejected with BAD_USER_INPUT: after = %j',
    async (after) => {
      expect(codeOf(await postOperation(server, server.apiKey, EVENTS, { after }))).toBe('BAD_USER_INPUT');
      const follow = 'subscription ($after: Cursor) { presenceEvents(after: $after) { cursor } }';
      const socket = await GraphqlSocket.open(server, server.apiKey);
      expect(codeOf(await socket.execute(follow, { after }))).toBe('BAD_USER_INPUT');
      const online = await postOperation(server, server.apiKey, ONLINE, { after });
      // The cursor of onlineUsers is opaque, and some of these texts may be valid cursors.
      expect([null, 'BAD_USER_INPUT']).toContain(codeOf(online));
    },
  );
});

describe('a list of user ids', () => {
  const STATUSES = 'query ($userIds: [ID!]!) { userStatuses(userIds: $userIds) { userId status version } }';

  test('of 500 ids is answered in its order, including duplicates', async () => {
    const requestedIds = [
      ...usersByState.offline,
      ...usersByState.web,
      ...usersByState.pushOnline,
      ...usersByState.offline,
      ...usersByState.web,
    ].slice(0, 499);
    requestedIds.push('unknown user');
    expect(requestedIds).toHaveLength(500);
    const token = await mintToken(newUserId());
    const { userStatuses } = await postForData<{ userStatuses: readonly StatusChange[] }>(server, token, STATUSES, {
      userIds: requestedIds,
    });
    const status = (user: string) =>
      usersByState.web.includes(user) ? 'ONLINE' : usersByState.pushOnline.includes(user) ? 'PUSH_ONLINE' : 'OFFLINE';
    expect(userStatuses.map(({ userId, status }) => [userId, status])).toEqual(
      requestedIds.map((user) => [user, status(user)]),
    );
    const same = Array.from({ length: 500 }, () => usersByState.both);
    const answer = await postForData<{ userStatuses: readonly StatusChange[] }>(server, token, STATUSES, {
      userIds: same,
    });
    expect(new Set(answer.userStatuses.map(({ version }) => version))).toEqual(new Set([3]));
    expect(await postForData(server, token, STATUSES, { userIds: [] })).toEqual({ userStatuses: [] });
  });

  test('of 500 ids can be watched', async () => {
    const users = Array.from({ length: 500 }, () => newUserId('watched'));
    const watcher = await Watcher.open(server, users);
    expect(watcher.initialStatuses.map(({ userId }) => userId)).toEqual(users);
    await logIn(server, users[499] ?? '', 'WINDOWS' satisfies Platform);
    expect(await watcher.next()).toMatchObject({ userId: users[499], status: 'ONLINE' });
  });

  test('of 501 ids is rejected with TOO_MANY_USERS in queries, subscriptions and literals', async () => {
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
