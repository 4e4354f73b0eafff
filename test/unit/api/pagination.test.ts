/** `events`, `onlineUsers` and `stats`. */
import { describe, expect, it, vi } from 'vitest';
import { sessionCaller, ApiHarness } from './api-harness.ts';

interface PageOf<Node> {
  readonly nodes: readonly Node[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}
type EventPage = PageOf<{ userId: string; cursor: string; changeId: string; reason: string }>;
type UserPage = PageOf<{ userId: string }>;

const EVENTS = `query($first: Int, $after: Cursor, $userId: ID) { events(first: $first, after: $after, userId: $userId) {
  nodes { cursor changeId userId reason } pageInfo { hasNextPage endCursor }
} }`;
const ONLINE = `query($first: Int, $after: String, $status: Status, $platform: Platform) {
  onlineUsers(first: $first, after: $after, status: $status, platform: $platform) {
    nodes { userId } pageInfo { hasNextPage endCursor }
  }
}`;

const events = async (harness: ApiHarness, variables: Record<string, unknown> = {}) =>
  (await harness.executeAsBackend<{ events: EventPage }>(EVENTS, variables)).events;
const online = async (harness: ApiHarness, variables: Record<string, unknown> = {}) =>
  (await harness.executeAsBackend<{ onlineUsers: UserPage }>(ONLINE, variables)).onlineUsers;

describe('the argument first', () => {
  it.each(['events', 'onlineUsers'])('of %s accepts 1 to 500', async (field) => {
    const codesOf = async (first: unknown) => {
      const document = `query($first: Int) { ${field}(first: $first) { nodes { userId } } }`;
      return (await new ApiHarness().execute(document, { variables: { first } })).codes;
    };
    for (const first of [1, 500, null]) expect(await codesOf(first)).toEqual([]);
    for (const first of [0, -1, 501, 2_147_483_647, 2_147_483_648, 1.5, '3']) {
      expect(await codesOf(first)).toEqual(['BAD_USER_INPUT']);
    }
  });

  it('defaults to 100 if it is omitted or null', async () => {
    const harness = new ApiHarness();
    for (let index = 0; index < 101; index++) await harness.login(`u${index}`);
    for (const document of ['{ events { nodes { userId } } }', '{ events(first: null) { nodes { userId } } }']) {
      expect((await harness.executeAsBackend<{ events: EventPage }>(document)).events.nodes).toHaveLength(100);
    }
    expect((await online(harness, { first: null })).nodes).toHaveLength(100);
  });
});

describe('events', () => {
  it('contain all fields of an event', async () => {
    const harness = new ApiHarness();
    await harness.login('alice', 'ANDROID');
    await harness.login('alice', 'WEB', 'd2');
    const { events: page } = await harness.executeAsBackend<{
      events: PageOf<Record<string, unknown>>;
    }>(`{ events { nodes {
      cursor changeId userId sessionId platform deviceId reason sessionStatus previousStatus status version kickedBy
      customStatus ipAddress occurredAt
    } } }`);
    const [, second, kick] = page.nodes;
    expect(kick).toEqual({
      cursor: expect.any(String) as string,
      changeId: second?.['changeId'],
      userId: 'alice',
      sessionId: 'session-1',
      platform: 'ANDROID',
      deviceId: 'd1',
      reason: 'KICKED',
      sessionStatus: 'OFFLINE',
      previousStatus: 'ONLINE',
      status: 'ONLINE',
      version: 1,
      kickedBy: 'WEB',
      customStatus: null,
      ipAddress: '192.0.2.7',
      occurredAt: expect.stringMatching(/Z$/) as string,
    });
  });

  it('are returned in pages; the page after the last is empty and ends at its `after`', async () => {
    const harness = new ApiHarness();
    for (const name of ['a', 'b', 'c']) await harness.login(name);
    const one = await events(harness, { first: 2 });
    expect(one.nodes.map(({ userId }) => userId)).toEqual(['a', 'b']);
    expect(one.pageInfo).toEqual({ hasNextPage: true, endCursor: one.nodes[1]?.cursor });
    const two = await events(harness, { first: 2, after: one.pageInfo.endCursor });
    expect(two.nodes.map(({ userId }) => userId)).toEqual(['c']);
    expect(two.pageInfo.hasNextPage).toBe(false);
    const after = two.pageInfo.endCursor;
    expect(await events(harness, { after })).toEqual({ nodes: [], pageInfo: { hasNextPage: false, endCursor: after } });
  });

  it('of an empty log have no endCursor', async () => {
    expect((await events(new ApiHarness())).pageInfo).toEqual({ hasNextPage: false, endCursor: null });
  });

  it('can be filtered by user', async () => {
    const harness = new ApiHarness();
    for (const name of ['a', 'b', 'a']) await harness.login(name);
    expect((await events(harness, { userId: 'a' })).nodes.map(({ reason }) => reason)).toEqual([
      'LOGIN',
      'LOGIN',
      'REPLACED',
    ]);
    expect((await events(harness, { userId: 'unknown-user' })).nodes).toEqual([]);
    expect((await harness.execute(EVENTS, { variables: { userId: '' } })).codes).toEqual(['BAD_USER_INPUT']);
  });

  it('after latestCursor are empty until the next event', async () => {
    const harness = new ApiHarness();
    await harness.login('a');
    const { latestCursor } = await harness.executeAsBackend<{ latestCursor: string }>('{ latestCursor }');
    expect((await events(harness, { after: latestCursor })).nodes).toEqual([]);
    await harness.login('b');
    expect((await events(harness, { after: latestCursor })).nodes).toMatchObject([{ userId: 'b' }]);
  });

  it.each(['', 'not a cursor', 'x'.repeat(200), 7, ['a']])(
    'after the invalid cursor %j are answered BAD_USER_INPUT',
    async (after) => {
      expect((await new ApiHarness().execute(EVENTS, { variables: { after } })).codes).toEqual(['BAD_USER_INPUT']);
    },
  );

  it('after a malformed cursor are not read from the log', async () => {
    const harness = new ApiHarness();
    const read = vi.spyOn(harness.store.eventLog, 'readEvents');
    for (const after of ['', 'a\nb', 'x'.repeat(129)]) await harness.execute(EVENTS, { variables: { after } });
    expect(read).not.toHaveBeenCalled();
  });
});

describe('onlineUsers', () => {
  it('are returned in pages ordered by id, also with unusual ids; an empty page ends at its `after`', async () => {
    const harness = new ApiHarness();
    for (const name of ['🦊', 'b', 'a', 'é']) await harness.login(name);
    const one = await online(harness, { first: 3 });
    expect(one.nodes.map(({ userId }) => userId)).toEqual(['a', 'b', 'é']);
    expect(one.pageInfo.hasNextPage).toBe(true);
    const two = await online(harness, { first: 3, after: one.pageInfo.endCursor });
    expect(two.nodes).toEqual([{ userId: '🦊' }]);
    const after = two.pageInfo.endCursor;
    expect(await online(harness, { after })).toEqual({ nodes: [], pageInfo: { hasNextPage: false, endCursor: after } });
  });

  it('can be paged with ids of the maximum length', async () => {
    const harness = new ApiHarness();
    const names = ['🦊'.repeat(127) + '🐺', '🦊'.repeat(128)].sort();
    for (const name of names) await harness.login(name);
    const { pageInfo } = await online(harness, { first: 1 });
    expect((await online(harness, { after: pageInfo.endCursor })).nodes).toEqual([{ userId: '🦊'.repeat(128) }]);
  });

  it('can be filtered by status and platform', async () => {
    const harness = new ApiHarness();
    const alice = await harness.login('alice', 'WEB');
    await harness.login('bob', 'MAC');
    await harness.execute('mutation { heartbeat { heartbeatIntervalMs } }', { caller: sessionCaller(alice) });
    expect((await online(harness, { platform: 'MAC' })).nodes).toEqual([{ userId: 'bob' }]);
    expect((await online(harness, { status: 'PUSH_ONLINE' })).nodes).toEqual([]);
    expect((await online(harness, { status: 'ONLINE', platform: 'WEB' })).nodes).toEqual([{ userId: 'alice' }]);
    expect((await online(harness, { status: null, platform: null })).nodes).toHaveLength(2);
  });

  it('are answered BAD_USER_INPUT for the status OFFLINE', async () => {
    expect((await new ApiHarness().execute(ONLINE, { variables: { status: 'OFFLINE' } })).codes).toEqual([
      'BAD_USER_INPUT',
    ]);
  });

  const invalidCursors = [
    '',
    'a',
    'YQ==',
    'YWxpY2U ',
    '*',
    Buffer.from('a\nb').toString('base64url'),
    '_w',
    'A'.repeat(100_000),
  ];
  it.each(invalidCursors)('after the invalid endCursor %.20j are answered BAD_USER_INPUT', async (after) => {
    expect((await new ApiHarness().execute(ONLINE, { variables: { after } })).codes).toEqual(['BAD_USER_INPUT']);
  });
});

describe('stats', () => {
  it('counts users by status, sessions by platform (all eight are listed) and sockets', async () => {
    const harness = new ApiHarness();
    await harness.login('alice', 'WEB');
    await harness.login('bob', 'WEB');
    harness.application.socketRegistry.register({ id: 'one' as never, onSessionLost: () => undefined });
    const { stats } = await harness.executeAsBackend<{ stats: { sessions: unknown[] } }>(
      '{ stats { usersOnline usersPushOnline sockets sessions { platform online pushOnline } } }',
    );
    expect(stats).toMatchObject({ usersOnline: 2, usersPushOnline: 0, sockets: 1 });
    expect(stats.sessions).toHaveLength(8);
    expect(stats.sessions).toContainEqual({ platform: 'WEB', online: 2, pushOnline: 0 });
    expect(stats.sessions).toContainEqual({ platform: 'MINI_PROGRAM', online: 0, pushOnline: 0 });
  });
});
