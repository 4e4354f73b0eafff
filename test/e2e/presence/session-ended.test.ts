/** What a token is still good for once its session has ended: for being told why. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
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
import { delay } from '../support/stopwatch.ts';

vi.setConfig({ maxConcurrency: 50 });

const usual = startSharedServer();
const forgetful = startSharedServer({ env: { PORCHLIGHT_PUSH_ONLINE_EXPIRY: '1s' } });

beforeAll(() =>
  updatePolicy(usual, {
    platforms: [
      { platform: 'WINDOWS', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 1_000 },
      { platform: 'MINI_PROGRAM', backgroundTimeoutMs: 1_000 },
    ],
  }),
);

interface Ending {
  readonly how: string;
  readonly reason: string;
  readonly kickedBy?: Platform;
  readonly platform: Platform;
  readonly begin?: (server: Server, userId: string, platform: Platform) => Promise<Device>;
  readonly end: (device: Device) => Promise<unknown>;
  readonly on?: Server;
}

const wait = () => Promise.resolve();
const ENDINGS: readonly Ending[] = [
  { how: 'a logout', reason: 'LOGOUT', platform: 'IPHONE', end: (device) => logOut(usual, device) },
  {
    how: 'a kick',
    reason: 'KICKED',
    kickedBy: 'WEB',
    platform: 'IPHONE',
    end: ({ userId }) => logIn(usual, userId, 'WEB'),
  },
  {
    how: 'a kick while it was PUSH_ONLINE',
    reason: 'KICKED',
    kickedBy: 'LINUX',
    platform: 'IPHONE',
    begin: createPushOnlineDevice,
    end: ({ userId }) => logIn(usual, userId, 'LINUX'),
  },
  {
    how: 'a login of the same device',
    reason: 'REPLACED',
    platform: 'MAC',
    end: ({ userId, deviceId }) => logIn(usual, userId, 'MAC', deviceId),
  },
  { how: 'a backend', reason: 'REVOKED', platform: 'IPAD', end: ({ userId }) => endSessions(usual, { userId }) },
  {
    how: 'a backend while it was PUSH_ONLINE',
    reason: 'REVOKED',
    platform: 'IPAD',
    begin: createPushOnlineDevice,
    end: ({ userId, sessionId }) => endSessions(usual, { userId, sessionId }),
  },
  { how: 'silence', reason: 'HEARTBEAT_TIMEOUT', platform: 'WINDOWS', end: wait },
  {
    how: 'background',
    reason: 'BACKGROUND_TIMEOUT',
    platform: 'MINI_PROGRAM',
    end: (device) => sendHeartbeat(usual, device, 'BACKGROUND'),
  },
  {
    how: 'its last socket',
    reason: 'DISCONNECT',
    platform: 'LINUX',
    end: async ({ token }) => (await GraphqlSocket.open(usual, token)).close(),
  },
  {
    how: 'its expiry',
    reason: 'PUSH_EXPIRED',
    platform: 'IPHONE',
    begin: createPushOnlineDevice,
    end: wait,
    on: forgetful,
  },
];

const USES: readonly (readonly [string, Readonly<Record<string, unknown>>?])[] = [
  ['{ me { id } }'],
  ['{ __typename }'],
  ['{ userStatus(userId: "somebody") { status } }'],
  ['mutation { heartbeat { heartbeatIntervalMs } }'],
  ['mutation { logout { userStatus { status } } }'],
  ['mutation { setCustomStatus(input: {text: "still here"}) { userStatus { version } } }'],
  [LOGIN, { input: { platform: 'WEB' } }],
];

test.concurrent.for(ENDINGS)('after $how: $reason, over HTTP and at the opening of a socket', async (ending) => {
  const server = ending.on ?? usual;
  const user = newUserId();
  const watcher = await Watcher.open(server, [user]);
  const device = await (ending.begin ?? logIn)(server, user, ending.platform);
  await ending.end(device);
  // A kick or a replacement is told to no watcher; everything else that ends the only session is.
  if (!['KICKED', 'REPLACED'].includes(ending.reason)) {
    await watcher.changes.nextMatching(({ status }) => status === 'OFFLINE');
  }
  const event = (await fetchEvents(server, user)).find(
    ({ sessionId, sessionStatus }) => sessionId === device.sessionId && sessionStatus === 'OFFLINE',
  );
  expect(event?.reason).toBe(ending.reason);
  const before = await fetchUser(server, user);
  for (const [query, variables] of USES) {
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
});

describe.concurrent('endSessions', () => {
  test('all, those of one platform, one, and none', async () => {
    const user = newUserId();
    await updatePolicy(usual, {
      multiDevice: { mode: 'CUSTOM', groups: [['IPHONE', 'WEB', 'LINUX']] },
      platforms: [{ platform: 'MAC', maxInstances: 2 }],
    });
    const [one, other] = [await logIn(usual, user, 'MAC'), await logIn(usual, user, 'MAC')];
    const ipad = await logIn(usual, user, 'IPAD');
    const android = await logIn(usual, user, 'ANDROID');
    const ended = async (input: object) =>
      (await endSessions(usual, { userId: user, ...input })).map(({ id, status }) => `${id} ${status}`);
    expect(await ended({ sessionId: 'no such session' })).toEqual([]);
    expect(await ended({ platform: 'WINDOWS' })).toEqual([]);
    expect(await ended({ platform: 'MAC', sessionId: ipad.sessionId })).toEqual([]);
    expect(await ended({ sessionId: ipad.sessionId })).toEqual([`${ipad.sessionId} OFFLINE`]);
    expect(await ended({ platform: 'MAC' })).toEqual([`${one.sessionId} OFFLINE`, `${other.sessionId} OFFLINE`]);
    expect(await fetchUser(usual, user)).toMatchObject({ status: 'ONLINE', version: 1 });
    expect(await ended({})).toEqual([`${android.sessionId} OFFLINE`]);
    expect(await fetchUser(usual, user)).toMatchObject({ status: 'OFFLINE', version: 2, reason: 'REVOKED' });
    expect(await endSessions(usual, { userId: newUserId() })).toEqual([]);
  });

  test('without revokeTokens the user may log in again with the same JWT', async () => {
    const user = newUserId();
    const jwt = await mintToken(user, { claims: { iat: Math.floor(Date.now() / 1_000) - 60 } });
    await logIn(usual, user, 'IPHONE');
    await endSessions(usual, { userId: user });
    expect(codeOf(await postOperation(usual, jwt, LOGIN, { input: { platform: 'IPHONE' } }))).toBeNull();
  });

  test('with revokeTokens, JWTs from before are refused everywhere and later ones are let in', async () => {
    const [user, other] = [newUserId(), newUserId()];
    const minuteAgo = { claims: { iat: Math.floor(Date.now() / 1_000) - 60 } };
    const jwt = await mintToken(user, minuteAgo);
    const ageless = await mintToken(user, { claims: { iat: undefined } });
    const watching = await Watcher.open(usual, [other], jwt);
    expect(codeOf(await postOperation(usual, ageless, '{ __typename }'))).toBeNull();
    await endSessions(usual, { userId: user, revokeTokens: true });
    for (const refused of [jwt, ageless]) {
      expect(codeOf(await postOperation(usual, refused, LOGIN, { input: { platform: 'IPHONE' } }))).toBe(
        'UNAUTHENTICATED',
      );
      expect(codeOf(await postOperation(usual, refused, '{ userStatus(userId: "x") { status } }'))).toBe(
        'UNAUTHENTICATED',
      );
      const socket = new GraphqlSocket(usual);
      await socket.init(refused);
      expect((await socket.closed).code).toBe(4401);
    }
    // Also on a socket that it has opened before.
    expect([4401, 4413]).toContain((await watching.socket.closed).code);
    // Nobody else's.
    const others = await mintToken(other, minuteAgo);
    expect(codeOf(await postOperation(usual, others, LOGIN, { input: { platform: 'IPHONE' } }))).toBeNull();
    // `iat` counts seconds, so the next second is the first that is certainly later.
    await delay(1_100);
    expect((await logIn(usual, user, 'IPHONE')).userId).toBe(user);
  });
});
