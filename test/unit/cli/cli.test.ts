import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { decodeProtectedHeader, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { OPTION_NAMES } from '../../../src/config/options.ts';

const CLI = fileURLToPath(new URL('../../../dist/cli/cli.js', import.meta.url));
const SECRET = 'a secret of more than thirty-two bytes';
const key = (text: string): Uint8Array => new TextEncoder().encode(text);

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'porchlight-cli-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the compiled command line in its own directory, with only the given environment variables. */
const runPorchlight = (
  argv: readonly string[],
  env: Record<string, string> = {},
  closeStdout = false,
): Promise<CommandResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...argv], { cwd, env: { PATH: process.env.PATH, ...env } });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk) => (out += String(chunk)));
    child.stderr.on('data', (chunk) => (err += String(chunk)));
    if (closeStdout) child.stdout.destroy();
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });

describe('help and version', () => {
  test.each([
    [['--help']],
    [['-h']],
    [['serve', '--help']],
    [['token', '-h']],
    [['config', '--help']],
    [['backup', '--help']],
    [['doctor', '--help']],
    [['export', '--help']],
  ])('%j prints the help on stdout and exits with 0', async (argv) => {
    const { code, out, err } = await runPorchlight(argv);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatchSnapshot();
  });

  test('--version prints the version of package.json', async () => {
    const manifest = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
    const { version } = JSON.parse(manifest) as { version: string };
    expect(await runPorchlight(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });
});

describe('bad usage exits with 2', () => {
  test('prints the help on stderr without a command', async () => {
    const { code, out, err } = await runPorchlight([]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('Usage: porchlight <command>');
  });

  test.each([
    [['sreve'], 'Unknown command "sreve"; the closest known one is serve.'],
    [['--port', '1'], 'A command must come first'],
    [['serve', '--prot', '1'], 'Unknown option --prot; the closest known one is --port.'],
    [['serve', 'now'], "Unexpected argument 'now'"],
    [['serve', '--jwt-secret', 'hunter2'], 'There is no --jwt-secret'],
    [['backup'], 'FILE is missing'],
    [['backup', 'a', 'b'], 'Unexpected argument "b"'],
    [['token'], '--user <id> is missing'],
    [['token', '--user', ''], '--user is "": A user id is empty.'],
    [['token', '--user', 'a\nb'], 'control character'],
    [['token', '--user', 'x'.repeat(129)], 'longer than 128'],
    [['token', '--user', 'a', '--ttl', '1'], '--ttl is "1", but must be'],
    [['token', '--user', 'a', '--watch', 'b,,c'], '--watch is ""'],
    [['token', '--user', 'a', '--watch', '*,b'], 'must be the only value'],
  ])('rejects %j', async (argv, message) => {
    const { code, out, err } = await runPorchlight(argv);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain(message);
    expect(err).toContain('See porchlight --help.');
    expect(err).not.toMatch(/hunter2|\n {4}at /);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe('bad configuration exits with 78', () => {
  test.each(['serve', 'token', 'config'])(
    '%s reports all invalid values at once and creates no file',
    async (command) => {
      const env = { PORCHLIGHT_PORT: 'http', PORCHLIGHT_LOG_LEVEL: 'loud', PORCHLIGHT_PROT: '1' };
      const { code, out, err } = await runPorchlight([command, ...(command === 'token' ? ['--user', 'a'] : [])], env);
      expect([code, out]).toEqual([78, '']);
      expect(err.split('\n').filter((line) => line !== '')).toEqual([
        'porchlight: warning: PORCHLIGHT_PROT is unknown and has no effect; the closest known name is PORCHLIGHT_PORT.',
        'porchlight: Bad configuration:',
        '  PORCHLIGHT_PORT is "http", but must be a whole number from 0 to 65535.',
        '  PORCHLIGHT_LOG_LEVEL is "loud", but must be one of trace, debug, info, warn, error, fatal, silent.',
      ]);
      expect(readdirSync(cwd)).toEqual([]);
    },
  );

  test('prints a stack only at the log level debug or trace', async () => {
    const env = { PORCHLIGHT_PORT: 'http', PORCHLIGHT_LOG_LEVEL: 'debug' };
    expect((await runPorchlight(['config'], env)).err).toMatch(/\n {4}at /);
  });
});

describe('token', () => {
  test('prints only a JWT, signed with the generated secret, that jose verifies', async () => {
    const { code, out, err } = await runPorchlight(['token', '--user', 'alice']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const jwt = out.trim();
    const secret = readFileSync(join(cwd, 'data/jwt-secret'), 'utf8');
    const { payload } = await jwtVerify(jwt, key(secret), { algorithms: ['HS256'] });
    expect(decodeProtectedHeader(jwt).alg).toBe('HS256');
    expect(Object.keys(payload).sort()).toEqual(['exp', 'iat', 'sub']);
    expect(payload.sub).toBe('alice');
    expect(Number(payload.exp) - Number(payload.iat)).toBe(3_600);
    expect(Math.abs(Number(payload.iat) - Date.now() / 1_000)).toBeLessThan(60);
    expect(existsSync(join(cwd, 'data/api-key'))).toBe(false);
  });

  test('sets the claims of ttl, watch, issuer and audience', async () => {
    const { out } = await runPorchlight(
      ['token', '--user', ' Zoë ', '--ttl', '1500ms', '--watch', 'bob,carol', '--watch', 'dave', '--jwt-issuer', 'app'],
      { PORCHLIGHT_JWT_SECRET: SECRET, PORCHLIGHT_JWT_AUDIENCE: 'presence' },
    );
    const expected = { issuer: 'app', audience: 'presence', subject: ' Zoë ' };
    const { payload } = await jwtVerify(out.trim(), key(SECRET), { ...expected, clockTolerance: 60 });
    expect(payload.watch).toEqual(['bob', 'carol', 'dave']);
    expect(Number(payload.exp) - Number(payload.iat)).toBe(2);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test.each([
    ['*', '*'],
    ['', []],
  ])('--watch %j becomes the claim %j', async (text, claim) => {
    const argv = ['token', '--user', 'a', '--watch', text];
    const { out } = await runPorchlight(argv, { PORCHLIGHT_JWT_SECRET: SECRET });
    expect((await jwtVerify(out.trim(), key(SECRET))).payload.watch).toEqual(claim);
  });

  test('exits with 78 when only a JWKS is configured', async () => {
    const env = { PORCHLIGHT_JWKS_URL: 'https://id.example/keys' };
    const { code, out, err } = await runPorchlight(['token', '--user', 'a'], env);
    expect([code, out]).toEqual([78, '']);
    expect(err).toContain('Only a JWKS is configured (https://id.example/keys)');
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('concurrent commands in a new directory sign with the same secret', async () => {
    const both = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((user) => runPorchlight(['token', '--user', user])));
    const secret = key(readFileSync(join(cwd, 'data/jwt-secret'), 'utf8'));
    const subjects = both.map(async ({ out }) => (await jwtVerify(out.trim(), secret)).payload.sub);
    expect(await Promise.all(subjects)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('warns on stderr about a secret file that other users can read', async () => {
    await runPorchlight(['token', '--user', 'a']);
    chmodSync(join(cwd, 'data/jwt-secret'), 0o644);
    const { code, err } = await runPorchlight(['token', '--user', 'a']);
    expect(code).toBe(0);
    expect(err).toMatch(/^porchlight: warning: data\/jwt-secret can be read by other users/);
  });
});

describe('config', () => {
  test('prints every option with its value and origin in columns, and creates no file', async () => {
    const env = {
      PORCHLIGHT_API_KEYS: 'key-number-one-of-32-characters-1,key-number-two-of-32-characters-2',
      PORT: '5000',
    };
    const { code, out, err } = await runPorchlight(['config', '--host', '::1'], env);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatchSnapshot();
    expect(out).not.toContain('key-number');
    expect(readdirSync(cwd)).toEqual([]);
  });

  test('--json prints every option with its value and origin as JSON', async () => {
    const { out } = await runPorchlight(['config', '--json', '--no-graphiql'], { PORCHLIGHT_JWT_SECRET: SECRET });
    const options = JSON.parse(out) as Record<string, unknown>;
    expect(options).toMatchObject({
      port: { value: 4000, origin: 'default', from: null },
      graphiql: { value: false, origin: 'flag', from: '--graphiql' },
      jwtSecret: { value: '********', origin: 'environment', from: 'PORCHLIGHT_JWT_SECRET' },
      apiKeys: { value: '********', origin: 'generated', from: 'data/api-key' },
    });
    expect(Object.keys(options)).toEqual(OPTION_NAMES);
    expect(out).not.toContain(SECRET);
  });

  test('exits with 0 when the reader closes stdout', async () => {
    expect(await runPorchlight(['config'], {}, true)).toMatchObject({ code: 0, err: '' });
  });
});
