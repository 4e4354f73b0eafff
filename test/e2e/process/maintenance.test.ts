/** The commands backup, doctor and export next to a running server, as an operator runs them. */
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

interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of the CLI. @param shell commands that run before it in the same shell. */
const runPorchlight = (argv: readonly string[], shell = ''): Promise<CommandResult> =>
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

/** Logs four users in repeatedly until it is stopped. `acknowledged` holds all acknowledged sessions. */
const startLoad = (server: PorchlightProcess) => {
  const acknowledged: { userId: string; sessionId: string }[] = [];
  let isStopped = false;
  const loops = Array.from({ length: 4 }, async () => {
    const userId = newUserId('busy');
    for (let round = 0; !isStopped; round++) {
      const { sessionId } = await logIn(server, userId, round % 2 === 0 ? 'IPHONE' : 'WEB');
      acknowledged.push({ userId, sessionId });
    }
  });
  return {
    acknowledged,
    waitForLogins: async (count: number): Promise<void> =>
      expect.poll(() => acknowledged.length, { timeout: 20_000 }).toBeGreaterThanOrEqual(count),
    stop: async (): Promise<void> => {
      isStopped = true;
      await Promise.all(loops);
    },
  };
};

interface BackupResult {
  readonly bytes: number;
  readonly events: number;
  readonly cursor: string;
}

const EVENTS = `query ($after: Cursor) { events(first: 500, after: $after) {
  nodes { cursor changeId userId sessionId platform deviceId reason sessionStatus previousStatus status version
    kickedBy customStatus ipAddress occurredAt }
  pageInfo { hasNextPage endCursor } } }`;

