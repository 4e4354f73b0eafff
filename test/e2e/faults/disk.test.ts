/** A disk that is full, slow, or held by somebody else: nothing is lost, nothing is told that is not on it, all recovers by itself. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../../support/crash/crash-stream.ts';
import { DiskFaults } from '../../support/faults/disk-faults.ts';
import { codeOf, gql, Socket } from '../../support/porchlight-client.ts';
import {
  mintToken,
  spawnPorchlight,
  startPorchlight,
  within,
  type PorchlightProcess,
} from '../../support/porchlight-process.ts';
import { beat, logIn, LOGIN, storyOf, userSeen, Watcher } from '../support/users.ts';
import { timed } from '../support/stopwatch.ts';

const POLICY = {
  PORCHLIGHT_PLATFORMS: JSON.stringify([{ platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 2_000 }]),
};

const tryLogin = async (server: PorchlightProcess, userId: string) =>
  gql<object>(server, await mintToken(userId), LOGIN, { input: { platform: 'IPHONE' } });

const linesSaying = (server: PorchlightProcess, words: string): number => server.output().split(words).length - 1;

test(
  'a full disk: changes are refused with OVERLOADED, all else goes on, and nothing is lost',
  { timeout: 60_000 },
  async () => {
    using disk = new DiskFaults();
    await using server = await startPorchlight({ env: { ...POLICY, ...disk.env } });
    const stays = await logIn(server, 'stays', 'IPHONE');
    await logIn(server, 'times out', 'WEB');
    const leaves = await logIn(server, 'leaves', 'IPHONE');
    const leaving = await Socket.open(server, leaves.token);
    const watcher = await Watcher.open(server, ['stays', 'times out', 'leaves', 'new']);

    disk.fill();
    const refused = await tryLogin(server, 'new');
    expect(refused.errors?.[0]).toMatchObject({
      extensions: { code: 'OVERLOADED', retryAfterMs: expect.any(Number) as number },
    });
    expect(codeOf(await gql(server, stays.token, 'mutation { logout { userStatus { status } } }'))).toBe('OVERLOADED');
    // Signs of life are kept in memory, and everybody can be asked about.
    expect(await beat(server, stays)).toMatchObject({ status: 'ONLINE' });
    await leaving.close();
    // Past its deadline, and tried again and again.
    const { lastSeenAt } = await userSeen(server, 'times out');
    await eventually(async () => {
      await beat(server, stays);
      const { lastSeenAt: now } = await userSeen(server, 'stays');
      expect(Date.parse(now ?? '') - Date.parse(lastSeenAt ?? '')).toBeGreaterThan(3_500);
    });
    for (let again = 0; again < 20; again++) expect(codeOf(await tryLogin(server, `more ${again}`))).toBe('OVERLOADED');
    expect(watcher.told, 'nothing is told that is not on the disk').toEqual([]);
    expect(await userSeen(server, 'new')).toMatchObject({ status: 'OFFLINE', version: 0 });
    // It is ready all the same: who beats and who asks is served, and there is no other server.
    expect((await fetch(`${server.origin}/health/ready`)).status).toBe(200);

    disk.mend();
    const told = [await watcher.next(), await watcher.next()].map(({ userId, reason }) => `${userId} ${reason}`);
    expect(told.toSorted()).toEqual(['leaves DISCONNECT', 'times out HEARTBEAT_TIMEOUT']);
    await eventually(async () => expect(codeOf(await tryLogin(server, 'new'))).toBeNull());
    expect(await watcher.next()).toMatchObject({ userId: 'new', reason: 'LOGIN', version: 1 });
    expect(await storyOf(server, 'times out')).toHaveLength(2);
    expect(await storyOf(server, 'leaves')).toHaveLength(2);
    // Said once when it began and once when it was over, however many were refused.
    expect(linesSaying(server, 'The disk takes nothing')).toBe(1);
    expect(linesSaying(server, 'The disk takes what is written again')).toBe(1);
    expect(server.output().split('\n').length).toBeLessThan(25);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

test('a slow disk: who changes waits together, all others do not', { timeout: 60_000 }, async () => {
  using disk = new DiskFaults();
  await using server = await startPorchlight({ env: disk.env });
  const device = await logIn(server, 'beats', 'IPHONE');
  const socket = await Socket.open(server, device.token);
  const roundTrips = async (): Promise<number> => {
    const { sentAt, answeredAt } = await timed(async () => {
      for (let beats = 0; beats < 50; beats++) await socket.ask('mutation { heartbeat { heartbeatIntervalMs } }');
    });
    return answeredAt - sentAt;
  };
  await roundTrips();
  disk.slowDown(2_000);
  const logins = timed(async () =>
    Promise.all(Array.from({ length: 40 }, (_, index) => tryLogin(server, `slow ${index}`))),
  );
  let answered = false;
  void logins.then(() => (answered = true));
  // Two of them, and a query, within one fsync: none of it waits for the disk.
  await roundTrips();
  expect(await userSeen(server, 'beats')).toMatchObject({ status: 'ONLINE' });
  expect(await userSeen(server, 'slow 0')).toMatchObject({ status: 'OFFLINE' });
  expect(answered).toBe(false);
  const { value, sentAt, answeredAt } = await logins;
  expect(value.map(codeOf)).toEqual(value.map(() => null));
  // In groups: one after another they would take 80 s.
  expect(answeredAt - sentAt).toBeLessThan(20_000);
  disk.mend();
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

test(
  'a file that another process writes to: changes wait, are refused, and are made up for',
  { timeout: 60_000 },
  async () => {
    await using server = await startPorchlight({ env: POLICY });
    const other = new Database(join(server.directory, 'porchlight.db'), { timeout: 5_000 });
    const stays = await logIn(server, 'stays', 'IPHONE');
    // Who reads does no harm, for however long.
    other.exec('BEGIN; SELECT count(*) FROM users');
    expect(codeOf(await tryLogin(server, 'beside a reader'))).toBeNull();
    other.exec('COMMIT');

    other.exec('BEGIN IMMEDIATE');
    const waiting = tryLogin(server, 'waits');
    expect(await beat(server, stays)).toMatchObject({ status: 'ONLINE' });
    other.exec('ROLLBACK');
    expect(codeOf(await waiting), 'a short lock is waited for').toBeNull();

    // Her time is up while the file is locked.
    await logIn(server, 'times out', 'WEB');
    other.exec('BEGIN IMMEDIATE');
    expect(codeOf(await tryLogin(server, 'refused')), 'a long one is not').toBe('OVERLOADED');
    expect(await beat(server, stays)).toMatchObject({ status: 'ONLINE' });
    expect(await userSeen(server, 'times out')).toMatchObject({ status: 'ONLINE', version: 1 });
    other.exec('ROLLBACK');
    other.close();
    await eventually(async () => expect(await storyOf(server, 'times out')).toHaveLength(2));
    expect((await storyOf(server, 'times out')).at(-1)).toMatch(/HEARTBEAT_TIMEOUT/);
    await eventually(async () => expect(codeOf(await tryLogin(server, 'refused'))).toBeNull());
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

test('a start on a full disk says so and ends with 1, for a supervisor to try again; then nothing is missing', async () => {
  using disk = new DiskFaults();
  await using before = await startPorchlight({ env: disk.env });
  await logIn(before, 'alice', 'IPHONE');
  await before.kill9();
  disk.fill();
  const { directory } = before;
  const refused = spawnPorchlight({ directory, env: disk.env });
  try {
    expect(await within(refused.exited, 15_000, refused.output)).toEqual({ code: 1, signal: null });
  } finally {
    await refused.dispose();
  }
  expect(refused.output()).toMatch(/The disk failed at .*porchlight\.db.*\nIf it is full, free some space/);
  expect(refused.output()).not.toMatch(/ready| {4}at /);
  disk.mend();
  await using after = await startPorchlight({ directory, env: disk.env });
  expect(await userSeen(after, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
});
