/** Ids that look alike, or are read in the wrong direction, stay what they are: in lists, in cursors, and on the disk. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { newPlace } from '../../support/crash/crash-restart.ts';
import { ask, codeOf, gql, Socket } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { LOGIN, logIn, updatePolicy, userSeen, WATCH } from '../support/users.ts';

const IDS: readonly string[] = [
  ...['__proto__', 'constructor', 'toString', 'prototype', '0', '00', '-0', '1e3', 'null', 'true', 'NaN'],
  ...[
    'Zo\u00eb',
    'Zoe\u0308',
    '\u0301',
    '\ufb01',
    'fi',
    'ALICE',
    'alice',
    'al\u0131ce',
    'ALI\u0307CE',
    '\u212a',
    'K',
    '\u00df',
    'ss',
  ],
  ...[
    '\u202ealice',
    '\u200falice',
    'alice\u200b',
    '\u2066a\u2069',
    '\ufeffalice',
    'a\u00adb',
    'a\u034fb',
    'a\u2028b',
    'a\ufffeb',
    '\ufffd',
  ],
  ...[
    '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}',
    '\u{1f1e9}\u{1f1ea}',
    '\u{1f44d}\u{1f3fd}',
    '\u{e0001}',
    '\u{10ffff}',
    '\u{f0000}',
    '\uffff',
    '\ue000',
  ],
  ...[
    ' ',
    ' alice',
    'alice ',
    '\u00a0',
    '\u3000',
    "' OR 1=1 --",
    '%00',
    '\\u0000',
    '../..',
    'a.b',
    '*',
    '${x}',
    '{{x}}',
    '<b>',
    '=1+1',
  ],
  ...['\u{1f600}'.repeat(128), '\u5bb6'.repeat(128), 'e\u0301'.repeat(64), 'y'.repeat(128)],
];
const tail = (text: string, count: number): string => [...text].slice(0, count).join('');

/** Everything a backend can read of them, page by page. */
const seen = async (
  server: PorchlightProcess,
): Promise<{ listed: string[]; logged: string[]; asked: string[]; devices: string[] }> => {
  const pages = async (field: string, node: string): Promise<string[]> => {
    const found: string[] = [];
    let after: string | null = null;
    for (;;) {
      const query = `query ($after: ${field === 'events' ? 'Cursor' : 'String'}) { ${field}(first: 7, after: $after) { nodes { ${node} } pageInfo { hasNextPage endCursor } } }`;
      type Page = Record<
        string,
        { nodes: { userId: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } }
      >;
      const page: Page[string] | undefined = (await ask<Page>(server, server.apiKey, query, { after }))[field];
      found.push(...(page?.nodes ?? []).map(({ userId }) => userId));
      if (page?.pageInfo.hasNextPage !== true) return found;
      after = page.pageInfo.endCursor;
    }
  };
  const { userStatuses } = await ask<{
    userStatuses: { userId: string; status: string; sessions: { deviceId: string }[] }[];
  }>(
    server,
    server.apiKey,
    'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { userId status sessions { deviceId } } }',
    { ids: IDS },
  );
  return {
    listed: await pages('onlineUsers', 'userId'),
    logged: await pages('events', 'userId'),
    asked: userStatuses.filter(({ status }) => status === 'ONLINE').map(({ userId }) => userId),
    devices: userStatuses.flatMap(({ sessions }) => sessions.map(({ deviceId }) => deviceId)),
  };
};

const login = 'mutation ($input: LoginInput!) { login(input: $input) { session { userId deviceId } kicked { id } } }';

