/** backup, doctor and export beside a server that is at work, as an operator runs them. */
import Database from 'better-sqlite3';
import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { postForData } from '../../support/porchlight-client.ts';
import { startPorchlight, type PorchlightProcess } from '../../support/porchlight-process.ts';
import { logIn, logOut, newUserId, fetchUser } from '../support/users.ts';

const CLI = fileURLToPath(new URL('../../../dist/cli/cli.js', import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-maintenance-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** @param shell runs before it in the same shell. */
const porchlight = (argv: readonly string[], shell = ''): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const command = `${shell} exec "$0" "$@"`;
    const child = spawn('/bin/sh', ['-c', command, process.execPath, CLI, ...argv], {
      cwd: directory,
      env: { PATH: process.env.PATH, PORCHLIGHT_DATABASE: join(directory, 'porchlight.db') },
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += String(chunk)));
    child.stderr.on('data', (chunk) => (err += String(chunk)));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });

/** Users log in, and in again elsewhere, until it is stopped. @returns the sessions acknowledged, by then and later. */
const load = (server: PorchlightProcess) => {
  const acknowledged: { userId: string; sessionId: string }[] = [];
  let over = false;
  const busy = Array.from({ length: 4 }, async () => {
    const userId = newUserId('busy');
    for (let round = 0; !over; round++) {
      const { sessionId } = await logIn(server, userId, round % 2 === 0 ? 'IPHONE' : 'WEB');
      acknowledged.push({ userId, sessionId });
    }
  });
  return {
    acknowledged,
    reaches: async (count: number): Promise<void> =>
      expect.poll(() => acknowledged.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(count),
    stop: async (): Promise<void> => {
      over = true;
      await Promise.all(busy);
    },
  };
};

interface Saved {
  readonly bytes: number;
  readonly events: number;
  readonly cursor: string;
}

const EVENTS = `query ($after: Cursor) { events(first: 500, after: $after) {
  nodes { cursor changeId userId sessionId platform deviceId reason sessionStatus previousStatus status version
    kickedBy customStatus ipAddress occurredAt }
  pageInfo { hasNextPage endCursor } } }`;

const eventsOf = async (server: PorchlightProcess): Promise<readonly { cursor: string; sessionId: string }[]> => {
  const all: { cursor: string; sessionId: string }[] = [];
  for (let after: string | null = null; ;) {
    const { events }: { events: { nodes: typeof all; pageInfo: { hasNextPage: boolean; endCursor: string } } } =
      await postForData(server, server.apiKey, EVENTS, { after });
    all.push(...events.nodes);
    if (!events.pageInfo.hasNextPage) return all;
    after = events.pageInfo.endCursor;
  }
};

describe('backup', () => {
  test('of a server under load is whole, and a server that is started on it lacks nothing from before', async () => {
    const backups = join(directory, 'backup.db');
    let before: readonly { sessionId: string }[];
    {
      await using server = await startPorchlight({ directory });
      const busy = load(server);
      await busy.reaches(40);
      before = [...busy.acknowledged];
      const done = await porchlight(['backup', backups, '--json']);
      expect(done).toMatchObject({ code: 0, err: '' });
      const saved = JSON.parse(done.out) as Saved;
      expect(saved.bytes).toBe(statSync(backups).size);
      expect(statSync(backups).mode & 0o777).toBe(0o600);
      expect(readdirSync(directory).filter((name) => name.startsWith('backup'))).toEqual(['backup.db']);
      // It is an instant of the log, not a mixture of two.
      const copy = new Database(backups, { readonly: true });
      expect(copy.prepare('SELECT count(*) AS events, max(seq) AS last FROM events').get()).toEqual({
        events: saved.events,
        last: Number(saved.cursor.split('.').at(-1)),
      });
      copy.close();
      // While the server goes on, the database itself is found healthy too.
      expect(await porchlight(['doctor'])).toMatchObject({ code: 0 });
      await busy.stop();
      await server.stop();
    }
    expect(await porchlight(['doctor', backups])).toMatchObject({ code: 0 });

    const restored = mkdtempSync(join(directory, 'restored-'));
    copyFileSync(backups, join(restored, 'porchlight.db'));
    await using server = await startPorchlight({ directory: restored });
    const sessions = new Set((await eventsOf(server)).map(({ sessionId }) => sessionId));
    expect(before.filter(({ sessionId }) => !sessions.has(sessionId))).toEqual([]);
    const alice = newUserId();
    await logIn(server, alice, 'WEB');
    expect(await fetchUser(server, alice)).toMatchObject({ status: 'ONLINE' });
    await server.stop();
  });

  test('takes the place of nothing that is there, unless it is told to', async () => {
    await using server = await startPorchlight({ directory });
    const file = join(directory, 'there.db');
    writeFileSync(file, 'something else');
    expect(await porchlight(['backup', file])).toMatchObject({
      code: 1,
      err: expect.stringContaining('exists already') as string,
    });
    expect(readFileSync(file, 'utf8')).toBe('something else');
    writeFileSync(`${file}.partial`, 'half');
    expect(await porchlight(['backup', file, '--force'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Saved .*there\.db: \d+ bytes\n {2}users: {4}0 ONLINE/) as string,
    });
    rmSync(file);
    writeFileSync(`${file}.partial`, 'half');
    expect(await porchlight(['backup', file])).toMatchObject({ code: 1 });
    expect(readFileSync(`${file}.partial`, 'utf8')).toBe('half');
    await server.stop();
  });

  test('that finds no room leaves nothing behind, and what was there as it was', async () => {
    await using server = await startPorchlight({ directory });
    const busy = load(server);
    await busy.reaches(60);
    await busy.stop();
    const file = join(directory, 'there.db');
    writeFileSync(file, 'the one from yesterday');
    // No file may have more than 16 KiB: what a full disk is to a program.
    const full = await porchlight(['backup', file, '--force'], 'trap "" XFSZ; ulimit -f 32;');
    expect(full).toMatchObject({ code: 1, out: '', err: expect.stringContaining('could not be written') as string });
    expect(full.err).not.toMatch(/\n {4}at /);
    expect(readFileSync(file, 'utf8')).toBe('the one from yesterday');
    expect(readdirSync(directory).filter((name) => name.startsWith('there'))).toEqual(['there.db']);
    await server.stop();
  });

  test('makes no database where there is none', async () => {
    expect(await porchlight(['backup', 'b.db'])).toMatchObject({
      code: 78,
      err: expect.stringContaining('there is no database to read') as string,
    });
    expect(await porchlight(['doctor'])).toMatchObject({ code: 78, out: '' });
    expect(await porchlight(['export'])).toMatchObject({ code: 78, out: '' });
    expect(await porchlight(['backup'])).toMatchObject({ code: 2 });
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('doctor', () => {
  test('tells people and programs what it found, and with its exit code that it found something', async () => {
    {
      await using server = await startPorchlight({ directory });
      await logIn(server, newUserId('al\u202eice'), 'WEB');
      await server.stop();
    }
    const healthy = await porchlight(['doctor']);
    expect(healthy).toMatchObject({ code: 0, err: '' });
    expect(healthy.out).toContain(': healthy\n');
    expect(healthy.out).toContain('users:    1 ONLINE, 0 PUSH_ONLINE, 0 OFFLINE');

    const database = new Database(join(directory, 'porchlight.db'));
    database.exec("UPDATE users SET status = 'PUSH_ONLINE'");
    database.close();
    const ill = await porchlight(['doctor', '--quick']);
    expect(ill.code).toBe(1);
    expect(ill.out).toContain('NOT healthy');
    expect(ill.out).toMatch(/^error sessions-and-user \(1\): .*\n {4}"al\\u\{202e\}ice-\d+": status PUSH_ONLINE/m);
    const json = await porchlight(['doctor', '--json']);
    expect([json.code, JSON.parse(json.out)]).toMatchObject([
      1,
      { healthy: false, findings: [{ id: 'log-and-user' }, { id: 'sessions-and-user', count: 1 }] },
    ]);
  });
});

describe('export', () => {
  test('writes what the API tells, all or one user’s, and goes on where it ended', async () => {
    await using server = await startPorchlight({ directory });
    const [alice, bob] = [newUserId('alice'), newUserId('bob')];
    await logIn(server, alice, 'IPHONE');
    await logIn(server, alice, 'WEB');
    await logOut(server, await logIn(server, bob, 'MAC'));
    const all = await eventsOf(server);

    const first = await porchlight(['export', '--json']);
    expect(first.code).toBe(0);
    const lines = (text: string): unknown[] =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as unknown);
    expect(lines(first.out)).toEqual(all);
    const { events, cursor } = JSON.parse(first.err) as { events: number; cursor: string };
    expect([events, cursor]).toEqual([all.length, all.at(-1)?.cursor]);

    await logIn(server, alice, 'MAC');
    const file = join(directory, 'events.jsonl');
    const next = await porchlight(['export', file, '--after', cursor, '--progress']);
    expect(next).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringMatching(/^Exported 2 events, through /m) as string,
    });
    expect(lines(readFileSync(file, 'utf8'))).toEqual((await eventsOf(server)).slice(all.length));
    expect(statSync(file).mode & 0o777).toBe(0o600);

    const bobs = await porchlight(['export', '-', '--user', bob]);
    expect(lines(bobs.out)).toEqual(all.filter((event) => (event as unknown as { userId: string }).userId === bob));
    expect(await porchlight(['export', file])).toMatchObject({ code: 1 });
    await server.stop();
  });

  test('refuses a cursor that does not do, and says which', async () => {
    const env = { PORCHLIGHT_EVENT_RETENTION: '1s' };
    await using server = await startPorchlight({ directory, env });
    const { latestCursor } = await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }');
    await logIn(server, newUserId(), 'WEB');
    expect(await porchlight(['export', 'x.jsonl', '--after', 'nonsense'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('not made by this event log') as string,
    });
    const expired = (): Promise<Ended> => porchlight(['export', 'x.jsonl', '--force', '--after', latestCursor]);
    await expect.poll(async () => (await expired()).err, { timeout: 20_000 }).toContain('CURSOR_EXPIRED');
    expect(await expired()).toMatchObject({ code: 1 });
    await server.stop();
  });

  test('that nobody reads to its end is no fault', async () => {
    await using server = await startPorchlight({ directory });
    const busy = load(server);
    await busy.reaches(400);
    await busy.stop();
    const child = spawn(process.execPath, [CLI, 'export'], {
      cwd: directory,
      env: { PATH: process.env.PATH, PORCHLIGHT_DATABASE: join(directory, 'porchlight.db') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let err = '';
    child.stderr.on('data', (chunk) => (err += String(chunk)));
    const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
    for await (const line of createInterface({ input: child.stdout })) {
      expect(line).toContain('LOGIN');
      break;
    }
    child.stdout.destroy();
    expect([await closed, err]).toEqual([0, '']);
    await server.stop();
  });
});