const fetchAllEvents = async (server: PorchlightProcess): Promise<readonly { cursor: string; sessionId: string }[]> => {
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
  test('of a server under load is consistent, and a server that is started on it has all earlier changes', async () => {
    const backups = join(directory, 'backup.db');
    let before: readonly { sessionId: string }[];
    {
      await using server = await startPorchlight({ directory });
      const load = startLoad(server);
      await load.waitForLogins(40);
      before = [...load.acknowledged];
      const done = await runPorchlight(['backup', backups, '--json']);
      expect(done).toMatchObject({ code: 0, err: '' });
      const saved = JSON.parse(done.out) as BackupResult;
      expect(saved.bytes).toBe(statSync(backups).size);
      expect(statSync(backups).mode & 0o777).toBe(0o600);
      expect(readdirSync(directory).filter((name) => name.startsWith('backup'))).toEqual(['backup.db']);
      // The backup contains exactly the events up to its cursor.
      const copy = new Database(backups, { readonly: true });
      expect(copy.prepare('SELECT count(*) AS events, max(seq) AS last FROM events').get()).toEqual({
        events: saved.events,
        last: Number(saved.cursor.split('.').at(-1)),
      });
      copy.close();
      // The database of the running server is healthy too.
      expect(await runPorchlight(['doctor'])).toMatchObject({ code: 0 });
      await load.stop();
      await server.stop();
    }
    expect(await runPorchlight(['doctor', backups])).toMatchObject({ code: 0 });

    const restored = mkdtempSync(join(directory, 'restored-'));
    copyFileSync(backups, join(restored, 'porchlight.db'));
    await using server = await startPorchlight({ directory: restored });
    const sessions = new Set((await fetchAllEvents(server)).map(({ sessionId }) => sessionId));
    expect(before.filter(({ sessionId }) => !sessions.has(sessionId))).toEqual([]);
    const alice = newUserId();
    await logIn(server, alice, 'WEB');
    expect(await fetchUser(server, alice)).toMatchObject({ status: 'ONLINE' });
    await server.stop();
  });

  test('replaces an existing file only with --force, and never a partial file of another backup', async () => {
    await using server = await startPorchlight({ directory });
    const file = join(directory, 'there.db');
    writeFileSync(file, 'something else');
    expect(await runPorchlight(['backup', file])).toMatchObject({
      code: 1,
      err: expect.stringContaining('already exists') as string,
    });
    expect(readFileSync(file, 'utf8')).toBe('something else');
    writeFileSync(`${file}.partial`, 'half');
    expect(await runPorchlight(['backup', file, '--force'])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Saved .*there\.db: \d+ bytes\n {2}users: {4}0 ONLINE/) as string,
    });
    rmSync(file);
    writeFileSync(`${file}.partial`, 'half');
    expect(await runPorchlight(['backup', file])).toMatchObject({ code: 1 });
    expect(readFileSync(`${file}.partial`, 'utf8')).toBe('half');
    await server.stop();
  });

  test('without free disk space leaves no partial file and keeps the existing file', async () => {
    await using server = await startPorchlight({ directory });
    const load = startLoad(server);
    await load.waitForLogins(60);
    await load.stop();
    const file = join(directory, 'there.db');
    writeFileSync(file, 'the one from yesterday');
    // The limit of 16 KiB per file acts like a full disk.
    const full = await runPorchlight(['backup', file, '--force'], 'trap "" XFSZ; ulimit -f 32;');
    expect(full).toMatchObject({ code: 1, out: '', err: expect.stringContaining('cannot be written') as string });
    expect(full.err).not.toMatch(/\n {4}at /);
    expect(readFileSync(file, 'utf8')).toBe('the one from yesterday');
    expect(readdirSync(directory).filter((name) => name.startsWith('there'))).toEqual(['there.db']);
    await server.stop();
  });

  test('fails without a database and does not create one, like doctor and export', async () => {
    expect(await runPorchlight(['backup', 'b.db'])).toMatchObject({
      code: 78,
      err: expect.stringContaining('no database to read') as string,
    });
    expect(await runPorchlight(['doctor'])).toMatchObject({ code: 78, out: '' });
    expect(await runPorchlight(['export'])).toMatchObject({ code: 78, out: '' });
    expect(await runPorchlight(['backup'])).toMatchObject({ code: 2 });
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('doctor', () => {
  test('reports problems as text, as JSON and by its exit code', async () => {
    {
      await using server = await startPorchlight({ directory });
      await logIn(server, newUserId('al\u202eice'), 'WEB');
      await server.stop();
    }
    const healthy = await runPorchlight(['doctor']);
    expect(healthy).toMatchObject({ code: 0, err: '' });
    expect(healthy.out).toContain(': healthy\n');
    expect(healthy.out).toContain('users:    1 ONLINE, 0 PUSH_ONLINE, 0 OFFLINE');

    const database = new Database(join(directory, 'porchlight.db'));
    database.exec("UPDATE users SET status = 'PUSH_ONLINE'");
    database.close();
    const damaged = await runPorchlight(['doctor', '--quick']);
    expect(damaged.code).toBe(1);
    expect(damaged.out).toContain('NOT healthy');
    expect(damaged.out).toMatch(/^error sessions-and-user \(1\): .*\n {4}"al\\u\{202e\}ice-\d+": status PUSH_ONLINE/m);
    const json = await runPorchlight(['doctor', '--json']);
    expect([json.code, JSON.parse(json.out)]).toMatchObject([
      1,
      { healthy: false, findings: [{ id: 'log-and-user' }, { id: 'sessions-and-user', count: 1 }] },
    ]);
  });
});

describe('export', () => {
  test('writes the same events as the API, of all users or one, and resumes after a cursor', async () => {
    await using server = await startPorchlight({ directory });
    const [alice, bob] = [newUserId('alice'), newUserId('bob')];
    await logIn(server, alice, 'IPHONE');
    await logIn(server, alice, 'WEB');
    await logOut(server, await logIn(server, bob, 'MAC'));
    const all = await fetchAllEvents(server);

    const first = await runPorchlight(['export', '--json']);
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
    const next = await runPorchlight(['export', file, '--after', cursor, '--progress']);
    expect(next).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringMatching(/^Exported 2 events, through /m) as string,
    });
    expect(lines(readFileSync(file, 'utf8'))).toEqual((await fetchAllEvents(server)).slice(all.length));
    expect(statSync(file).mode & 0o777).toBe(0o600);

    const exportOfBob = await runPorchlight(['export', '-', '--user', bob]);
    expect(lines(exportOfBob.out)).toEqual(
      all.filter((event) => (event as unknown as { userId: string }).userId === bob),
    );
    expect(await runPorchlight(['export', file])).toMatchObject({ code: 1 });
    await server.stop();
  });

  test('rejects an invalid or expired cursor with a clear message', async () => {
    const env = { PORCHLIGHT_EVENT_RETENTION: '1s' };
    await using server = await startPorchlight({ directory, env });
    const { latestCursor } = await postForData<{ latestCursor: string }>(server, server.apiKey, '{ latestCursor }');
    await logIn(server, newUserId(), 'WEB');
    expect(await runPorchlight(['export', 'x.jsonl', '--after', 'nonsense'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('not made by this event log') as string,
    });
    const expired = (): Promise<CommandResult> =>
      runPorchlight(['export', 'x.jsonl', '--force', '--after', latestCursor]);
    await expect.poll(async () => (await expired()).err, { timeout: 20_000 }).toContain('CURSOR_EXPIRED');
    expect(await expired()).toMatchObject({ code: 1 });
    await server.stop();
  });

  test('exits with 0 when its output is closed early', async () => {
    await using server = await startPorchlight({ directory });
    const load = startLoad(server);
    await load.waitForLogins(400);
    await load.stop();
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
