/** The core use case: login, heartbeat, disconnect, reconnect, logout, queries and subscriptions. */
import { describe, expect, test } from 'vitest';
import {
  postForData,
  dataOf,
  GraphqlSocket,
  type GraphqlResult,
  type MessageQueue,
} from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  EVENT,
  fetchLatestCursor,
  logIn,
  logOut,
  newUserId,
  startSharedServer,
  fetchUser,
  Watcher,
  type EventResult,
} from '../support/users.ts';

const server = startSharedServer();
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const FOLLOW = `subscription ($after: Cursor) { presenceEvents(after: $after) { ${EVENT} } }`;
type EventQueue = MessageQueue<GraphqlResult<{ presenceEvents: EventResult[] }>>;

/** Reads lists of events until one contains a matching event. @returns all events read. */
const readUntil = async (events: EventQueue, isLast: (event: EventResult) => boolean): Promise<EventResult[]> => {
  const read: EventResult[] = [];
  while (!read.some(isLast)) read.push(...dataOf(await events.next()).presenceEvents);
  return read;
};

describe.concurrent('a device', () => {
  test('has the expected status at each step, and a watcher receives each change once', async () => {
    const alice = newUserId('alice');
    const bob = await mintToken(newUserId('bob'));
    const watcher = await Watcher.open(server, [alice], bob);
    expect(watcher.initialStatuses).toEqual([
      {
        userId: alice,
        status: 'OFFLINE',
        version: 0,
        previousStatus: null,
        reason: null,
        platform: null,
        changedAt: null,
        lastSeenAt: null,
        customStatus: null,
      },
    ]);
    const phone = await logIn(server, alice, 'IPHONE', 'phone of alice');
    expect(await fetchUser(server, alice)).toMatchObject({
      status: 'ONLINE',
      version: 1,
      reason: 'LOGIN',
      customStatus: null,
      sessions: [{ id: phone.sessionId, platform: 'IPHONE', deviceId: 'phone of alice', attached: false }],
    });

    const socket = await GraphqlSocket.open(server, phone.token);
    expect((await fetchUser(server, alice)).sessions).toMatchObject([{ attached: true, status: 'ONLINE' }]);
    expect(await socket.executeForData('mutation { heartbeat { heartbeatIntervalMs heartbeatTimeoutMs } }')).toEqual({
      heartbeat: { heartbeatIntervalMs: 120_000, heartbeatTimeoutMs: 400_000 },
    });
    socket.sendReset();
    await watcher.changes.nextMatching(({ status }) => status === 'PUSH_ONLINE');
    expect(await fetchUser(server, alice)).toMatchObject({
      status: 'PUSH_ONLINE',
      version: 2,
      reason: 'DISCONNECT',
      sessions: [{ attached: false, status: 'PUSH_ONLINE' }],
    });

    await sendHeartbeat(server, phone);
    await logOut(server, phone);
    await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
    expect(watcher.changeSummaries).toEqual([
      'OFFLINE > ONLINE v1 LOGIN',
      'ONLINE > PUSH_ONLINE v2 DISCONNECT',
      'PUSH_ONLINE > ONLINE v3 RECONNECT',
      'ONLINE > OFFLINE v4 LOGOUT',
    ]);
    for (const change of watcher.changes.all) {
      expect(change.platform).toBe('IPHONE');
      expect(change.changedAt).toMatch(TIME);
      expect(change.lastSeenAt).toMatch(TIME);
    }
    expect(await fetchUser(server, alice)).toMatchObject({
      status: 'OFFLINE',
      version: 4,
      reason: 'LOGOUT',
      sessions: [],
    });
  });

  test('receives its session and the timings of its platform at login', async () => {
    const user = newUserId();
    const login = `mutation { login(input: {platform: WEB, deviceId: "tab", appVersion: "1.2.3", osVersion: "Linux 6"}) {
      heartbeatIntervalMs heartbeatTimeoutMs kicked { id } sessionToken
      session { userId platform deviceId status appState attached appVersion osVersion ipAddress loggedInAt lastSeenAt } } }`;
    const answer = await postForData<{ login: { session: Record<string, unknown>; sessionToken: string } }>(
      server,
      await mintToken(user),
      login,
    );
    expect(answer.login).toMatchObject({
      heartbeatIntervalMs: 20_000,
      heartbeatTimeoutMs: 60_000,
      kicked: [],
      session: {
        userId: user,
        platform: 'WEB',
        deviceId: 'tab',
        status: 'ONLINE',
        appState: 'FOREGROUND',
        attached: false,
        appVersion: '1.2.3',
        osVersion: 'Linux 6',
      },
    });
    expect(answer.login.session.ipAddress).toMatch(/^(::ffff:)?127\.0\.0\.1$/);
    expect(answer.login.session.loggedInAt).toMatch(TIME);
    expect(await postForData(server, answer.login.sessionToken, '{ me { deviceId osVersion } }')).toEqual({
      me: { deviceId: 'tab', osVersion: 'Linux 6' },
    });
  });

  test('that logs in while another one kept the user ONLINE causes no status change', async () => {
    const user = newUserId();
    await logIn(server, user, 'IPHONE', 'one');
    const watcher = await Watcher.open(server, [user]);
    const other = await logIn(server, user, 'ANDROID', 'two');
    expect((await fetchUser(server, user)).version).toBe(1);
    await logOut(server, other);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > OFFLINE v2 LOGOUT']);
  });

  test('of several watched users appears in one initial list with all statuses', async () => {
    const [online, unknown, offline] = [newUserId(), newUserId(), newUserId()];
    await logIn(server, online);
    await logOut(server, await logIn(server, offline));
    const watcher = await Watcher.open(server, [online, unknown, offline]);
    expect(watcher.initialStatuses.map(({ userId, status, version }) => [userId, status, version])).toEqual([
      [online, 'ONLINE', 1],
      [unknown, 'OFFLINE', 0],
      [offline, 'OFFLINE', 2],
    ]);
    expect(watcher.initialStatuses.every(({ previousStatus }) => previousStatus === null)).toBe(true);
  });
});

