/** A full, slow or locked disk: no stored change is lost, no unstored change is published, and the server recovers by itself. */
import Database from 'better-sqlite3';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { DiskFaults } from '../../support/faults/disk-faults.ts';
import { codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import {
  mintToken,
  spawnPorchlight,
  startPorchlight,
  withTimeout,
  type PorchlightProcess,
} from '../../support/porchlight-process.ts';
import { sendHeartbeat, logIn, LOGIN, fetchEventSummaries, fetchUser, Watcher } from '../support/users.ts';
import { measureSpan } from '../support/stopwatch.ts';

const POLICY = {
  PORCHLIGHT_PLATFORMS: JSON.stringify([{ platform: 'WEB', heartbeatIntervalMs: 500, heartbeatTimeoutMs: 2_000 }]),
};

const tryLogin = async (server: PorchlightProcess, userId: string) =>
  postOperation<object>(server, await mintToken(userId), LOGIN, { input: { platform: 'IPHONE' } });

const countInOutput = (server: PorchlightProcess, text: string): number => server.output().split(text).length - 1;

test(
  'with a full disk changes are rejected with OVERLOADED, everything else is served, and pending timeouts are applied later',
  { timeout: 60_000 },
  async () => {
    using disk = new DiskFaults();
    await using server = await startPorchlight({ env: { ...POLICY, ...disk.env } });
    const activeDevice = await logIn(server, 'stays', 'IPHONE');
    await logIn(server, 'times out', 'WEB');
    const leavingDevice = await logIn(server, 'leaves', 'IPHONE');
    const leavingSocket = await GraphqlSocket.open(server, leavingDevice.token);
    const watcher = await Watcher.open(server, ['stays', 'times out', 'leaves', 'new']);

    disk.fill();
    const rejected = await tryLogin(server, 'new');
    expect(rejected.errors?.[0]).toMatchObject({
      extensions: { code: 'OVERLOADED', retryAfterMs: expect.any(Number) as number },
    });
    expect(
      codeOf(await postOperation(server, activeDevice.token, 'mutation { logout { userStatus { status } } }')),
    ).toBe('OVERLOADED');
    // Activity is recorded in memory, and queries are answered.
    expect(await sendHeartbeat(server, activeDevice)).toMatchObject({ status: 'ONLINE' });
    await leavingSocket.close();
    // Wait beyond the deadline of `times out`, whose timeout is retried meanwhile.
    const { lastSeenAt } = await fetchUser(server, 'times out');
    await retryUntilPasses(async () => {
      await sendHeartbeat(server, activeDevice);
      const { lastSeenAt: now } = await fetchUser(server, 'stays');
      expect(Date.parse(now ?? '') - Date.parse(lastSeenAt ?? '')).toBeGreaterThan(3_500);
    });
    for (let attempt = 0; attempt < 20; attempt++)
      expect(codeOf(await tryLogin(server, `more ${attempt}`))).toBe('OVERLOADED');
    expect(watcher.changeSummaries, 'no change is published that is not on disk').toEqual([]);
    expect(await fetchUser(server, 'new')).toMatchObject({ status: 'OFFLINE', version: 0 });
    // The server stays ready, because it serves heartbeats and queries and no other server could.
    expect((await fetch(`${server.origin}/health/ready`)).status).toBe(200);

    disk.repair();
    const changes = [await watcher.next(), await watcher.next()].map(({ userId, reason }) => `${userId} ${reason}`);
    expect(changes.toSorted()).toEqual(['leaves DISCONNECT', 'times out HEARTBEAT_TIMEOUT']);
    await retryUntilPasses(async () => expect(codeOf(await tryLogin(server, 'new'))).toBeNull());
    expect(await watcher.next()).toMatchObject({ userId: 'new', reason: 'LOGIN', version: 1 });
    expect(await fetchEventSummaries(server, 'times out')).toHaveLength(2);
    expect(await fetchEventSummaries(server, 'leaves')).toHaveLength(2);
    // The log has one line for the beginning and one for the end of the failure, however many changes are rejected.
    expect(countInOutput(server, 'Writing to the disk failed; changes are rejected')).toBe(1);
    expect(countInOutput(server, 'Writing to the disk works again')).toBe(1);
    expect(server.output().split('\n').length).toBeLessThan(25);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

test(
  'with a slow disk concurrent changes wait for a shared commit, and heartbeats and queries do not wait',
  { timeout: 60_000 },
  async () => {
    using disk = new DiskFaults();
    await using server = await startPorchlight({ env: disk.env });
    const device = await logIn(server, 'sends heartbeats', 'IPHONE');
    const socket = await GraphqlSocket.open(server, device.token);
    const roundTrips = async (): Promise<number> => {
      const { sentAt, answeredAt } = await measureSpan(async () => {
        for (let count = 0; count < 50; count++)
          await socket.executeForData('mutation { heartbeat { heartbeatIntervalMs } }');
      });
      return answeredAt - sentAt;
    };
    await roundTrips();
    disk.delayFsync(2_000);
    const logins = measureSpan(async () =>
      Promise.all(Array.from({ length: 40 }, (_, index) => tryLogin(server, `slow ${index}`))),
    );
    let answered = false;
    void logins.then(() => (answered = true));
    // 50 heartbeats and two queries take less than one fsync: none of them waits for the disk.
    await roundTrips();
    expect(await fetchUser(server, 'sends heartbeats')).toMatchObject({ status: 'ONLINE' });
    expect(await fetchUser(server, 'slow 0')).toMatchObject({ status: 'OFFLINE' });
    expect(answered).toBe(false);
    const { value, sentAt, answeredAt } = await logins;
    expect(value.map(codeOf)).toEqual(value.map(() => null));
    // 40 separate commits would take 80 s.
    expect(answeredAt - sentAt).toBeLessThan(20_000);
    disk.repair();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

test(
  'while another process locks the database, changes wait briefly, are then rejected, and pending timeouts are applied later',
  { timeout: 60_000 },
  async () => {
    await using server = await startPorchlight({ env: POLICY });
    const other = new Database(join(server.directory, 'porchlight.db'), { timeout: 5_000 });
    const activeDevice = await logIn(server, 'stays', 'IPHONE');
    // A reader does not block writes, however long its transaction takes.
    other.exec('BEGIN; SELECT count(*) FROM users');
    expect(codeOf(await tryLogin(server, 'during a read'))).toBeNull();
    other.exec('COMMIT');

    other.exec('BEGIN IMMEDIATE');
    const waiting = tryLogin(server, 'waits');
    expect(await sendHeartbeat(server, activeDevice)).toMatchObject({ status: 'ONLINE' });
    other.exec('ROLLBACK');
    expect(codeOf(await waiting), 'a change waits for a short lock').toBeNull();

    // The timeout of this user is due while the file is locked.
    await logIn(server, 'times out', 'WEB');
    other.exec('BEGIN IMMEDIATE');
    expect(codeOf(await tryLogin(server, 'refused')), 'a change does not wait for a long lock').toBe('OVERLOADED');
    expect(await sendHeartbeat(server, activeDevice)).toMatchObject({ status: 'ONLINE' });
    expect(await fetchUser(server, 'times out')).toMatchObject({ status: 'ONLINE', version: 1 });
    other.exec('ROLLBACK');
    other.close();
    await retryUntilPasses(async () => expect(await fetchEventSummaries(server, 'times out')).toHaveLength(2));
    expect((await fetchEventSummaries(server, 'times out')).at(-1)).toMatch(/HEARTBEAT_TIMEOUT/);
    await retryUntilPasses(async () => expect(codeOf(await tryLogin(server, 'refused'))).toBeNull());
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);

test('a start on a full disk exits with code 1 and a clear message, and a later start has all data', async () => {
  using disk = new DiskFaults();
  await using before = await startPorchlight({ env: disk.env });
  await logIn(before, 'alice', 'IPHONE');
  await before.sigkill();
  disk.fill();
  const { directory } = before;
  const failed = spawnPorchlight({ directory, env: disk.env });
  try {
    expect(await withTimeout(failed.exited, 15_000, failed.output)).toEqual({ code: 1, signal: null });
  } finally {
    await failed.dispose();
  }
  expect(failed.output()).toMatch(/The disk failed at .*porchlight\.db.*\nIf it is full, free some space/);
  expect(failed.output()).not.toMatch(/ready| {4}at /);
  disk.repair();
  await using after = await startPorchlight({ directory, env: disk.env });
  expect(await fetchUser(after, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
});