test('each id is one user, in every list and after every kind of end of the server', { timeout: 90_000 }, async () => {
  expect(new Set(IDS).size).toBe(IDS.length);
  await using place = newPlace();
  let server = await place.start();
  const devices = await Promise.all(IDS.map((id) => logIn(server, id, 'IPHONE', id)));
  // By the bytes of UTF-8, as they stand on the disk; JavaScript would put the astral ones before U+E000.
  const inOrder = [...IDS].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  const before = await seen(server);
  expect({ ...before, logged: [...before.logged].sort() }).toEqual({
    listed: inOrder,
    logged: [...IDS].sort(),
    asked: IDS,
    devices: IDS,
  });
  for (const end of ['stop', 'kill9'] as const) {
    await server[end]();
    server = await place.start();
    expect(await seen(server)).toEqual(before);
    const answers = devices.map(async ({ userId, token }) => {
      const socket = await Socket.open(server, token);
      expect(await socket.ask('{ me { userId deviceId } }')).toEqual({ me: { userId, deviceId: userId } });
      expect((await userSeen(server, userId)).userId).toBe(userId);
    });
    await Promise.all(answers);
  }
  const watcher = await Socket.open(server, server.apiKey);
  const changes = watcher.subscribe<{ statusChanges: { userId: string }[] }>(WATCH, { userIds: IDS });
  expect((await changes.next()).data?.statusChanges.map(({ userId }) => userId)).toEqual(IDS);
  const again = IDS.map(async (id) => {
    // The same device of the same user: nobody is kicked.
    const input = { platform: 'IPHONE', deviceId: id };
    expect(await ask(server, await mintToken(id), login, { input })).toEqual({
      login: { session: { userId: id, deviceId: id }, kicked: [] },
    });
  });
  await Promise.all(again);
  await server.stop();
});

const CONTROLS = [
  ...Array.from({ length: 0x20 }, (_, at) => at),
  0x7f,
  ...Array.from({ length: 0x20 }, (_, at) => 0x80 + at),
];

test('every control character, and every half of a letter, is refused as a user, a device, a watched one, and nothing is kept', async () => {
  await using place = newPlace();
  const server = await place.start();
  await updatePolicy(server, { multiDevice: { mode: 'MULTI' } });
  const socket = await Socket.open(server, server.apiKey);
  const bad = [
    ...CONTROLS.map((code) => `a${String.fromCharCode(code)}b`),
    '\ud800',
    'a\udfff',
    '\ud83d\ud83d',
    '\ude00\ud83d',
    `${tail('x'.repeat(200), 129)}`,
    '\u{1f600}'.repeat(129),
    '',
  ];
  for (const id of bad) {
    const shown = JSON.stringify(id);
    const query = 'query ($id: ID!) { userStatus(userId: $id) { status } }';
    expect([shown, codeOf(await gql(server, server.apiKey, query, { id }))]).toEqual([shown, 'BAD_USER_INPUT']);
    expect([shown, codeOf(await socket.execute(WATCH, { userIds: ['fine', id] }))]).toEqual([shown, 'BAD_USER_INPUT']);
    const login = await gql(server, await mintToken('somebody'), LOGIN, { input: { platform: 'WEB', deviceId: id } });
    expect([shown, codeOf(login)]).toEqual([shown, 'BAD_USER_INPUT']);
    expect([shown, codeOf(await gql(server, await mintToken(id), LOGIN, { input: { platform: 'WEB' } }))]).toEqual([
      shown,
      'UNAUTHENTICATED',
    ]);
  }
  expect(
    (await ask<{ events: { nodes: object[] } }>(server, server.apiKey, '{ events { nodes { userId } } }')).events.nodes,
  ).toEqual([]);
  await server.stop();
});

test('of a session’s token the disk holds the hash of its secret, and nothing else: not in the log that is not merged yet either', async () => {
  await using place = newPlace();
  const server = await place.start();
  const live = await logIn(server, 'alice', 'IPHONE');
  const ended = await logIn(server, 'bob', 'IPHONE');
  await ask(server, ended.token, 'mutation { logout { userStatus { status } } }');
  // No time to tidy up: what was written is in the write-ahead log.
  await server.kill9();
  const files = readdirSync(place.directory).map((name) => [name, readFileSync(join(place.directory, name))] as const);
  expect(files.map(([name]) => name)).toContain('porchlight.db-wal');
  const isKept = (bytes: Buffer): boolean => files.some(([, file]) => file.includes(bytes));
  for (const { token } of [live, ended]) {
    const secret = Buffer.from(token.split('.')[2] ?? '', 'base64url');
    expect(secret).toHaveLength(32);
    for (const form of [
      secret,
      ...(['base64url', 'base64', 'hex'] as const).map((name) => Buffer.from(secret.toString(name).replace(/=+$/, ''))),
    ]) {
      expect(isKept(form)).toBe(false);
    }
    expect(isKept(Buffer.from(token))).toBe(false);
    const hashed = createHash('sha256').update(secret);
    const digest = hashed.digest();
    expect(isKept(digest) || isKept(Buffer.from(digest.toString('base64url')))).toBe(true);
  }
});
