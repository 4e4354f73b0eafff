/** Which devices of one user can be logged in together: all pairs of platforms in every multi-device mode. */
import { beforeAll, describe, expect, test } from 'vitest';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import {
  fetchEvents,
  logIn,
  newUserId,
  PLATFORMS,
  createPushOnlineDevice,
  startSharedServer,
  updatePolicy,
  fetchUser,
  Watcher,
  type Platform,
} from '../support/users.ts';

const server = startSharedServer();

/**
 * The platforms that a login on a platform kicks. maxInstances is 1, so a new device kicks one of the same platform in
 * every mode.
 */
const KICKS: Readonly<Record<string, Readonly<Record<Platform, string>>>> = {
  SINGLE: {
    ANDROID: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
    IPHONE: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
    IPAD: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
    WINDOWS: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
    MAC: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
    LINUX: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
    WEB: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
    MINI_PROGRAM: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX WEB MINI_PROGRAM',
  },
  DUAL: {
    ANDROID: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX',
    IPHONE: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX',
    IPAD: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX',
    WINDOWS: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX',
    MAC: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX',
    LINUX: 'ANDROID IPHONE IPAD WINDOWS MAC LINUX',
    WEB: 'WEB MINI_PROGRAM',
    MINI_PROGRAM: 'WEB MINI_PROGRAM',
  },
  TRIPLE: {
    ANDROID: 'ANDROID IPHONE IPAD',
    IPHONE: 'ANDROID IPHONE IPAD',
    IPAD: 'ANDROID IPHONE IPAD',
    WINDOWS: 'WINDOWS MAC LINUX',
    MAC: 'WINDOWS MAC LINUX',
    LINUX: 'WINDOWS MAC LINUX',
    WEB: 'WEB MINI_PROGRAM',
    MINI_PROGRAM: 'WEB MINI_PROGRAM',
  },
  MULTI: {
    ANDROID: 'ANDROID',
    IPHONE: 'IPHONE',
    IPAD: 'IPAD',
    WINDOWS: 'WINDOWS',
    MAC: 'MAC',
    LINUX: 'LINUX',
    WEB: 'WEB MINI_PROGRAM',
    MINI_PROGRAM: 'WEB MINI_PROGRAM',
  },
  // {IPHONE, WEB} and {WINDOWS, ANDROID, MINI_PROGRAM}; IPAD, MAC and LINUX are in no group.
  CUSTOM: {
    ANDROID: 'ANDROID WINDOWS MINI_PROGRAM',
    IPHONE: 'IPHONE WEB',
    IPAD: 'IPAD',
    WINDOWS: 'ANDROID WINDOWS MINI_PROGRAM',
    MAC: 'MAC',
    LINUX: 'LINUX',
    WEB: 'IPHONE WEB',
    MINI_PROGRAM: 'ANDROID WINDOWS MINI_PROGRAM',
  },
};
const CUSTOM_GROUPS = [
  ['IPHONE', 'WEB'],
  ['WINDOWS', 'ANDROID', 'MINI_PROGRAM'],
];

const loginPair = async (first: Platform, second: Platform) => {
  const user = newUserId();
  const old = await logIn(server, user, first);
  const fresh = await logIn(server, user, second);
  const { status, sessions } = await fetchUser(server, user);
  const kick = fresh.kicked.length === 0 ? 'stays' : 'is kicked';
  const ended = codeOf(await postOperation(server, old.token, '{ me { id } }')) === 'SESSION_ENDED';
  return {
    pair: `${first}, then ${second}: the first ${kick}`,
    status,
    kicked: fresh.kicked.map(({ id }) => id),
    live: sessions.map(({ id }) => id),
    ended,
    old: old.sessionId,
    fresh: fresh.sessionId,
  };
};

