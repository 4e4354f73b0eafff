/** User and device ids: stored exactly or rejected, wherever one is accepted. */
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

/** Valid ids, all distinct. Pairs instead of an object, because `__proto__` cannot be a plain key. */
const VALID: readonly (readonly [string, string])[] = [
  ['__proto__', '__proto__'],
  ['constructor', 'constructor'],
  ['hasOwnProperty', 'hasOwnProperty'],
  ['toString', 'toString'],
  ['one character', 'x'],
  ['one astral character', '\u{1D306}'],
  ['128 characters', 'y'.repeat(128)],
  ['128 astral characters, 512 bytes', '\u{1F600}'.repeat(128)],
  ['128 characters of three bytes', '\u5BB6'.repeat(128)],
  ['an emoji of several code points', FAMILY],
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
  ['a right-to-left override', '\u202Ealice'],
  ['a line separator', 'a\u2028b'],
  ['a soft hyphen', 'a\u00ADb'],
  ['a noncharacter', 'a\uFFFEb'],
  ['a replacement character', '\uFFFD'],
  ['a digit', '0'],
  ['two digits', '00'],
  ['the word null', 'null'],
  ['quotes and SQL', `'"\`; DROP TABLE users; --`],
  ['a percent sign and a glob', '%*?[a-z]_'],
  ['slashes and dots', '../../etc/passwd'],
  ['markup and JSON', '<script>{"a":["\\u0000"]}</script>'],
];
const VALID_IDS = VALID.map(([, id]) => id);

const INVALID: Readonly<Record<string, string>> = {
  'an empty text': '',
  '129 characters': 'y'.repeat(129),
  '129 astral characters': '\u{1F600}'.repeat(129),
  '100,000 characters': 'y'.repeat(100_000),
  'a NUL': 'a\u0000b',
  'a tab': 'a\tb',
  'a line feed': 'alice\n',
  'U+001F': '\u001fa',
  'U+007F': 'a\u007f',
  'U+0080': 'a\u0080',
  'U+0085': '\u0085',
  'U+009F': 'a\u009fb',
};

describe.concurrent('a valid user id', () => {
  test.for(VALID)('is stored and returned exactly: %s', async ([, id]) => {
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

  test('can be a literal in a document', async () => {
    const id = `doc ${FAMILY} "quoted" \\`;
    await logIn(server, id);
    const query = `{ userStatus(userId: ${JSON.stringify(id)}) { userId status } }`;
    expect(await postForData(server, server.apiKey, query)).toEqual({ userStatus: { userId: id, status: 'ONLINE' } });
  });

  test('can be an integer literal, which stands for its digits', async () => {
    await logIn(server, '4711');
    expect(await postForData(server, server.apiKey, '{ userStatus(userId: 4711) { userId status } }')).toEqual({
      userStatus: { userId: '4711', status: 'ONLINE' },
    });
  });

  test('is not confused with any other in one query and one subscription', async () => {
    const ids = VALID_IDS.map((id) => [...`${id}!`].slice(-128).join(''));
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

describe.concurrent('an invalid id', () => {
  const operations: readonly (readonly [string, string, (id: string) => Readonly<Record<string, unknown>>])[] = [
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
  test.for(Object.entries(INVALID))('is rejected wherever an id is accepted: %s', async ([, id]) => {
    const socket = await GraphqlSocket.open(server, server.apiKey);
    for (const [field, query, variables] of operations) {
      expect([field, codeOf(await socket.execute(query, variables(id)))]).toEqual([field, 'BAD_USER_INPUT']);
      if (field !== 'statusChanges') {
        expect([field, codeOf(await postOperation(server, server.apiKey, query, variables(id)))]).toEqual([
          field,
          'BAD_USER_INPUT',
        ]);
      }
    }
    const jwt = await mintToken('a user with invalid devices');
    const login = await postOperation(server, jwt, LOGIN, { input: { platform: 'WEB', deviceId: id } });
    expect([codeOf(login), login.data ?? null]).toEqual(['BAD_USER_INPUT', null]);
    // A JWT for such a user is rejected. The longest one would not fit into a header.
    if (id.length < 1_000) {
      const invalidLogin = await postOperation(server, await mintToken(id), LOGIN, { input: { platform: 'WEB' } });
      expect(codeOf(invalidLogin)).toBe('UNAUTHENTICATED');
    }
    expect((await fetchUser(server, 'a user with invalid devices')).version).toBe(0);
  });

  test('is rejected when it contains a lone surrogate', async () => {
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
  test('are distinct like user ids: each one is a separate device', async () => {
    const user = 'has many devices';
    const jwt = await mintToken(user);
    for (const deviceId of VALID_IDS) {
      const login = await postForData<LoginResult>(server, jwt, LOGIN, { input: { platform: 'WEB', deviceId } });
      expect(deviceOf(login)).toMatchObject({ deviceId, kicked: [] });
    }
    const { sessions } = await fetchUser(server, user);
    expect(sessions.map(({ deviceId }) => deviceId)).toEqual(VALID_IDS);
  });

  test('that are equal on two platforms are two devices: the second kicks the first instead of replacing it', async () => {
    const user = 'same id twice';
    const phone = await logIn(server, user, 'IPHONE', 'one');
    const tablet = await logIn(server, user, 'IPAD', 'one');
    expect(tablet.kicked.map(({ id }) => id)).toEqual([phone.sessionId]);
    await logOut(server, tablet);
  });

  test('that the server generates are unique and valid in later logins', async () => {
    const user = 'no device id';
    const generated = await Promise.all(Array.from({ length: 20 }, () => logIn(server, user, 'WEB')));
    expect(new Set(generated.map(({ deviceId }) => deviceId)).size).toBe(20);
    const repeatedLogin = await logIn(server, user, 'WEB', generated[7]?.deviceId);
    expect(repeatedLogin.kicked).toEqual([]);
    expect((await fetchUser(server, user)).sessions).toHaveLength(20);
  });

  test('have the same limit as the versions of app and system: 128 characters', async () => {
    const jwt = await mintToken('versions');
    const login = (input: object) => postOperation(server, jwt, LOGIN, { input: { platform: 'WEB', ...input } });
    const long = '\u{1F600}'.repeat(128);
    expect(codeOf(await login({ appVersion: long, osVersion: long }))).toBeNull();
    expect(codeOf(await login({ appVersion: `${long}x` }))).toBe('BAD_USER_INPUT');
    expect(codeOf(await login({ osVersion: `${long}x` }))).toBe('BAD_USER_INPUT');
    expect(dataOf(await postOperation(server, jwt, '{ __typename }'))).toEqual({ __typename: 'Query' });
  });
});
