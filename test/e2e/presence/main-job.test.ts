/** The main job as its users meet it: log in, beat, drop, come back, log out; ask and be told. */
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
type Followed = MessageQueue<GraphqlResult<{ presenceEvents: EventResult[] }>>;

/** Reads lists until one has the event that is asked for; returns everything read. */
const readUntil = async (followed: Followed, last: (event: EventResult) => boolean): Promise<EventResult[]> => {
  const read: EventResult[] = [];
  while (!read.some(last)) read.push(...dataOf(await followed.next()).presenceEvents);
  return read;
};

describe.concurrent('a day of one phone', () => {
  test('asked at each step, and told of each change once', async () => {
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
    const phone = await logIn(server, alice, 'IPHONE', 'her phone');
    expect(await fetchUser(server, alice)).toMatchObject({
      status: 'ONLINE',
      version: 1,
      reason: 'LOGIN',
      customStatus: null,
      sessions: [{ id: phone.sessionId, platform: 'IPHONE', deviceId: 'her phone', attached: false }],
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

  test('a login tells the device the timings of its platform, and who it is', async () => {
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

  test('a second device that comes online changes nothing, and is told to nobody', async () => {
    const user = newUserId();
    await logIn(server, user, 'IPHONE', 'one');
    const watcher = await Watcher.open(server, [user]);
    const other = await logIn(server, user, 'ANDROID', 'two');
    expect((await fetchUser(server, user)).version).toBe(1);
    await logOut(server, other);
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['ONLINE > OFFLINE v2 LOGOUT']);
  });

  test('one watcher of several users hears the present of all of them first, in one list', async () => {
    const [online, never, gone] = [newUserId(), newUserId(), newUserId()];
    await logIn(server, online);
    await logOut(server, await logIn(server, gone));
    const watcher = await Watcher.open(server, [online, never, gone]);
    expect(watcher.initialStatuses.map(({ userId, status, version }) => [userId, status, version])).toEqual([
      [online, 'ONLINE', 1],
      [never, 'OFFLINE', 0],
      [gone, 'OFFLINE', 2],
    ]);
    expect(watcher.initialStatuses.every(({ previousStatus }) => previousStatus === null)).toBe(true);
  });
});

describe.concurrent('sessionEnded', () => {
  const ENDED = 'subscription { sessionEnded { sessionId reason kickedBy endedAt } }';

  test('tells a kicked device who did it, then its socket is closed with 4410', async () => {
    const user = newUserId();
    const phone = await logIn(server, user, 'IPHONE');
    const socket = await GraphqlSocket.open(server, phone.token);
    const ended = socket.subscribe<{ sessionEnded: { endedAt: string } }>(ENDED);
    // The server has taken the subscription once it answers what came after it.
    await socket.executeForData('{ me { id } }');
    await logIn(server, user, 'WEB');
    const told = dataOf(await ended.next());
    expect(told).toMatchObject({ sessionEnded: { sessionId: phone.sessionId, reason: 'KICKED', kickedBy: 'WEB' } });
    expect(told.sessionEnded.endedAt).toMatch(TIME);
    expect(await socket.closed).toMatchObject({ code: 4410, reason: 'KICKED' });
    expect(ended.all).toHaveLength(1);
  });

  test('tells of a logout on another link', async () => {
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
  test('replays from a cursor and passes into live, without a gap or a repeat', async () => {
    const start = await fetchLatestCursor(server);
    const user = newUserId();
    const last = newUserId();
    const rounds = 40;
    const socket = await GraphqlSocket.open(server, server.apiKey);
    let followed: Followed | null = null;
    for (let round = 0; round < rounds; round++) {
      const device = await logIn(server, user, 'WEB');
      // In the middle of the traffic: a part is replayed, and a part is live.
      if (round === rounds / 2) followed = socket.subscribe(FOLLOW, { after: start });
      await logOut(server, device);
    }
    await logIn(server, last);
    if (followed === null) throw new Error('Never subscribed.');
    const mine = (await readUntil(followed, ({ userId }) => userId === last)).filter(({ userId }) => userId === user);
    expect(mine.map(({ reason, version }) => `${reason} ${version}`)).toEqual(
      Array.from({ length: rounds }, (_, round) => [`LOGIN ${2 * round + 1}`, `LOGOUT ${2 * round + 2}`]).flat(),
    );
    expect(new Set(mine.map(({ cursor }) => cursor)).size).toBe(2 * rounds);

    // Again from the middle: it starts right after the cursor.
    const from = mine[29];
    const again = socket.subscribe<{ presenceEvents: EventResult[] }>(FOLLOW, { after: from?.cursor });
    const rest = (await readUntil(again, ({ userId }) => userId === last)).filter(({ userId }) => userId === user);
    expect(rest).toEqual(mine.slice(30));
  });

  test('without a cursor, from now on; the same events as in the log', async () => {
    const user = newUserId();
    await logIn(server, user, 'IPHONE');
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const followed = socket.subscribe<{ presenceEvents: EventResult[] }>(FOLLOW);
    await socket.executeForData('{ latestCursor }');
    await logIn(server, user, 'WEB');
    const heard = (await readUntil(followed, ({ reason, userId }) => userId === user && reason === 'KICKED')).filter(
      ({ userId }) => userId === user,
    );
    expect(heard.map(({ reason }) => reason)).toEqual(['LOGIN', 'KICKED']);
    const query = `query ($userId: ID!) { events(userId: $userId) { nodes { ${EVENT} } } }`;
    const log = await postForData<{ events: { nodes: EventResult[] } }>(server, server.apiKey, query, { userId: user });
    expect(log.events.nodes.slice(1)).toEqual(heard);
  });
});
