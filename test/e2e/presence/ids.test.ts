/** Ids as people may have them: kept exactly, or refused, wherever one is taken. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  postForData,
  codeOf,
  dataOf,
  postOperation,
  GraphqlSocket,
  type GraphqlResult,
} from '../../support/porchlight-client.ts';
import { mintToken } from '../../support/porchlight-process.ts';
import {
  sendHeartbeat,
  deviceOf,
  endSessions,
  fetchEvents,
  LOGIN,
  logIn,
  logOut,
  startSharedServer,
  updatePolicy,
  fetchUser,
  WATCH,
  Watcher,
  type LoginResult,
} from '../support/users.ts';

vi.setConfig({ maxConcurrency: 50 });

const server = startSharedServer();

beforeAll(() => updatePolicy(server, { platforms: [{ platform: 'WEB', maxInstances: 1_000 }] }));

const FAMILY = '\u{1F468}\u200D\u{1F469}\u200D\u{1F467}\u200D\u{1F466}';

/** Every one of them names somebody else than any other. As pairs, because an object would mistake the first. */
const GOOD: readonly (readonly [string, string])[] = [
  ['__proto__', '__proto__'],
  ['constructor', 'constructor'],
  ['hasOwnProperty', 'hasOwnProperty'],
  ['toString', 'toString'],
  ['one character', 'x'],
  ['one astral character', '\u{1D306}'],
  ['128 characters', 'y'.repeat(128)],
  ['128 astral characters, 512 bytes', '\u{1F600}'.repeat(128)],
  ['128 of three bytes', '\u5BB6'.repeat(128)],
  ['an emoji of several', FAMILY],
  ['composed (NFC)', 'Zo\u00EB'],
  ['decomposed (NFD)', 'Zoe\u0308'],
  ['only a combining character', '\u0301'],
  ['upper case', 'ALICE'],
  ['lower case', 'alice'],
  ['a dotless i', 'al\u0131ce'],
  ['a leading space', ' alice'],
  ['a trailing space', 'alice '],
  ['one space', ' '],
  ['a no-break space', '\u00A0'],
  ['an ideographic space', '\u3000'],
  ['a zero-width space', '\u200B'],
  ['a byte order mark', '\uFEFFalice'],
  ['right to left', '\u202Ealice'],
  ['a line separator', 'a\u2028b'],
  ['a soft hyphen', 'a\u00ADb'],
  ['a noncharacter', 'a\uFFFEb'],
  ['a replacement character', '\uFFFD'],
  ['a digit', '0'],
  ['two digits', '00'],
  ['what looks like null', 'null'],
  ['quotes and SQL', `'"\`; DROP TABLE users; --`],
  ['a percent sign and a glob', '%*?[a-z]_'],
  ['slashes and dots', '../../etc/passwd'],
  ['markup and JSON', '<script>{"a":["\\u0000"]}</script>'],
];
const GOOD_IDS = GOOD.map(([, id]) => id);

const BAD: Readonly<Record<string, string>> = {
  empty: '',
  '129 characters': 'y'.repeat(129),
  '129 astral characters': '\u{1F600}'.repeat(129),
  '100,000 characters': 'y'.repeat(100_000),
  NUL: 'a\u0000b',
  'a tab': 'a\tb',
  'a line feed': 'alice\n',
  'U+001F': '\u001fa',
  'U+007F': 'a\u007f',
  'U+0080': 'a\u0080',
  'U+0085': '\u0085',
  'U+009F': 'a\u009fb',
};

describe.concurrent('a user id that is kept exactly', () => {
  test.for(GOOD)('%s', async ([, id]) => {
    const watcher = await Watcher.open(server, [id]);
    expect(watcher.initialStatuses).toMatchObject([{ userId: id, status: 'OFFLINE', version: 0 }]);
    const device = await logIn(server, id, 'IPHONE', id);
    expect(device).toMatchObject({ userId: id, deviceId: id });
    expect(await watcher.next()).toMatchObject({ userId: id, status: 'ONLINE', version: 1 });
    expect(await fetchUser(server, id)).toMatchObject({ userId: id, status: 'ONLINE', version: 1 });
    expect(await sendHeartbeat(server, device)).toMatchObject({ userId: id, deviceId: id });
    const socket = await GraphqlSocket.open(server, device.token);
    expect(await socket.executeForData('{ me { userId deviceId } }')).toEqual({ me: { userId: id, deviceId: id } });
    expect(await endSessions(server, { userId: id })).toMatchObject([{ userId: id }]);
    const events = await fetchEvents(server, id);
    expect(events.map(({ userId, deviceId, reason }) => [userId, deviceId, reason])).toEqual([
      [id, id, 'LOGIN'],
      [id, id, 'REVOKED'],
    ]);
  });

  test('written into the document', async () => {
    const id = `doc ${FAMILY} "quoted" \\`;
    await logIn(server, id);
    const query = `{ userStatus(userId: ${JSON.stringify(id)}) { userId status } }`;
    expect(await postForData(server, server.apiKey, query)).toEqual({ userStatus: { userId: id, status: 'ONLINE' } });
  });

  test('a whole number as an ID is its digits', async () => {
    await logIn(server, '4711');
    expect(await postForData(server, server.apiKey, '{ userStatus(userId: 4711) { userId status } }')).toEqual({
      userStatus: { userId: '4711', status: 'ONLINE' },
    });
  });

  test('all of them in one query and one subscription, none mistaken for another', async () => {
    const ids = GOOD_IDS.map((id) => [...`${id}!`].slice(-128).join(''));
    expect(new Set(ids).size).toBe(ids.length);
    const online = ids.filter((_, index) => index % 2 === 0);
    await Promise.all(online.map((id) => logIn(server, id, 'LINUX')));
    const expected = ids.map((id) => ({ userId: id, status: online.includes(id) ? 'ONLINE' : 'OFFLINE' }));
    const query = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status } }';
    expect(await postForData(server, server.apiKey, query, { ids })).toEqual({ userStatuses: expected });
    const watcher = await Watcher.open(server, ids);
    expect(watcher.initialStatuses.map(({ userId, status }) => ({ userId, status }))).toEqual(expected);
  });
});

