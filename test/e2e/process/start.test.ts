/** The first start with defaults, and starts that must fail. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startPorchlightCommand, type RunningCommand, STACK_TRACE } from '../../support/crash/cli-process.ts';
import { postForData, postOperation } from '../../support/porchlight-client.ts';
import { spawnPorchlight, startPorchlight, withTimeout } from '../../support/porchlight-process.ts';
import { logIn, LOGIN, type LoginResult, fetchUser } from '../support/users.ts';

let directory: string;
const running: RunningCommand[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-start-'));
});
afterEach(async () => {
  for (const { kill, result } of running.splice(0)) {
    kill('SIGKILL');
    await result;
  }
  rmSync(directory, { recursive: true, force: true });
});

/** Runs `porchlight` in the temporary directory. It is killed after the test. */
const run = (argv: readonly string[], env: Readonly<Record<string, string>> = {}): RunningCommand => {
  const started = startPorchlightCommand(argv, directory, env);
  running.push(started);
  return started;
};

const fileMode = (path: string): string => (statSync(join(directory, path)).mode & 0o777).toString(8);

describe('the first start in an empty directory without configuration', () => {
  test('creates files that only the owner can read, prints the next steps and prints no secret', async () => {
    // The default port may be in use on the test machine.
    const server = run(['serve'], { PORCHLIGHT_PORT: '0' });
    const [, url = '', origin = ''] = await server.waitForOutput(/((http:\/\/[\w.]+:\d+)\/graphql) \(GraphiQL/);
    await server.waitForOutput(/porchlight token --user alice/);
    expect(readdirSync(directory)).toEqual(['data']);
    const files = readdirSync(join(directory, 'data'));
    expect(files).toEqual(expect.arrayContaining(['porchlight.db', 'jwt-secret', 'api-key']));
    expect(fileMode('data')).toBe('700');
    for (const file of files) expect(fileMode(join('data', file)), file).toBe('600');
    const page = await fetch(url, { headers: { accept: 'text/html' } });
    expect([page.status, page.headers.get('content-type')]).toEqual([200, expect.stringContaining('text/html')]);

    const token = (await run(['token', '--user', 'alice']).result).out.trim();
    const { login } = await postForData<LoginResult>({ origin }, token, LOGIN, { input: { platform: 'WEB' } });
    const secret = readFileSync(join(directory, 'data/jwt-secret'), 'utf8').trim();
    const apiKey = readFileSync(join(directory, 'data/api-key'), 'utf8').trim();
    expect(await fetchUser({ origin, apiKey }, 'alice')).toMatchObject({ status: 'ONLINE' });
    server.kill('SIGTERM');
    const { code, out, err } = await server.result;
    expect(code).toBe(0);
    for (const word of [secret, apiKey, token, login.sessionToken]) expect(out + err).not.toContain(word);
    expect(Buffer.byteLength(secret)).toBeGreaterThanOrEqual(32);
    expect(apiKey.length).toBeGreaterThanOrEqual(32);

    // A second start uses the same secrets, so that tokens stay valid.
    const secondRun = run(['serve'], { PORCHLIGHT_PORT: '0' });
    const [, next = ''] = await secondRun.waitForOutput(/(http:\/\/[\w.]+:\d+)\/graphql/);
    expect(await fetchUser({ origin: next, apiKey }, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
    expect((await postOperation({ origin: next }, login.sessionToken, '{ me { id } }')).errors).toBeUndefined();
  });

  test('listens on 127.0.0.1:4000 and keeps its data in ./data', async () => {
    const { out } = await run(['config', '--json']).result;
    const settings = JSON.parse(out) as Record<string, { value: unknown; origin: string }>;
    expect(settings['host']?.value).toBe('127.0.0.1');
    expect(settings['port']?.value).toBe(4_000);
    expect(settings['database']?.value).toBe('./data/porchlight.db');
  });
});

describe('a start that must fail', () => {
  test('exits with 1 and names the port when the port is in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', () => resolve()));
    try {
      const { port } = other.address() as AddressInfo;
      const { code, out, err } = await run(['serve', '--port', String(port)]).result;
      expect([code, out]).toEqual([1, '']);
      expect(err).toContain(`127.0.0.1:${port} is in use`);
      // The port is checked before a database is read or created.
      expect(readdirSync(join(directory, 'data'))).not.toContain('porchlight.db');
      expect(err).not.toMatch(STACK_TRACE);
    } finally {
      other.close();
    }
  });

  test('exits with 1 or 78 and names the address when the host is not an address of this machine', async () => {
    const { code, err } = await run(['serve', '--port', '0', '--host', '192.0.2.1']).result;
    expect([1, 78]).toContain(code);
    expect(err).toContain('192.0.2.1');
    expect(err).not.toMatch(STACK_TRACE);
  });

  test('exits with 1 or 78 on the database of a running server, which keeps serving', async () => {
    await using first = await startPorchlight({ directory });
    await logIn(first, 'alice', 'WEB');
    const second = spawnPorchlight({ directory });
    const { code } = await withTimeout(
      second.exited,
      10_000,
      () => `The server started. Its output: ${second.output()}`,
    );
    expect([1, 78]).toContain(code);
    expect(second.output()).toMatch(/porchlight\.db is served by another Porchlight/);
    expect(second.output()).not.toMatch(STACK_TRACE);
    expect(await fetchUser(first, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
    await logIn(first, 'bob', 'WEB');
    // Other paths of the same file are recognised.
    symlinkSync(join(directory, 'porchlight.db'), join(directory, 'other.db'));
    for (const name of ['./porchlight.db', 'other.db']) {
      const third = spawnPorchlight({ directory, env: { PORCHLIGHT_DATABASE: `${directory}/${name}` } });
      const { code: exitCode } = await withTimeout(
        third.exited,
        10_000,
        () => `The server started. Its output: ${third.output()}`,
      ).finally(() => third.child.kill('SIGKILL'));
      expect([1, 78], name).toContain(exitCode);
    }
    expect(await first.stop()).toEqual({ code: 0, signal: null });
  });

  test.each([
    [{ PORCHLIGHT_PORT: '65536' }, /PORCHLIGHT_PORT is "65536", but must be a whole number from 0 to 65535/],
    [{ PORT: 'x' }, /PORT is "x", but must be a whole number/],
    [{ PORCHLIGHT_VISIBILITY: 'friends' }, /PORCHLIGHT_VISIBILITY is "friends", but must be one of everyone, none/],
    [{ PORCHLIGHT_EVENT_RETENTION: '30' }, /PORCHLIGHT_EVENT_RETENTION is "30", but must be .*such as 90s or 7d/],
    [{ PORCHLIGHT_JWKS_URL: 'keys' }, /PORCHLIGHT_JWKS_URL is "keys", but must be/],
    [{ PORCHLIGHT_MULTI_DEVICE: 'custom' }, /PORCHLIGHT_MULTI_DEVICE is "custom", but PORCHLIGHT_MULTI_DEVICE_GROUPS/],
    [
      { PORCHLIGHT_PUSH_ONLINE_EXPIRY: '999ms' },
      /PORCHLIGHT_PUSH_ONLINE_EXPIRY.*1000|PORCHLIGHT_PUSH_ONLINE_EXPIRY.*1s/,
    ],
    [
      { PORCHLIGHT_PLATFORMS: '[{"platform":"WEB","heartbeatTimeoutMs":20000}]' },
      /PORCHLIGHT_PLATFORMS.*heartbeatIntervalMs/,
    ],
    [{ PORCHLIGHT_PLATFORMS: '[{"platform":"TV"}]' }, /PORCHLIGHT_PLATFORMS is .*platform/],
    [
      { PORCHLIGHT_JWT_SECRET_FILE: '/nowhere/secret' },
      /PORCHLIGHT_JWT_SECRET_FILE is "\/nowhere\/secret", but must be/,
    ],
  ])(
    'exits with 78 and names the option, its value and the allowed values for the configuration %j',
    async (env, pattern) => {
      const { code, out, err } = await run(['serve'], env).result;
      expect([code, out]).toEqual([78, '']);
      expect(err).toMatch(pattern);
      expect(err).not.toMatch(STACK_TRACE);
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  test.each([[['serve', '--nonsense']], [['serve', '--port']], [['sevre']], [['token']], [[]]])(
    'exits with 2 for the invalid arguments %j',
    async (argv) => {
      const { code, out, err } = await run(argv).result;
      expect([code, out]).toEqual([2, '']);
      expect(err).toMatch(/porchlight/);
      expect(err).not.toMatch(STACK_TRACE);
    },
  );
});

test('--version prints the package version, and config prints no secret', async () => {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  expect((await run(['--version']).result).out).toBe(`${(JSON.parse(manifest) as { version: string }).version}\n`);
  const env = {
    PORCHLIGHT_JWT_SECRET: 'the secret that config must not print',
    PORCHLIGHT_API_KEYS: 'the-first-key-of-all-the-backends,the-second-key-of-all-the-backends',
  };
  for (const argv of [['config'], ['config', '--json']]) {
    const { code, out, err } = await run(argv, env).result;
    expect(code).toBe(0);
    expect(out).toContain('********');
    expect(out + err).not.toMatch(/must not print|first-key|second-key/);
  }
});
