/** Ids that look alike or change the text direction stay distinct: in lists, in cursors and on disk. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import { postForData, codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { LOGIN, logIn, updatePolicy, fetchUser, WATCH } from '../support/users.ts';

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
const firstLetters = (text: string, count: number): string => [...text].slice(0, count).join('');

/** All users that a backend reads: from pages of two lists, and by id. */
const readAllUsers = async (
  server: PorchlightProcess,
): Promise<{ listed: string[]; logged: string[]; queried: string[]; devices: string[] }> => {
  const pages = async (field: string, node: string): Promise<string[]> => {
    const found: string[] = [];
    let after: string | null = null;
    for (;;) {
      const query = `query ($after: ${field === 'events' ? 'Cursor' : 'String'}) { ${field}(first: 7, after: $after) { nodes { ${node} } pageInfo { hasNextPage endCursor } } }`;
      type Page = Record<
        string,
        { nodes: { userId: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } }
      >;
      const page: Page[string] | undefined = (await postForData<Page>(server, server.apiKey, query, { after }))[field];
      found.push(...(page?.nodes ?? []).map(({ userId }) => userId));
      if (page?.pageInfo.hasNextPage !== true) return found;
      after = page.pageInfo.endCursor;
    }
  };
  const { userStatuses } = await postForData<{
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
    queried: userStatuses.filter(({ status }) => status === 'ONLINE').map(({ userId }) => userId),
    devices: userStatuses.flatMap(({ sessions }) => sessions.map(({ deviceId }) => deviceId)),
  };
};

const login = 'mutation ($input: LoginInput!) { login(input: $input) { session { userId deviceId } kicked { id } } }';

test(
  'each id stays one user in every list, also after a clean stop and after SIGKILL',
  { timeout: 90_000 },
  async () => {
    expect(new Set(IDS).size).toBe(IDS.length);
    await using harness = createRestartHarness();
    let server = await harness.start();
    const devices = await Promise.all(IDS.map((id) => logIn(server, id, 'IPHONE', id)));
    // Sorted by UTF-8 bytes as on disk. JavaScript sorts astral characters before U+E000.
    const inOrder = [...IDS].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    const before = await readAllUsers(server);
    expect({ ...before, logged: [...before.logged].sort() }).toEqual({
      listed: inOrder,
      logged: [...IDS].sort(),
      queried: IDS,
      devices: IDS,
    });
    for (const end of ['stop', 'sigkill'] as const) {
      await server[end]();
      server = await harness.start();
      expect(await readAllUsers(server)).toEqual(before);
      const answers = devices.map(async ({ userId, token }) => {
        const socket = await GraphqlSocket.open(server, token);
        expect(await socket.executeForData('{ me { userId deviceId } }')).toEqual({ me: { userId, deviceId: userId } });
        expect((await fetchUser(server, userId)).userId).toBe(userId);
      });
      await Promise.all(answers);
    }
    const watcher = await GraphqlSocket.open(server, server.apiKey);
    const changes = watcher.subscribe<{ statusChanges: { userId: string }[] }>(WATCH, { userIds: IDS });
    expect((await changes.next()).data?.statusChanges.map(({ userId }) => userId)).toEqual(IDS);
    const repeatedLogins = IDS.map(async (id) => {
      // The same device of the same user logs in, so no session is kicked.
      const input = { platform: 'IPHONE', deviceId: id };
      expect(await postForData(server, await mintToken(id), login, { input })).toEqual({
        login: { session: { userId: id, deviceId: id }, kicked: [] },
      });
    });
    await Promise.all(repeatedLogins);
    await server.stop();
  },
);

const CONTROLS = [
  ...Array.from({ length: 0x20 }, (_, at) => at),
  0x7f,
  ...Array.from({ length: 0x20 }, (_, at) => 0x80 + at),
];

test('control characters, lone surrogates and overlong ids are rejected as user id, device id and watched id, and nothing is stored', async () => {
  await using harness = createRestartHarness();
  const server = await harness.start();
  await updatePolicy(server, { multiDevice: { mode: 'MULTI' } });
  const socket = await GraphqlSocket.open(server, server.apiKey);
  const bad = [
    ...CONTROLS.map((code) => `a${String.fromCharCode(code)}b`),
    '\ud800',
    'a\udfff',
    '\ud83d\ud83d',
    '\ude00\ud83d',
    `${firstLetters('x'.repeat(200), 129)}`,
    '\u{1f600}'.repeat(129),
    '',
  ];
  for (const id of bad) {
    const text = JSON.stringify(id);
    const query = 'query ($id: ID!) { userStatus(userId: $id) { status } }';
    expect([text, codeOf(await postOperation(server, server.apiKey, query, { id }))]).toEqual([text, 'BAD_USER_INPUT']);
    expect([text, codeOf(await socket.execute(WATCH, { userIds: ['fine', id] }))]).toEqual([text, 'BAD_USER_INPUT']);
    const login = await postOperation(server, await mintToken('another user'), LOGIN, {
      input: { platform: 'WEB', deviceId: id },
    });
    expect([text, codeOf(login)]).toEqual([text, 'BAD_USER_INPUT']);
    expect([
      text,
      codeOf(await postOperation(server, await mintToken(id), LOGIN, { input: { platform: 'WEB' } })),
    ]).toEqual([text, 'UNAUTHENTICATED']);
  }
  expect(
    (await postForData<{ events: { nodes: object[] } }>(server, server.apiKey, '{ events { nodes { userId } } }'))
      .events.nodes,
  ).toEqual([]);
  await server.stop();
});

test('the disk holds only the hash of a session token’s secret, also in the write-ahead log', async () => {
  await using harness = createRestartHarness();
  const server = await harness.start();
  const live = await logIn(server, 'alice', 'IPHONE');
  const ended = await logIn(server, 'bob', 'IPHONE');
  await postForData(server, ended.token, 'mutation { logout { userStatus { status } } }');
  // SIGKILL prevents a checkpoint, so that the write-ahead log holds the writes.
  await server.sigkill();
  const files = readdirSync(harness.directory).map(
    (name) => [name, readFileSync(join(harness.directory, name))] as const,
  );
  expect(files.map(([name]) => name)).toContain('porchlight.db-wal');
  const isOnDisk = (bytes: Buffer): boolean => files.some(([, file]) => file.includes(bytes));
  for (const { token } of [live, ended]) {
    const secret = Buffer.from(token.split('.')[2] ?? '', 'base64url');
    expect(secret).toHaveLength(32);
    for (const form of [
      secret,
      ...(['base64url', 'base64', 'hex'] as const).map((name) => Buffer.from(secret.toString(name).replace(/=+$/, ''))),
    ]) {
      expect(isOnDisk(form)).toBe(false);
    }
    expect(isOnDisk(Buffer.from(token))).toBe(false);
    const hashed = createHash('sha256').update(secret);
    const digest = hashed.digest();
    expect(isOnDisk(digest) || isOnDisk(Buffer.from(digest.toString('base64url')))).toBe(true);
  }
});