describe.concurrent('an id that is refused, wherever one is taken', () => {
  const places: readonly (readonly [string, string, (id: string) => Readonly<Record<string, unknown>>])[] = [
    ['userStatus', 'query ($id: ID!) { userStatus(userId: $id) { status } }', (id) => ({ id })],
    ['userStatuses', 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }', (id) => ({ ids: ['ok', id] })],
    ['events', 'query ($id: ID!) { events(userId: $id) { nodes { userId } } }', (id) => ({ id })],
    [
      'endSessions',
      'mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }',
      (id) => ({ input: { userId: id } }),
    ],
    ['statusChanges', WATCH, (id) => ({ userIds: ['ok', id] })],
  ];
  test.for(Object.entries(BAD))('%s', async ([, id]) => {
    const socket = await GraphqlSocket.open(server, server.apiKey);
    for (const [place, query, variables] of places) {
      expect([place, codeOf(await socket.execute(query, variables(id)))]).toEqual([place, 'BAD_USER_INPUT']);
      if (place !== 'statusChanges') {
        expect([place, codeOf(await postOperation(server, server.apiKey, query, variables(id)))]).toEqual([
          place,
          'BAD_USER_INPUT',
        ]);
      }
    }
    const jwt = await mintToken('a user with odd devices');
    const login = await postOperation(server, jwt, LOGIN, { input: { platform: 'WEB', deviceId: id } });
    expect([codeOf(login), login.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
    // A JWT for such a user is nobody's; too long a one does not even fit into a header.
    if (id.length < 1_000) {
      const odd = await postOperation(server, await mintToken(id), LOGIN, { input: { platform: 'WEB' } });
      expect(codeOf(odd)).toBe('UNAUTHENTICATED');
    }
    expect((await fetchUser(server, 'a user with odd devices')).version).toBe(0);
  });

  test('half of a surrogate pair is no text', async () => {
    const body = '{"query":"{ userStatus(userId: \\"a\\\\ud800b\\") { userId } }"}';
    const response = await fetch(`${server.origin}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${server.apiKey}` },
      body,
    });
    expect(codeOf((await response.json()) as GraphqlResult<unknown>)).not.toBeNull();
    const socket = await GraphqlSocket.open(server, server.apiKey);
    const query = 'query ($id: ID!) { userStatus(userId: $id) { userId } }';
    expect(codeOf(await socket.execute(query, { id: 'a\ud800b' }))).toBe('BAD_USER_INPUT');
  });
});

describe.concurrent('device ids', () => {
  test('are kept apart as user ids are: each is a device of its own', async () => {
    const user = 'has many devices';
    const jwt = await mintToken(user);
    for (const deviceId of GOOD_IDS) {
      const login = await postForData<LoginResult>(server, jwt, LOGIN, { input: { platform: 'WEB', deviceId } });
      expect(deviceOf(login)).toMatchObject({ deviceId, kicked: [] });
    }
    const { sessions } = await fetchUser(server, user);
    expect(sessions.map(({ deviceId }) => deviceId)).toEqual(GOOD_IDS);
  });

  test('the same id on two platforms is two devices: no replacement but a kick', async () => {
    const user = 'same id twice';
    const phone = await logIn(server, user, 'IPHONE', 'one');
    const tablet = await logIn(server, user, 'IPAD', 'one');
    expect(tablet.kicked.map(({ id }) => id)).toEqual([phone.sessionId]);
    await logOut(server, tablet);
  });

  test('that are made are never the same, and fit where one is taken', async () => {
    const user = 'no device id';
    const made = await Promise.all(Array.from({ length: 20 }, () => logIn(server, user, 'WEB')));
    expect(new Set(made.map(({ deviceId }) => deviceId)).size).toBe(20);
    const again = await logIn(server, user, 'WEB', made[7]?.deviceId);
    expect(again.kicked).toEqual([]);
    expect((await fetchUser(server, user)).sessions).toHaveLength(20);
  });

  test('versions of app and system are texts of up to 128 characters', async () => {
    const jwt = await mintToken('versions');
    const login = (input: object) => postOperation(server, jwt, LOGIN, { input: { platform: 'WEB', ...input } });
    const long = '\u{1F600}'.repeat(128);
    expect(codeOf(await login({ appVersion: long, osVersion: long }))).toBeNull();
    expect(codeOf(await login({ appVersion: `${long}x` }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await login({ osVersion: `${long}x` }))).toBe('BAD_USER_INPUT');
    expect(dataOf(await postOperation(server, jwt, '{ __typename }'))).toEqual({ __typename: 'Query' });
  });
});
