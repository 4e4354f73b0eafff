/** The custom status: a text that a user sets in addition to the status. */
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
interface SetResult {
  readonly setCustomStatus: { readonly userStatus: { readonly version: number; readonly customStatus: string | null } };
}

const setText = (device: Device, text: unknown): Promise<GraphqlResult<SetResult>> =>
  postOperation<SetResult>(server, device.token, SET, { input: { text } });

describe.concurrent('a custom status', () => {
  test('is delivered to watchers with the next version and the same status', async () => {
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

  test('changes the version only when the text differs from the current one', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const watcher = await Watcher.open(server, [device.userId]);
    const versions: (number | undefined)[] = [];
    for (const text of ['a', 'a', 'A', 'A ', null, null, 'a']) {
      versions.push((await setText(device, text)).data?.setCustomStatus.userStatus.version);
    }
    expect(versions).toEqual([2, 2, 3, 4, 5, 5, 6]);
    await watcher.changes.nextMatching(({ version }) => version === 6);
    const received = watcher.changes.all.map(({ version, customStatus }) => [version, customStatus]);
    // Changes may be conflated, but none is repeated and the last one is always delivered.
    expect(received.at(-1)).toEqual([6, 'a']);
    expect(received.map(([version]) => version)).toEqual([...new Set(received.map(([version]) => version))].sort());
    expect(
      (await fetchEventSummaries(server, device.userId)).filter((line) => line.includes('CUSTOM_STATUS')),
    ).toHaveLength(5);
  });

  test.for([
    ['256 letters', 'x'.repeat(256)],
    ['256 astral characters', '\u{1F600}'.repeat(256)],
    ['128 letters with a combining accent each', 'e\u0301'.repeat(128)],
    ['spaces around a letter', ' x '],
    ['several lines', 'one\ntwo\r\n\tthree'],
    ['markup and quotes', '<b>&amp;"\'`${x}\\'],
  ])('is stored unchanged: %s', async ([, text]) => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    expect((await setText(device, text)).data?.setCustomStatus.userStatus.customStatus).toBe(text);
    expect((await fetchUser(server, device.userId)).customStatus).toBe(text);
  });

  test.for([
    ['257 letters', 'x'.repeat(257)],
    ['257 astral characters', '\u{1F600}'.repeat(257)],
    ['100,000 letters', 'x'.repeat(100_000)],
    ['a NUL', 'a\u0000b'],
    ['an escape character', '\u001b[31m'],
    ['a vertical tab', 'a\u000bb'],
    ['a DEL', 'a\u007f'],
    ['a next line (C1)', 'a\u0085b'],
    ['a lone surrogate', 'a\ud83d'],
    ['a number', 7],
    ['a list', ['x']],
  ] as const)('is rejected with BAD_USER_INPUT over both transports and changes nothing: %s', async ([, text]) => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    await setText(device, 'before');
    const http = await setText(device, text);
    expect([codeOf(http), http.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
    const socket = await GraphqlSocket.open(server, device.token);
    expect(codeOf(await socket.execute(SET, { input: { text } }))).toBe('BAD_USER_INPUT');
    expect(await fetchUser(server, device.userId)).toMatchObject({ customStatus: 'before', version: 2 });
  });

  test.for([
    ['an empty text', ''],
    ['one space', ' '],
    ['white space of several kinds', '\t\r\n\u00a0\u3000\u2028\ufeff'],
  ] as const)('is cleared by a text without visible characters: %s', async ([, text]) => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    await setText(device, 'before');
    const reply = await setText(device, text);
    expect(reply.data?.setCustomStatus.userStatus).toMatchObject({ customStatus: null, version: 3 });
    // Clearing nothing changes nothing.
    expect((await setText(device, text)).data?.setCustomStatus.userStatus.version).toBe(3);
  });

  test('is cleared when the text is left out', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    await setText(device, 'x');
    await postForData(server, device.token, 'mutation { setCustomStatus(input: {}) { userStatus { version } } }');
    expect(await fetchUser(server, device.userId)).toMatchObject({ customStatus: null, version: 3 });
  });

  test('is kept while the user is PUSH_ONLINE and cleared when the user is OFFLINE', async () => {
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

  test('belongs to the user, so that a kick of the device does not clear it', async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    await setText(device, 'mine');
    await logIn(server, device.userId, 'WEB');
    expect(await fetchUser(server, device.userId)).toMatchObject({ customStatus: 'mine', version: 2 });
  });

  test('is the text that any device of the user set last', async () => {
    await updatePolicy(server, { platforms: [{ platform: 'LINUX', maxInstances: 2 }] });
    const user = newUserId();
    const [one, other] = [await logIn(server, user, 'LINUX'), await logIn(server, user, 'LINUX')];
    await setText(one, 'first');
    await setText(other, 'second');
    expect(await fetchUser(server, user)).toMatchObject({ customStatus: 'second', version: 3 });
    expect((await setText(one, 'second')).data?.setCustomStatus.userStatus.version).toBe(3);
  });
});