describe.concurrent('sessionEnded', () => {
  const ENDED = 'subscription { sessionEnded { sessionId reason kickedBy endedAt } }';

  test('reports to a kicked device which platform kicked it, before its socket is closed with 4410', async () => {
    const user = newUserId();
    const phone = await logIn(server, user, 'IPHONE');
    const socket = await GraphqlSocket.open(server, phone.token);
    const ended = socket.subscribe<{ sessionEnded: { endedAt: string } }>(ENDED);
    // The answer to a later query shows that the server has accepted the subscription.
    await socket.executeForData('{ me { id } }');
    await logIn(server, user, 'WEB');
    const result = dataOf(await ended.next());
    expect(result).toMatchObject({ sessionEnded: { sessionId: phone.sessionId, reason: 'KICKED', kickedBy: 'WEB' } });
    expect(result.sessionEnded.endedAt).toMatch(TIME);
    expect(await socket.closed).toMatchObject({ code: 4410, reason: 'KICKED' });
    expect(ended.all).toHaveLength(1);
  });

  test('reports a logout that came over HTTP', async () => {
    const phone = await logIn(server, newUserId(), 'IPHONE');
    const socket = await GraphqlSocket.open(server, phone.token);
    const ended = socket.subscribe(ENDED);
    await socket.executeForData('{ me { id } }');
    await logOut(server, phone);
    expect(dataOf(await ended.next())).toMatchObject({ sessionEnded: { reason: 'LOGOUT', kickedBy: null } });
    expect(await socket.closed).toMatchObject({ code: 4410, reason: 'LOGOUT' });
  });
});

describe.concurrent('presenceEvents', () => {
  test('replays from a cursor and continues with live events, without a gap or a repeat', async () => {
    const start = await fetchLatestCursor(server);
    const user = newUserId();
    const last = newUserId();
    const rounds = 40;
    const socket = await GraphqlSocket.open(server, server.apiKey);
    let subscription: EventQueue | null = null;
    for (let round = 0; round < rounds; round++) {
      const device = await logIn(server, user, 'WEB');
      // Subscribing in the middle makes one part of the events replayed and the other live.
      if (round === rounds / 2) subscription = socket.subscribe(FOLLOW, { after: start });
      await logOut(server, device);
    }
    await logIn(server, last);
    if (subscription === null) throw new Error('The subscription was never started.');
    const mine = (await readUntil(subscription, ({ userId }) => userId === last)).filter(
      ({ userId }) => userId === user,
    );
    expect(mine.map(({ reason, version }) => `${reason} ${version}`)).toEqual(
      Array.from({ length: rounds }, (_, round) => [`LOGIN ${2 * round + 1}`, `LOGOUT ${2 * round + 2}`]).flat(),
    );
    expect(new Set(mine.map(({ cursor }) => cursor)).size).toBe(2 * rounds);

    // A second subscription from the middle starts directly after the cursor.
    const from = mine[29];
    const resumed = socket.subscribe<{ presenceEvents: EventResult[] }>(FOLLOW, { after: from?.cursor });
    const rest = (await readUntil(resumed, ({ userId }) => userId === last)).filter(({ userId }) => userId === user);
    expect(rest).toEqual(mine.slice(30));
  });

  test('without a cursor starts with new events, which equal those of the event log', async () => {
    const user = newUserId();
    await logIn(server, user, 'IPHONE');
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const subscription = socket.subscribe<{ presenceEvents: EventResult[] }>(FOLLOW);
    await socket.executeForData('{ latestCursor }');
    await logIn(server, user, 'WEB');
    const received = (
      await readUntil(subscription, ({ reason, userId }) => userId === user && reason === 'KICKED')
    ).filter(({ userId }) => userId === user);
    expect(received.map(({ reason }) => reason)).toEqual(['LOGIN', 'KICKED']);
    const query = `query ($userId: ID!) { events(userId: $userId) { nodes { ${EVENT} } } }`;
    const log = await postForData<{ events: { nodes: EventResult[] } }>(server, server.apiKey, query, { userId: user });
    expect(log.events.nodes.slice(1)).toEqual(received);
  });
});
