/** The first start on a fresh machine, and the starts that cannot be. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startPorchlightCommand, type RunningCommand, STACK_TRACE } from '../../support/crash/crash-command.ts';
import { postForData, postOperation } from '../../support/porchlight-client.ts';
import { spawnPorchlight, startPorchlight, withTimeout } from '../../support/porchlight-process.ts';
import { logIn, LOGIN, type LoginResult, fetchUser } from '../support/users.ts';

let directory: string;
const running: RunningCommand[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-start-'));
});
afterEach(async () => {
  for (const { kill, result: ran } of running.splice(0)) {
    kill('SIGKILL');
    await ran;
  }
  rmSync(directory, { recursive: true, force: true });
});

/** `porchlight`, in the fresh folder, and gone after the test. */
const run = (argv: readonly string[], env: Readonly<Record<string, string>> = {}): RunningCommand => {
  const started = startPorchlightCommand(argv, directory, env);
  running.push(started);
  return started;
};

const mode = (path: string): string => (statSync(join(directory, path)).mode & 0o777).toString(8);

describe('the first start in an empty folder, with no configuration', () => {
  test('makes its data for its owner alone, says what to do next, and tells no secret', async () => {
    // The port is the one thing that cannot be left to the default, in a test.
    const server = run(['serve'], { PORCHLIGHT_PORT: '0' });
    const [, url = '', origin = ''] = await server.waitForOutput(/((http:\/\/[\w.]+:\d+)\/graphql) \(GraphiQL/);
    await server.waitForOutput(/porchlight token --user alice/);
    expect(readdirSync(directory)).toEqual(['data']);
    const made = readdirSync(join(directory, 'data'));
    expect(made).toEqual(expect.arrayContaining(['porchlight.db', 'jwt-secret', 'api-key']));
    expect(mode('data')).toBe('700');
    for (const file of made) expect(mode(join('data', file)), file).toBe('600');
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

    // The same secrets the next time, or every token would be worth nothing.
    const again = run(['serve'], { PORCHLIGHT_PORT: '0' });
    const [, next = ''] = await again.waitForOutput(/(http:\/\/[\w.]+:\d+)\/graphql/);
    expect(await fetchUser({ origin: next, apiKey }, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
    expect((await postOperation({ origin: next }, login.sessionToken, '{ me { id } }')).errors).toBeUndefined();
  });

  test('listens on 127.0.0.1:4000 and keeps its data in ./data', async () => {
    const { out } = await run(['config', '--json']).result;
    const told = JSON.parse(out) as Record<string, { value: unknown; origin: string }>;
    expect(told['host']?.value).toBe('127.0.0.1');
    expect(told['port']?.value).toBe(4_000);
    expect(told['database']?.value).toBe('./data/porchlight.db');
  });
});

describe('a start that cannot be', () => {
  test('on a busy port: 1, and which port it is', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', () => resolve()));
    try {
      const { port } = other.address() as AddressInfo;
      const { code, out, err } = await run(['serve', '--port', String(port)]).result;
      expect([code, out]).toEqual([1, '']);
      expect(err).toContain(`127.0.0.1:${port} is in use`);
      // Before seconds are spent on reading the database, and before another one is made.
      expect(readdirSync(join(directory, 'data'))).not.toContain('porchlight.db');
      expect(err).not.toMatch(STACK_TRACE);
    } finally {
      other.close();
    }
  });

  test('on an address that is not this machine’s: 1 or 78, and which one', async () => {
    const { code, err } = await run(['serve', '--port', '0', '--host', '192.0.2.1']).result;
    expect([1, 78]).toContain(code);
    expect(err).toContain('192.0.2.1');
    expect(err).not.toMatch(STACK_TRACE);
  });

  test('on the database of a running server: refused, and the first is not disturbed', async () => {
    await using first = await startPorchlight({ directory });
    await logIn(first, 'alice', 'WEB');
    const second = spawnPorchlight({ directory });
    const { code } = await withTimeout(second.exited, 10_000, () => `It serves too: ${second.output()}`);
    expect([1, 78]).toContain(code);
    expect(second.output()).toMatch(/porchlight\.db is served by another Porchlight/);
    expect(second.output()).not.toMatch(STACK_TRACE);
    expect(await fetchUser(first, 'alice')).toMatchObject({ status: 'ONLINE', version: 1 });
    await logIn(first, 'bob', 'WEB');
    // The same file by another name is the same file.
    symlinkSync(join(directory, 'porchlight.db'), join(directory, 'other.db'));
    for (const name of ['./porchlight.db', 'other.db']) {
      const third = spawnPorchlight({ directory, env: { PORCHLIGHT_DATABASE: `${directory}/${name}` } });
      const { code: refused } = await withTimeout(
        third.exited,
        10_000,
        () => `It serves too: ${third.output()}`,
      ).finally(() => third.child.kill('SIGKILL'));
      expect([1, 78], name).toContain(refused);
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
  ])('with a bad configuration %j: 78, which option it is, its value, and what would be right', async (env, words) => {
    const { code, out, err } = await run(['serve'], env).result;
    expect([code, out]).toEqual([78, '']);
    expect(err).toMatch(words);
    expect(err).not.toMatch(STACK_TRACE);
    expect(readdirSync(directory)).toEqual([]);
  });

  test.each([[['serve', '--nonsense']], [['serve', '--port']], [['sevre']], [['token']], [[]]])(
    'with the wrong words %j: 2',
    async (argv) => {
      const { code, out, err } = await run(argv).result;
      expect([code, out]).toEqual([2, '']);
      expect(err).toMatch(/porchlight/);
      expect(err).not.toMatch(STACK_TRACE);
    },
  );
});

test('--version is that of the package, and config tells no secret', async () => {
  const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  expect((await run(['--version']).result).out).toBe(`${(JSON.parse(manifest) as { version: string }).version}\n`);
  const env = {
    PORCHLIGHT_JWT_SECRET: 'the secret that is not to be told, ever',
    PORCHLIGHT_API_KEYS: 'the-first-key-of-all,the-second-key-of-all',
  };
  for (const argv of [['config'], ['config', '--json']]) {
    const { code, out, err } = await run(argv, env).result;
    expect(code).toBe(0);
    expect(out).toContain('********');
    expect(out + err).not.toMatch(/not to be told|first-key|second-key/);
  }
});
