/** What a restart leaves as it was, and that what is stored wins over what is configured. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SHUTDOWN_METHODS, createRestartHarness, type RestartHarness } from '../../support/crash/crash-restart.ts';
import { postForData, codeOf, postOperation } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  type Device,
  endSessions,
  logIn,
  LOGIN,
  logOut,
  POLICY,
  createPushOnlineDevice,
  updatePolicy,
  fetchUser,
} from '../support/users.ts';

const ME = '{ me { id status } }';
const GROUPS = [['WEB', 'LINUX']];

const policyOf = async (server: PorchlightProcess): Promise<unknown> =>
  (await postForData<{ policy: unknown }>(server, server.apiKey, `{ policy { ${POLICY} } }`)).policy;

const write = (server: PorchlightProcess, { token }: Device, text: string): Promise<unknown> =>
  postForData(
    server,
    token,
    'mutation ($text: String) { setCustomStatus(input: { text: $text }) { userStatus { version } } }',
    { text },
  );

/** Everything that is to survive, done on the first server. */
const live = async (server: PorchlightProcess) => {
  const web = await logIn(server, 'online ☎', 'WEB', 'a device');
  await logIn(server, 'online ☎', 'IPAD');
  await write(server, web, 'at lunch 🍜');
  const push = await createPushOnlineDevice(server, 'push', 'IPHONE');
  const offline = await logIn(server, 'offline', 'LINUX');
  await write(server, offline, 'gone when she is OFFLINE');
  await logOut(server, offline);

  const kicked = await logIn(server, 'alice', 'IPHONE');
  const kicker = await logIn(server, 'alice', 'ANDROID');
  const jwts = [await mintToken('bob'), await mintToken('never logged in')];
  const revoked = await logIn(server, 'bob', 'WEB');
  await endSessions(server, { userId: 'bob', revokeTokens: true });
  await endSessions(server, { userId: 'never logged in', revokeTokens: true });

  await updatePolicy(server, {
    multiDevice: { mode: 'CUSTOM', groups: GROUPS },
    platforms: [{ platform: 'LINUX', heartbeatTimeoutMs: 222_000, maxInstances: 3 }],
    pushOnlineExpiryMs: 86_400_000,
  });
  const ids = ['online ☎', 'push', 'offline', 'never seen', 'alice', 'bob'];
  return {
    ids,
    users: await Promise.all(ids.map((id) => fetchUser(server, id))),
    policy: await policyOf(server),
    kick: await postOperation(server, kicked.token, ME),
    devices: { web, push, kicked, kicker, revoked },
    jwts,
  };
};

describe.each(SHUTDOWN_METHODS)('a server %s and started again', (_name, end) => {
  let place: RestartHarness;
  let before: Awaited<ReturnType<typeof live>>;
  let after: PorchlightProcess;
  beforeAll(async () => {
    place = createRestartHarness({ PORCHLIGHT_MULTI_DEVICE: 'dual', PORCHLIGHT_PLATFORM_PRESET: 'mobile-only' });
    const server = await place.start();
    expect(await policyOf(server)).toMatchObject({ multiDevice: { mode: 'DUAL' } });
    before = await live(server);
    await end(server);
    after = await place.start({
      PORCHLIGHT_MULTI_DEVICE: 'multi',
      PORCHLIGHT_PLATFORM_PRESET: 'classic',
      PORCHLIGHT_PLATFORMS: '[{"platform":"LINUX","heartbeatTimeoutMs":333000}]',
      PORCHLIGHT_PUSH_ONLINE_EXPIRY: '2d',
    });
  });
  afterAll(() => place[Symbol.asyncDispose]());

  test('keeps the stored policy, whatever is configured by now', async () => {
    expect(await policyOf(after)).toEqual(before.policy);
    expect(before.policy).toMatchObject({
      multiDevice: { mode: 'CUSTOM', groups: GROUPS },
      pushOnlineExpiryMs: 86_400_000,
    });
  });

  test('knows its users, their sessions and texts as they were', async () => {
    const seen = await Promise.all(before.ids.map((id) => fetchUser(after, id)));
    expect(seen).toEqual(before.users);
    expect(seen.map(({ status, version, customStatus }) => [status, version, customStatus])).toEqual([
      ['ONLINE', 2, 'at lunch 🍜'],
      ['PUSH_ONLINE', 2, null],
      ['OFFLINE', 3, null],
      ['OFFLINE', 0, null],
      ['ONLINE', 1, null],
      ['OFFLINE', 2, null],
    ]);
    const { stats } = await postForData<{ stats: unknown }>(
      after,
      after.apiKey,
      '{ stats { usersOnline usersPushOnline sockets } }',
    );
    expect(stats).toEqual({ usersOnline: 2, usersPushOnline: 1, sockets: 0 });
  });

  test('says of a kicked session what it said before', async () => {
    const { kicked, kicker, revoked } = before.devices;
    expect(await postOperation(after, kicked.token, ME)).toEqual(before.kick);
    expect(before.kick.errors?.[0]?.extensions).toMatchObject({
      code: 'SESSION_ENDED',
      reason: 'KICKED',
      kickedBy: 'ANDROID',
    });
    expect((await postOperation(after, revoked.token, ME)).errors?.[0]?.extensions).toMatchObject({
      reason: 'REVOKED',
    });
    expect(await postForData(after, kicker.token, ME)).toEqual({ me: { id: kicker.sessionId, status: 'ONLINE' } });
  });

  test('refuses the tokens that were revoked before', async () => {
    for (const jwt of before.jwts) {
      expect(codeOf(await postOperation(after, jwt, LOGIN, { input: { platform: 'WEB' } }))).toBe('UNAUTHENTICATED');
    }
  });

  test('counts versions on where they were', async () => {
    await write(after, before.devices.web, 'back');
    expect(await fetchUser(after, 'online ☎')).toMatchObject({ version: 3, customStatus: 'back' });
    await sendHeartbeat(after, before.devices.push);
    expect(await fetchUser(after, 'push')).toMatchObject({ status: 'ONLINE', version: 3, reason: 'RECONNECT' });
    await logIn(after, 'offline', 'LINUX');
    expect(await fetchUser(after, 'offline')).toMatchObject({ status: 'ONLINE', version: 4, customStatus: null });
  });
});

test('a clean stop writes the last sign of life as well', async () => {
  await using place = createRestartHarness();
  const before = await place.start();
  const device = await logIn(before, 'alice', 'IPHONE');
  const { lastSeenAt, loggedInAt } = await sendHeartbeat(before, device);
  expect(Date.parse(lastSeenAt)).toBeGreaterThanOrEqual(Date.parse(loggedInAt));
  expect(await before.stop()).toEqual({ code: 0, signal: null });

  const after = await place.start();
  expect(await fetchUser(after, 'alice')).toMatchObject({ lastSeenAt, sessions: [{ lastSeenAt }] });
});
