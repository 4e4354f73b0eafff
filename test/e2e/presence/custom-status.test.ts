/** The text that a user sets beside the status. */
import { describe, expect, test, vi } from 'vitest';
import {
  postForData,
  codeOf,
  postOperation,
  GraphqlSocket,
  type GraphqlResult,
} from '../../support/porchlight-client.ts';
import {
  fetchEvents,
  logIn,
  logOut,
  newUserId,
  startSharedServer,
  fetchEventSummaries,
  updatePolicy,
  fetchUser,
  Watcher,
  type Device,
} from '../support/users.ts';

vi.setConfig({ maxConcurrency: 20 });

const server = startSharedServer();

const SET = `mutation ($input: SetCustomStatusInput!) { setCustomStatus(input: $input) {
  userStatus { status version customStatus reason } } }`;
interface Set {
  readonly setCustomStatus: { readonly userStatus: { readonly version: number; readonly customStatus: string | null } };
}

const setText = (device: Device, text: unknown): Promise<GraphqlResult<Set>> =>
  postOperation<Set>(server, device.token, SET, { input: { text } });

describe.concurrent('a custom status', () => {
  test('is told to those who watch, with a version one higher and the same status', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const watcher = await Watcher.open(server, [device.userId]);
    expect(await setText(device, 'at lunch')).toMatchObject({
      data: {
        setCustomStatus: {
          userStatus: { status: 'ONLINE', version: 2, customStatus: 'at lunch', reason: 'CUSTOM_STATUS' },
        },
      },
    });
    expect(await watcher.next()).toMatchObject({
      previousStatus: 'ONLINE',
      status: 'ONLINE',
      version: 2,
      reason: 'CUSTOM_STATUS',
      platform: 'IPHONE',
      customStatus: 'at lunch',
    });
    expect((await Watcher.open(server, [device.userId])).initialStatuses).toMatchObject([
      { customStatus: 'at lunch', version: 2 },
    ]);
    expect((await fetchEvents(server, device.userId)).at(-1)).toMatchObject({
      reason: 'CUSTOM_STATUS',
      sessionId: device.sessionId,
      sessionStatus: 'ONLINE',
      customStatus: 'at lunch',
    });
  });

  test('the same text again is no change; another, none and the first again are', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const watcher = await Watcher.open(server, [device.userId]);
    const versions: (number | undefined)[] = [];
    for (const text of ['a', 'a', 'A', 'A ', null, null, 'a']) {
      versions.push((await setText(device, text)).data?.setCustomStatus.userStatus.version);
    }
    expect(versions).toEqual([2, 2, 3, 4, 5, 5, 6]);
    await watcher.changes.nextMatching(({ version }) => version === 6);
    const told = watcher.changes.all.map(({ version, customStatus }) => [version, customStatus]);
    // One who is slow may be told of fewer, but of none twice and of the last for certain.
    expect(told.at(-1)).toEqual([6, 'a']);
    expect(told.map(([version]) => version)).toEqual([...new Set(told.map(([version]) => version))].sort());
    expect(
      (await fetchEventSummaries(server, device.userId)).filter((line) => line.includes('CUSTOM_STATUS')),
    ).toHaveLength(5);
  });

  test.for([
    ['256 letters', 'x'.repeat(256)],
    ['256 astral characters', '\u{1F600}'.repeat(256)],
    ['128 letters with an accent each, decomposed', 'e\u0301'.repeat(128)],
    ['one space', ' '],
    ['several lines', 'one\ntwo\r\n\tthree'],
    ['what would be markup', '<b>&amp;"\'`${x}\\'],
  ])('%s is kept exactly', async ([, text]) => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    expect((await setText(device, text)).data?.setCustomStatus.userStatus.customStatus).toBe(text);
    expect((await fetchUser(server, device.userId)).customStatus).toBe(text);
  });

  test.for([
    ['257 letters', 'x'.repeat(257)],
    ['257 astral characters', '\u{1F600}'.repeat(257)],
    ['far too much', 'x'.repeat(100_000)],
    ['a number', 7],
    ['a list', ['x']],
  ] as const)('%s is BAD_USER_INPUT at both doors, and changes nothing', async ([, text]) => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    await setText(device, 'before');
    const http = await setText(device, text);
    expect([codeOf(http), http.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
    const socket = await GraphqlSocket.open(server, device.token);
    expect(codeOf(await socket.execute(SET, { input: { text } }))).toBe('BAD_USER_INPUT');
    expect(await fetchUser(server, device.userId)).toMatchObject({ customStatus: 'before', version: 2 });
  });

  test('left out is null', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    await setText(device, 'x');
    await postForData(server, device.token, 'mutation { setCustomStatus(input: {}) { userStatus { version } } }');
    expect(await fetchUser(server, device.userId)).toMatchObject({ customStatus: null, version: 3 });
  });

  test('stays while the user is PUSH_ONLINE, and is cleared when it is OFFLINE', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const { userId } = device;
    await setText(device, 'gone fishing');
    const watcher = await Watcher.open(server, [userId]);
    await (await GraphqlSocket.open(server, device.token)).close();
    expect(await watcher.next()).toMatchObject({ status: 'PUSH_ONLINE', version: 3, customStatus: 'gone fishing' });
    await logOut(server, device);
    expect(await watcher.next()).toMatchObject({ status: 'OFFLINE', version: 4, customStatus: null });
    expect((await fetchEvents(server, userId)).at(-1)).toMatchObject({
      reason: 'LOGOUT',
      customStatus: null,
      version: 4,
    });
    await logIn(server, userId, 'IPHONE');
    expect(await fetchUser(server, userId)).toMatchObject({ customStatus: null, version: 5 });
  });

  test('is the user’s, not the device’s: a kick leaves it', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    await setText(device, 'mine');
    await logIn(server, device.userId, 'WEB');
    expect(await fetchUser(server, device.userId)).toMatchObject({ customStatus: 'mine', version: 2 });
  });

  test('of two devices the last word counts', async () => {
    await updatePolicy(server, { platforms: [{ platform: 'LINUX', maxInstances: 2 }] });
    const user = newUserId();
    const [one, other] = [await logIn(server, user, 'LINUX'), await logIn(server, user, 'LINUX')];
    await setText(one, 'first');
    await setText(other, 'second');
    expect(await fetchUser(server, user)).toMatchObject({ customStatus: 'second', version: 3 });
    expect((await setText(one, 'second')).data?.setCustomStatus.userStatus.version).toBe(3);
  });
});