describe.each(Object.entries(KICKS))('the multi-device mode %s', (mode, kicks) => {
  beforeAll(() => updatePolicy(server, { multiDevice: { mode, ...(mode === 'CUSTOM' && { groups: CUSTOM_GROUPS }) } }));

  test('kicks or keeps the first device of each of the 64 pairs of platforms as documented', async () => {
    const pairs = PLATFORMS.flatMap((first) => PLATFORMS.map((second) => [first, second] as const));
    expect(pairs).toHaveLength(64);
    const all = await Promise.all(pairs.map(([first, second]) => loginPair(first, second)));
    expect(all.map(({ pair }) => pair)).toEqual(
      pairs.map(([first, second]) => {
        const kick = kicks[second].split(' ').includes(first) ? 'is kicked' : 'stays';
        return `${first}, then ${second}: the first ${kick}`;
      }),
    );
    for (const { status, kicked, live, ended, old, fresh } of all) {
      expect(status).toBe('ONLINE');
      expect(live).toEqual(kicked.length > 0 ? [fresh] : [old, fresh]);
      expect(kicked).toEqual(ended ? [old] : []);
    }
  });

  test('leaves the expected sessions after logins on all eight platforms', async () => {
    const user = newUserId();
    for (const platform of PLATFORMS) await logIn(server, user, platform);
    const remaining = PLATFORMS.filter((platform, index) =>
      PLATFORMS.slice(index + 1).every((later) => !kicks[later].split(' ').includes(platform)),
    );
    expect((await fetchUser(server, user)).sessions.map(({ platform }) => platform)).toEqual(remaining);
  });
});

