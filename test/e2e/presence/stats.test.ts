/** The counts of `stats`, which are correct directly after each change. */
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

/** The client may detect a closed socket earlier than the server. */
const POLL_OPTIONS = { timeout: 5_000 };

interface Stats {
  readonly usersOnline: number;
  readonly usersPushOnline: number;
  readonly sockets: number;
  readonly sessions: readonly { readonly platform: Platform; readonly online: number; readonly pushOnline: number }[];
}

/** A summary: users ONLINE and PUSH_ONLINE, sockets, and the platforms that have sessions. */
const fetchCounts = async (): Promise<string> => {
  const query = '{ stats { usersOnline usersPushOnline sockets sessions { platform online pushOnline } } }';
  const { stats } = await postForData<{ stats: Stats }>(server, server.apiKey, query);
  expect(stats.sessions.map(({ platform }) => platform).sort()).toEqual([...PLATFORMS].sort());
  const platformCounts = stats.sessions
    .filter(({ online, pushOnline }) => online + pushOnline > 0)
    .map(({ platform, online, pushOnline }) => `${platform} ${online}+${pushOnline}`)
    .sort();
  return [`${stats.usersOnline}+${stats.usersPushOnline}`, `${stats.sockets} sockets`, ...platformCounts].join(', ');
};

test('a rejected socket is not counted', async () => {
  const rejected = new GraphqlSocket(server);
  await rejected.init('nonsense');
  await rejected.closed;
  expect(await fetchCounts()).toBe('0+0, 0 sockets');
});

test('users, sessions and sockets are counted correctly after each of a series of changes', async () => {
  expect(await fetchCounts()).toBe('0+0, 0 sockets');
  await updatePolicy(server, { multiDevice: { mode: 'MULTI' }, platforms: [{ platform: 'WEB', maxInstances: 2 }] });
  const [alice, bob] = [newUserId('alice'), newUserId('bob')];

  const phone = await logIn(server, alice, 'IPHONE', 'phone');
  expect(await fetchCounts()).toBe('1+0, 0 sockets, IPHONE 1+0');
  const socket = await GraphqlSocket.open(server, phone.token);
  expect(await fetchCounts()).toBe('1+0, 1 sockets, IPHONE 1+0');
  const second = await GraphqlSocket.open(server, phone.token);
  const asBackend = await Watcher.open(server, [alice, bob]);
  const asUser = await GraphqlSocket.open(server, await mintToken(bob));
  expect(await fetchCounts()).toBe('1+0, 4 sockets, IPHONE 1+0');

  await asUser.executeForData<LoginResult>(LOGIN, { input: { platform: 'WEB', deviceId: 'tab' } });
  expect(await fetchCounts()).toBe('2+0, 4 sockets, IPHONE 1+0, WEB 1+0');
  const other = await logIn(server, bob, 'WEB', 'other tab');
  await logIn(server, alice, 'MAC');
  expect(await fetchCounts()).toBe('2+0, 4 sockets, IPHONE 1+0, MAC 1+0, WEB 2+0');

  // The session of the same device is replaced, and the sockets of the old one are closed.
  const replacement = await logIn(server, alice, 'IPHONE', 'phone');
  await Promise.all([socket.closed, second.closed]);
  await expect.poll(fetchCounts, POLL_OPTIONS).toBe('2+0, 2 sockets, IPHONE 1+0, MAC 1+0, WEB 2+0');

  await endSessions(server, { userId: alice, platform: 'MAC' });
  expect(await fetchCounts()).toBe('2+0, 2 sockets, IPHONE 1+0, WEB 2+0');
  const socketOfPhone = await GraphqlSocket.open(server, replacement.token);
  await socketOfPhone.close();
  await asBackend.changes.nextMatching(({ userId, status }) => userId === alice && status === 'PUSH_ONLINE');
  await expect.poll(fetchCounts, POLL_OPTIONS).toBe('1+1, 2 sockets, IPHONE 0+1, WEB 2+0');

  // Closing one WEB socket ends its session; the other session keeps the user ONLINE.
  await asUser.close();
  await expect.poll(fetchCounts, POLL_OPTIONS).toBe('1+1, 1 sockets, IPHONE 0+1, WEB 1+0');
  await logOut(server, other);
  expect(await fetchCounts()).toBe('0+1, 1 sockets, IPHONE 0+1');
  await postForData(server, replacement.token, '{ me { id } }');
  expect(await fetchCounts()).toBe('1+0, 1 sockets, IPHONE 1+0');
  await logOut(server, replacement);
  expect(await fetchCounts()).toBe('0+0, 1 sockets');
  await asBackend.socket.close();
  await expect.poll(fetchCounts, POLL_OPTIONS).toBe('0+0, 0 sockets');
});
