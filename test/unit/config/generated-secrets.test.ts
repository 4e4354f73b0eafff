import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../../src/config/config.ts';
import { hashApiKey } from '../../../src/config/value-types.ts';
import { loadOrCreateSecrets, loadOrCreateSigningSecret } from '../../../src/config/generated-secrets.ts';
import { StartupError } from '../../../src/process/startup-error.ts';

let root: string;
let data: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'porchlight-secrets-'));
  data = join(root, 'deep', 'data');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const config = (env: Record<string, string> = {}): Config =>
  loadConfig({
    env: { PORCHLIGHT_DATABASE: join(data, 'p.db'), ...env },
    readFile: (path) => readFileSync(path, 'utf8'),
  }).config;

const text = (name: string): string => readFileSync(join(data, name), 'utf8');
const mode = (name: string): number => statSync(join(data, name)).mode & 0o777;
const secretOf = (from: Config): string | undefined => from.jwtSecret?.export().toString('utf8');

test('creates both secrets once, in files and a directory that only the owner can read', async () => {
  const { config: first, warnings } = await loadOrCreateSecrets(config());
  expect(warnings).toEqual([]);
  expect(text('jwt-secret')).toMatch(/^[\w-]{43}$/);
  expect(text('api-key')).toMatch(/^plk_[\w-]{43}$/);
  expect([mode('jwt-secret'), mode('api-key'), mode('.')]).toEqual([0o600, 0o600, 0o700]);
  expect(secretOf(first)).toBe(text('jwt-secret'));
  expect(first.apiKeys).toEqual([hashApiKey(text('api-key'))]);
  expect(readdirSync(data).sort()).toEqual(['api-key', 'jwt-secret']);

  const { config: second } = await loadOrCreateSecrets(config());
  expect(secretOf(second)).toBe(secretOf(first));
  expect(second.apiKeys).toEqual(first.apiKeys);
});

test('creates the directory but no secret when all secrets are configured', async () => {
  const env = { PORCHLIGHT_JWKS_URL: 'https://id.example/keys', PORCHLIGHT_API_KEYS: 'k'.repeat(20) };
  const configured = config(env);
  expect((await loadOrCreateSecrets(configured)).config).toEqual(configured);
  expect(readdirSync(data)).toEqual([]);
});

test('creates only the signing secret when only that is requested', async () => {
  await loadOrCreateSigningSecret(config());
  expect(readdirSync(data)).toEqual(['jwt-secret']);
});

test('40 concurrent starts use the same secrets', async () => {
  // The starts are staggered, so that some read while others write.
  const starts = Array.from({ length: 40 }, async (_, index) => {
    await setTimeout(index / 4);
    return await loadOrCreateSecrets(config());
  });
  const all = await Promise.all(starts);
  expect(new Set(all.map((each) => secretOf(each.config)))).toEqual(new Set([text('jwt-secret')]));
  expect(new Set(all.map((each) => each.config.apiKeys[0]?.toString('hex'))).size).toBe(1);
  expect(readdirSync(data).sort()).toEqual(['api-key', 'jwt-secret']);
});

test('uses a secret file that other users can read, with a warning', async () => {
  await loadOrCreateSecrets(config());
  chmodSync(join(data, 'api-key'), 0o640);
  const { warnings } = await loadOrCreateSecrets(config());
  expect(warnings).toEqual([expect.stringContaining(`${join(data, 'api-key')} can be read by other users`)]);
  expect(warnings.join()).not.toContain(text('api-key'));
});

test('uses an existing secret file without its line break', async () => {
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'jwt-secret'), `${'s'.repeat(40)}\n`, { mode: 0o600 });
  expect(secretOf((await loadOrCreateSigningSecret(config())).config)).toBe('s'.repeat(40));
});

test('rejects an empty secret file and does not change it', async () => {
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'jwt-secret'), '', { mode: 0o600 });
  const failure = await loadOrCreateSecrets(config()).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StartupError);
  expect(failure).toMatchObject({ exitCode: 78, message: expect.stringContaining('is empty') as string });
  expect(text('jwt-secret')).toBe('');
});

test('reports the path of a directory that cannot be created, with exit code 78', async () => {
  writeFileSync(join(root, 'deep'), 'a file instead of a directory');
  const failure = await loadOrCreateSecrets(config()).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(StartupError);
  expect(failure).toMatchObject({ exitCode: 78, message: expect.stringContaining(data) as string });
});
