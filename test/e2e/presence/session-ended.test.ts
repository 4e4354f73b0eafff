/** The token of an ended session: every use gets SESSION_ENDED with the reason. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { CLOCK_TOLERANCE_S, mintToken } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  endSessions,
  fetchEvents,
  LOGIN,
  logIn,
  logOut,
  newUserId,
  createPushOnlineDevice,
  startSharedServer,
  updatePolicy,
  fetchUser,
  Watcher,
  type Device,
  type Platform,
  type Server,
} from '../support/users.ts';

vi.setConfig({ maxConcurrency: 50 });

const defaultServer = startSharedServer();
const shortExpiryServer = startSharedServer({ env: { PORCHLIGHT_PUSH_ONLINE_EXPIRY: '1s' } });

beforeAll(() =>
  updatePolicy(defaultServer, {
    platforms: [
      { platform: 'WINDOWS', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 },
      { platform: 'MINI_PROGRAM', backgroundTimeoutMs: 1_000 },
    ],
  }),
);

interface EndingCase {
  readonly how: string;
  readonly reason: string;
  readonly kickedBy?: Platform;
  readonly platform: Platform;
  readonly begin?: (server: Server, userId: string, platform: Platform) => Promise<Device>;
  readonly end: (device: Device) => Promise<unknown>;
  readonly on?: Server;
}

const waitForServer = () => Promise.resolve();
const ENDINGS: readonly EndingCase[] = [
  { how: 'a logout', reason: 'LOGOUT', platform: 'IPHONE', end: (device) => logOut(defaultServer, device) },
  {
    how: 'a kick',
    reason: 'KICKED',
    kickedBy: 'WEB',
    platform: 'IPHONE',
    end: ({ userId }) => logIn(defaultServer, userId, 'WEB'),
  },
  {
    how: 'a kick while it was PUSH_ONLINE',
    reason: 'KICKED',
    kickedBy: 'LINUX',
    platform: 'IPHONE',
    begin: createPushOnlineDevice,
    end: ({ userId }) => logIn(defaultServer, userId, 'LINUX'),
  },
  {
    how: 'a login of the same device',
    reason: 'REPLACED',
    platform: 'MAC',
    end: ({ userId, deviceId }) => logIn(defaultServer, userId, 'MAC', deviceId),
  },
  {
    how: 'endSessions by a backend',
    reason: 'REVOKED',
    platform: 'IPAD',
    end: ({ userId }) => endSessions(defaultServer, { userId }),
  },
  {
    how: 'endSessions while it was PUSH_ONLINE',
    reason: 'REVOKED',
    platform: 'IPAD',
    begin: createPushOnlineDevice,
    end: ({ userId, sessionId }) => endSessions(defaultServer, { userId, sessionId }),
  },
  { how: 'inactivity', reason: 'HEARTBEAT_TIMEOUT', platform: 'WINDOWS', end: waitForServer },
  {
    how: 'the background limit',
    reason: 'BACKGROUND_TIMEOUT',
    platform: 'MINI_PROGRAM',
    end: (device) => sendHeartbeat(defaultServer, device, 'BACKGROUND'),
  },
  {
    how: 'the close of its last socket',
    reason: 'DISCONNECT',
    platform: 'LINUX',
    end: async ({ token }) => (await GraphqlSocket.open(defaultServer, token)).close(),
  },
  {
    how: 'the PUSH_ONLINE expiry',
    reason: 'PUSH_EXPIRED',
    platform: 'IPHONE',
    begin: createPushOnlineDevice,
    end: waitForServer,
    on: shortExpiryServer,
  },
];

const OPERATIONS: readonly (readonly [string, Readonly<Record<string, unknown>>?])[] = [
  ['{ me { id } }'],
  ['{ __typename }'],
  ['{ userStatus(userId: "other") { status } }'],
  ['mutation { heartbeat { heartbeatIntervalMs } }'],
  ['mutation { logout { userStatus { status } } }'],
  ['mutation { setCustomStatus(input: {text: "still here"}) { userStatus { version } } }'],
  [LOGIN, { input: { platform: 'WEB' } }],
];

test.concurrent.for(ENDINGS)(
  'after $how a session token gets SESSION_ENDED with $reason over HTTP and 4410 on a socket',
  async (ending) => {
    const server = ending.on ?? defaultServer;
    const user = newUserId();
    const watcher = await Watcher.open(server, [user]);
    const device = await (ending.begin ?? logIn)(server, user, ending.platform);
    await ending.end(device);
    // Watchers receive no change for a kick or a replacement, but for every other end of the only session.
    if (!['KICKED', 'REPLACED'].includes(ending.reason)) {
      await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
    }
    const event = (await fetchEvents(server, user)).find(
      ({ sessionId, sessionStatus }) => sessionId === device.sessionId && sessionStatus === 'OFFLINE',
    );
    expect(event?.reason).toBe(ending.reason);
    const before = await fetchUser(server, user);
    for (const [query, variables] of OPERATIONS) {
      const answer = await postOperation(server, device.token, query, variables);
      expect(answer.data ?? null).toBeNull();
      expect(answer.errors).toHaveLength(1);
      expect(answer.errors?.[0]?.extensions).toEqual({
        code: 'SESSION_ENDED',
        reason: ending.reason,
        endedAt: event?.occurredAt,
        kickedBy: ending.kickedBy ?? null,
      });
    }
    const socket = new GraphqlSocket(server);
    await socket.init(device.token);
    expect(await socket.closed).toMatchObject({ code: 4410, reason: ending.reason });
    expect(socket.frames.all).toEqual([]);
    expect(await fetchUser(server, user)).toEqual(before);
  },
);

describe.concurrent('endSessions', () => {
  test('ends all sessions, those of one platform, one session, or none', async () => {
    const user = newUserId();
    await updatePolicy(defaultServer, {
      multiDevice: { mode: 'CUSTOM', groups: [['IPHONE', 'WEB', 'LINUX']] },
      platforms: [{ platform: 'MAC', maxInstances: 2 }],
    });
    const [one, other] = [await logIn(defaultServer, user, 'MAC'), await logIn(defaultServer, user, 'MAC')];
    const ipad = await logIn(defaultServer, user, 'IPAD');
    const android = await logIn(defaultServer, user, 'ANDROID');
    const ended = async (input: object) =>
      (await endSessions(defaultServer, { userId: user, ...input })).map(({ id, status }) => `${id} ${status}`);
    expect(await ended({ sessionId: 'no such session' })).toEqual([]);
    expect(await ended({ platform: 'WINDOWS' })).toEqual([]);
    expect(await ended({ platform: 'MAC', sessionId: ipad.sessionId })).toEqual([]);
    expect(await ended({ sessionId: ipad.sessionId })).toEqual([`${ipad.sessionId} OFFLINE`]);
    expect(await ended({ platform: 'MAC' })).toEqual([`${one.sessionId} OFFLINE`, `${other.sessionId} OFFLINE`]);
    expect(await fetchUser(defaultServer, user)).toMatchObject({ status: 'ONLINE', version: 1 });
    expect(await ended({})).toEqual([`${android.sessionId} OFFLINE`]);
    expect(await fetchUser(defaultServer, user)).toMatchObject({ status: 'OFFLINE', version: 2, reason: 'REVOKED' });
    expect(await endSessions(defaultServer, { userId: newUserId() })).toEqual([]);
  });

  test('without revokeTokens lets the user log in again with the same JWT', async () => {
    const user = newUserId();
    const jwt = await mintToken(user, { claims: { iat: Math.floor(Date.now() / 1_000) - 60 } });
    await logIn(defaultServer, user, 'IPHONE');
    await endSessions(defaultServer, { userId: user });
    expect(codeOf(await postOperation(defaultServer, jwt, LOGIN, { input: { platform: 'IPHONE' } }))).toBeNull();
  });

  test('with revokeTokens rejects earlier JWTs everywhere and accepts later ones', async () => {
    const [user, other] = [newUserId(), newUserId()];
    const minuteAgo = { claims: { iat: Math.floor(Date.now() / 1_000) - 60 } };
    const jwt = await mintToken(user, minuteAgo);
    const withoutIat = await mintToken(user, { claims: { iat: undefined } });
    const watching = await Watcher.open(defaultServer, [other], jwt);
    expect(codeOf(await postOperation(defaultServer, withoutIat, '{ __typename }'))).toBeNull();
    await endSessions(defaultServer, { userId: user, revokeTokens: true });
    for (const revoked of [jwt, withoutIat]) {
      expect(codeOf(await postOperation(defaultServer, revoked, LOGIN, { input: { platform: 'IPHONE' } }))).toBe(
        'UNAUTHENTICATED',
      );
      expect(codeOf(await postOperation(defaultServer, revoked, '{ userStatus(userId: "x") { status } }'))).toBe(
        'UNAUTHENTICATED',
      );
      const socket = new GraphqlSocket(defaultServer);
      await socket.init(revoked);
      expect((await socket.closed).code).toBe(4401);
    }
    // A socket that was opened earlier with the JWT is closed.
    expect([4401, 4413]).toContain((await watching.socket.closed).code);
    // JWTs of other users stay valid.
    const others = await mintToken(other, minuteAgo);
    expect(codeOf(await postOperation(defaultServer, others, LOGIN, { input: { platform: 'IPHONE' } }))).toBeNull();
    // The clock of the backend may be 60 s ahead, so a JWT is later for certain only after that.
    const inSeconds = (seconds: number) => ({ claims: { iat: Math.floor(Date.now() / 1_000) + seconds } });
    for (const ahead of [0, 50]) {
      const tooSoon = await mintToken(user, inSeconds(ahead));
      expect(codeOf(await postOperation(defaultServer, tooSoon, LOGIN, { input: { platform: 'IPHONE' } }))).toBe(
        'UNAUTHENTICATED',
      );
    }
    const later = await mintToken(user, inSeconds(CLOCK_TOLERANCE_S + 1));
    expect(codeOf(await postOperation(defaultServer, later, LOGIN, { input: { platform: 'IPHONE' } }))).toBeNull();
    expect((await fetchUser(defaultServer, user)).status).toBe('ONLINE');
  });
});
