/** State that survives a restart, and the precedence of the stored policy over the configuration. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SHUTDOWN_METHODS, createRestartHarness, type RestartHarness } from '../../support/crash/restart-harness.ts';
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

const fetchPolicy = async (server: PorchlightProcess): Promise<unknown> =>
  (await postForData<{ policy: unknown }>(server, server.apiKey, `{ policy { ${POLICY} } }`)).policy;

const setCustomStatus = (server: PorchlightProcess, { token }: Device, text: string): Promise<unknown> =>
  postForData(
    server,
    token,
    'mutation ($text: String) { setCustomStatus(input: { text: $text }) { userStatus { version } } }',
    { text },
  );

/** Creates all state that must survive on the first server. @returns what to compare it with. */
const createState = async (server: PorchlightProcess) => {
  const web = await logIn(server, 'online ☎', 'WEB', 'a device');
  await logIn(server, 'online ☎', 'IPAD');
  await setCustomStatus(server, web, 'at lunch 🍜');
  const push = await createPushOnlineDevice(server, 'push', 'IPHONE');
  const offline = await logIn(server, 'offline', 'LINUX');
  await setCustomStatus(server, offline, 'cleared when OFFLINE');
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
    policy: await fetchPolicy(server),
    kick: await postOperation(server, kicked.token, ME),
    devices: { web, push, kicked, kicker, revoked },
    jwts,
  };
};

describe.each(SHUTDOWN_METHODS)('a server %s and started again', (_name, shutDown) => {
  let harness: RestartHarness;
  let before: Awaited<ReturnType<typeof createState>>;
  let after: PorchlightProcess;
  beforeAll(async () => {
    harness = createRestartHarness({ PORCHLIGHT_MULTI_DEVICE: 'dual', PORCHLIGHT_PLATFORM_PRESET: 'mobile-only' });
    const server = await harness.start();
    expect(await fetchPolicy(server)).toMatchObject({ multiDevice: { mode: 'DUAL' } });
    before = await createState(server);
    await shutDown(server);
    after = await harness.start({
      PORCHLIGHT_MULTI_DEVICE: 'multi',
      PORCHLIGHT_PLATFORM_PRESET: 'classic',
      PORCHLIGHT_PLATFORMS: '[{"platform":"LINUX","heartbeatTimeoutMs":333000}]',
      PORCHLIGHT_PUSH_ONLINE_EXPIRY: '2d',
    });
  });
  afterAll(() => harness[Symbol.asyncDispose]());

  test('keeps the stored policy although the configuration has changed', async () => {
    expect(await fetchPolicy(after)).toEqual(before.policy);
    expect(before.policy).toMatchObject({
      multiDevice: { mode: 'CUSTOM', groups: GROUPS },
      pushOnlineExpiryMs: 86_400_000,
    });
  });

  test('has the same users, sessions and custom statuses', async () => {
    const users = await Promise.all(before.ids.map((id) => fetchUser(after, id)));
    expect(users).toEqual(before.users);
    expect(users.map(({ status, version, customStatus }) => [status, version, customStatus])).toEqual([
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

  test('answers the tokens of kicked and revoked sessions as before', async () => {
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

  test('rejects JWTs that were revoked before', async () => {
    for (const jwt of before.jwts) {
      expect(codeOf(await postOperation(after, jwt, LOGIN, { input: { platform: 'WEB' } }))).toBe('UNAUTHENTICATED');
    }
  });

  test('continues the versions of users', async () => {
    await setCustomStatus(after, before.devices.web, 'back');
    expect(await fetchUser(after, 'online ☎')).toMatchObject({ version: 3, customStatus: 'back' });
    await sendHeartbeat(after, before.devices.push);
    expect(await fetchUser(after, 'push')).toMatchObject({ status: 'ONLINE', version: 3, reason: 'RECONNECT' });
    await logIn(after, 'offline', 'LINUX');
    expect(await fetchUser(after, 'offline')).toMatchObject({ status: 'ONLINE', version: 4, customStatus: null });
  });
});

test('a clean stop stores the time of the last activity', async () => {
  await using harness = createRestartHarness();
  const before = await harness.start();
  const device = await logIn(before, 'alice', 'IPHONE');
  const { lastSeenAt, loggedInAt } = await sendHeartbeat(before, device);
  expect(Date.parse(lastSeenAt)).toBeGreaterThanOrEqual(Date.parse(loggedInAt));
  expect(await before.stop()).toEqual({ code: 0, signal: null });

  const after = await harness.start();
  expect(await fetchUser(after, 'alice')).toMatchObject({ lastSeenAt, sessions: [{ lastSeenAt }] });
});
