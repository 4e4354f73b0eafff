/** Counts, which are right at once after everything that happens. */
import { expect, test } from 'vitest';
import { postForData, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  endSessions,
  LOGIN,
  logIn,
  logOut,
  newUserId,
  PLATFORMS,
  startSharedServer,
  updatePolicy,
  Watcher,
  type LoginResult,
  type Platform,
} from '../support/users.ts';

const server = startSharedServer();

/** A client knows a moment earlier than the server that a socket is closed. */
const SOON = { timeout: 5_000 };

interface Stats {
  readonly usersOnline: number;
  readonly usersPushOnline: number;
  readonly sockets: number;
  readonly sessions: readonly { readonly platform: Platform; readonly online: number; readonly pushOnline: number }[];
}

/** In short: users ONLINE and PUSH_ONLINE, sockets, and the platforms that have sessions. */
const counted = async (): Promise<string> => {
  const query = '{ stats { usersOnline usersPushOnline sockets sessions { platform online pushOnline } } }';
  const { stats } = await postForData<{ stats: Stats }>(server, server.apiKey, query);
  expect(stats.sessions.map(({ platform }) => platform).sort()).toEqual([...PLATFORMS].sort());
  const busy = stats.sessions
    .filter(({ online, pushOnline }) => online + pushOnline > 0)
    .map(({ platform, online, pushOnline }) => `${platform} ${online}+${pushOnline}`)
    .sort();
  return [`${stats.usersOnline}+${stats.usersPushOnline}`, `${stats.sockets} sockets`, ...busy].join(', ');
};

test('who may not come in is not counted', async () => {
  const refused = new GraphqlSocket(server);
  await refused.init('nonsense');
  await refused.closed;
  expect(await counted()).toBe('0+0, 0 sockets');
});

test('a scripted day, counted after each step', async () => {
  expect(await counted()).toBe('0+0, 0 sockets');
  await updatePolicy(server, { multiDevice: { mode: 'MULTI' }, platforms: [{ platform: 'WEB', maxInstances: 2 }] });
  const [alice, bob] = [newUserId('alice'), newUserId('bob')];

  const phone = await logIn(server, alice, 'IPHONE', 'phone');
  expect(await counted()).toBe('1+0, 0 sockets, IPHONE 1+0');
  const socket = await GraphqlSocket.open(server, phone.token);
  expect(await counted()).toBe('1+0, 1 sockets, IPHONE 1+0');
  const second = await GraphqlSocket.open(server, phone.token);
  const asBackend = await Watcher.open(server, [alice, bob]);
  const asUser = await GraphqlSocket.open(server, await mintToken(bob));
  expect(await counted()).toBe('1+0, 4 sockets, IPHONE 1+0');

  await asUser.executeForData<LoginResult>(LOGIN, { input: { platform: 'WEB', deviceId: 'tab' } });
  expect(await counted()).toBe('2+0, 4 sockets, IPHONE 1+0, WEB 1+0');
  const other = await logIn(server, bob, 'WEB', 'other tab');
  await logIn(server, alice, 'MAC');
  expect(await counted()).toBe('2+0, 4 sockets, IPHONE 1+0, MAC 1+0, WEB 2+0');

  // Replaced: one goes, one comes, and the sockets of the first are closed.
  const fresh = await logIn(server, alice, 'IPHONE', 'phone');
  await Promise.all([socket.closed, second.closed]);
  await expect.poll(counted, SOON).toBe('2+0, 2 sockets, IPHONE 1+0, MAC 1+0, WEB 2+0');

  await endSessions(server, { userId: alice, platform: 'MAC' });
  expect(await counted()).toBe('2+0, 2 sockets, IPHONE 1+0, WEB 2+0');
  const link = await GraphqlSocket.open(server, fresh.token);
  await link.close();
  await asBackend.changes.nextMatching(({ userId, status }) => userId === alice && status === 'PUSH_ONLINE');
  await expect.poll(counted, SOON).toBe('1+1, 2 sockets, IPHONE 0+1, WEB 2+0');

  // A tab that is closed ends its session; the other one keeps the user ONLINE.
  await asUser.close();
  await expect.poll(counted, SOON).toBe('1+1, 1 sockets, IPHONE 0+1, WEB 1+0');
  await logOut(server, other);
  expect(await counted()).toBe('0+1, 1 sockets, IPHONE 0+1');
  await postForData(server, fresh.token, '{ me { id } }');
  expect(await counted()).toBe('1+0, 1 sockets, IPHONE 1+0');
  await logOut(server, fresh);
  expect(await counted()).toBe('0+0, 1 sockets');
  await asBackend.socket.close();
  await expect.poll(counted, SOON).toBe('0+0, 0 sockets');
});