describe('in every multi-device mode', () => {
  beforeAll(() => updatePolicy(server, { multiDevice: { mode: 'SINGLE' } }));

  test('a PUSH_ONLINE device is kicked too, and its next request reports which platform kicked it', async () => {
    const user = newUserId();
    const phone = await createPushOnlineDevice(server, user, 'IPHONE');
    const watcher = await Watcher.open(server, [user]);
    const tablet = await logIn(server, user, 'IPAD');
    expect(tablet.kicked.map(({ id, status }) => [id, status])).toEqual([[phone.sessionId, 'OFFLINE']]);
    const answer = await postOperation(server, phone.token, '{ me { id } }');
    expect(answer.errors?.[0]?.extensions).toMatchObject({ reason: 'KICKED', kickedBy: 'IPAD' });
    await watcher.next();
    expect(watcher.changeSummaries).toEqual(['PUSH_ONLINE > ONLINE v3 LOGIN']);
  });

  test('a login and its kicks are one change, and the LOGIN event is its first event', async () => {
    const user = newUserId();
    await updatePolicy(server, { multiDevice: { mode: 'MULTI' } });
    await logIn(server, user, 'IPHONE', 'same');
    await logIn(server, user, 'WINDOWS');
    await logIn(server, user, 'MAC');
    await updatePolicy(server, { multiDevice: { mode: 'SINGLE' } });
    const before = (await fetchEvents(server, user)).length;
    const watcher = await Watcher.open(server, [user]);
    const login = await logIn(server, user, 'IPHONE', 'same');
    expect(login.kicked.map(({ platform }) => platform).sort()).toEqual(['MAC', 'WINDOWS']);
    const events = (await fetchEvents(server, user)).slice(before);
    expect(events[0]).toMatchObject({ reason: 'LOGIN', sessionId: login.sessionId, kickedBy: null });
    expect(events.map(({ reason, platform, kickedBy }) => [reason, platform, kickedBy]).sort()).toEqual([
      ['KICKED', 'MAC', 'IPHONE'],
      ['KICKED', 'WINDOWS', 'IPHONE'],
      ['LOGIN', 'IPHONE', null],
      ['REPLACED', 'IPHONE', null],
    ]);
    expect(new Set(events.map(({ changeId }) => changeId)).size).toBe(1);
    expect(new Set((await fetchEvents(server, user)).map(({ changeId }) => changeId)).size).toBe(4);
    for (const { status, previousStatus, version } of events) {
      expect({ status, previousStatus, version }).toEqual({ status: 'ONLINE', previousStatus: 'ONLINE', version: 1 });
    }
    // Watchers receive no change.
    expect(watcher.changes.all).toEqual([]);
  });

  test('a device above maxInstances kicks the session with the oldest login, even if that was active recently', async () => {
    const user = newUserId();
    await updatePolicy(server, { platforms: [{ platform: 'WEB', maxInstances: 3 }] });
    const tabs = [];
    for (let tab = 0; tab < 3; tab++) tabs.push(await logIn(server, user, 'WEB', `tab ${tab}`));
    expect(tabs.flatMap(({ kicked }) => kicked)).toEqual([]);
    await postForData(server, tabs[0]?.token ?? '', '{ me { id } }');
    const fourth = await logIn(server, user, 'WEB', 'tab 3');
    expect(fourth.kicked.map(({ deviceId }) => deviceId)).toEqual(['tab 0']);
    // A login of an existing device does not exceed the limit.
    const repeated = await logIn(server, user, 'WEB', 'tab 1');
    expect(repeated.kicked).toEqual([]);
    // That login makes it the newest session.
    const sixth = await logIn(server, user, 'WEB', 'tab 4');
    expect(sixth.kicked.map(({ deviceId }) => deviceId)).toEqual(['tab 2']);
    const kicks = (await fetchEvents(server, user)).filter(({ reason }) => reason === 'KICKED');
    expect(kicks.map(({ kickedBy }) => kickedBy)).toEqual(['WEB', 'WEB']);
    // A login on another platform of the group kicks all of them.
    const phone = await logIn(server, user, 'ANDROID');
    expect(phone.kicked.map(({ deviceId }) => deviceId).sort()).toEqual(['tab 1', 'tab 3', 'tab 4']);
    await updatePolicy(server, { platforms: [{ platform: 'WEB', maxInstances: 1 }] });
  });

  test('a lower maxInstances ends no session until the next login', async () => {
    const user = newUserId();
    await updatePolicy(server, { platforms: [{ platform: 'LINUX', maxInstances: 4 }] });
    for (let desk = 0; desk < 4; desk++) await logIn(server, user, 'LINUX', `desk ${desk}`);
    await updatePolicy(server, { platforms: [{ platform: 'LINUX', maxInstances: 2 }] });
    expect((await fetchUser(server, user)).sessions).toHaveLength(4);
    const next = await logIn(server, user, 'LINUX', 'desk 4');
    expect(next.kicked.map(({ deviceId }) => deviceId)).toEqual(['desk 0', 'desk 1', 'desk 2']);
    await updatePolicy(server, { platforms: [{ platform: 'LINUX', maxInstances: 1 }] });
  });

  test('a kicked device causes no additional DISCONNECT', async () => {
    const user = newUserId();
    const phone = await logIn(server, user, 'IPHONE');
    const sockets = await Promise.all([
      GraphqlSocket.open(server, phone.token),
      GraphqlSocket.open(server, phone.token),
    ]);
    await logIn(server, user, 'WEB');
    for (const socket of sockets) expect(await socket.closed).toMatchObject({ code: 4410, reason: 'KICKED' });
    await postForData(server, server.apiKey, '{ latestCursor }');
    expect((await fetchEvents(server, user)).map(({ reason }) => reason)).toEqual(['LOGIN', 'LOGIN', 'KICKED']);
    expect((await fetchUser(server, user)).version).toBe(1);
  });

  test('concurrent logins of one user leave one session and kick every other one exactly once', async () => {
    const user = newUserId();
    const devices = await Promise.all(PLATFORMS.map((platform) => logIn(server, user, platform)));
    expect((await fetchUser(server, user)).sessions).toHaveLength(1);
    const kicked = devices.flatMap((device) => device.kicked.map(({ id }) => id));
    expect(kicked).toHaveLength(7);
    expect(new Set(kicked).size).toBe(7);
  });
});
