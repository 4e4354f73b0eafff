import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Config, loadConfig } from '../../../src/config/config.ts';
import { isExistingFile, readSecretFile } from '../../../src/config/secret-file.ts';
import { hashApiKey } from '../../../src/config/secret-value-types.ts';
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
  loadConfig({ env: { PORCHLIGHT_DATABASE: join(data, 'p.db'), ...env }, readSecretFile, isExistingFile }).config;

const text = (name: string): string => readFileSync(join(data, name), 'utf8');
const mode = (name: string): number => statSync(join(data, name)).mode & 0o777;
const secretOf = (from: Config): string | undefined => from.jwtSecret?.export().toString('utf8');

test('creates both secrets once, in files and a directory that only the owner can read', () => {
  const { config: first, warnings } = loadOrCreateSecrets(config());
  expect(warnings).toEqual([]);
  expect(text('jwt-secret')).toMatch(/^[\w-]{43}$/);
  expect(text('api-key')).toMatch(/^plk_[\w-]{43}$/);
  expect([mode('jwt-secret'), mode('api-key'), mode('.')]).toEqual([0o600, 0o600, 0o700]);
  expect(secretOf(first)).toBe(text('jwt-secret'));
  expect(first.apiKeys).toEqual([hashApiKey(text('api-key'))]);
  expect(readdirSync(data).sort()).toEqual(['api-key', 'jwt-secret']);

  const { config: second } = loadOrCreateSecrets(config());
  expect(secretOf(second)).toBe(secretOf(first));
  expect(second.apiKeys).toEqual(first.apiKeys);
});

test('creates the directory but no secret when all secrets are configured', () => {
  const env = { PORCHLIGHT_JWKS_URL: 'https://id.example/keys', PORCHLIGHT_API_KEYS: 'k'.repeat(32) };
  const configured = config(env);
  expect(loadOrCreateSecrets(configured).config).toEqual(configured);
  expect(readdirSync(data)).toEqual([]);
});

test('creates only the signing secret when only that is requested', () => {
  loadOrCreateSigningSecret(config());
  expect(readdirSync(data)).toEqual(['jwt-secret']);
});

test('uses a secret file that other users can read, with a warning', () => {
  loadOrCreateSecrets(config());
  chmodSync(join(data, 'api-key'), 0o640);
  const { warnings } = loadOrCreateSecrets(config());
  expect(warnings).toEqual([expect.stringContaining(`${join(data, 'api-key')} can be read by other users`)]);
  expect(warnings.join()).not.toContain(text('api-key'));
});

test('uses an existing secret file without its line break', () => {
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'jwt-secret'), `${'s'.repeat(40)}\n`, { mode: 0o600 });
  expect(secretOf(loadOrCreateSigningSecret(config()).config)).toBe('s'.repeat(40));
});

/** @returns the error of a start with the given file. The file must not change. */
const rejectionOf = (name: string, content: string | Buffer): StartupError => {
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, name), content, { mode: 0o600 });
  try {
    loadOrCreateSecrets(config());
  } catch (error) {
    expect(readFileSync(join(data, name))).toEqual(Buffer.from(content));
    if (error instanceof StartupError) return error;
    throw error;
  }
  throw new Error('The file was accepted.');
};

test.each([
  ['jwt-secret', '', 'is empty'],
  ['jwt-secret', '\n', 'is empty'],
  ['jwt-secret', Buffer.alloc(64, 0xf5), 'is not UTF-8'],
  ['jwt-secret', `\uFEFF${'s'.repeat(40)}`, 'starts with a byte order mark'],
  ['jwt-secret', `${'s'.repeat(40)}\n\n`, 'ends with a line break'],
  ['jwt-secret', 's'.repeat(31), 'is shorter than 32 bytes'],
  ['jwt-secret', 's'.repeat(70_000), 'is larger than 64 KiB'],
  ['api-key', '', 'is empty'],
  ['api-key', 'fifteen-letters', 'is shorter than 16 characters'],
  ['api-key', Buffer.alloc(64, 0xf5), 'is not UTF-8'],
])('rejects the file %s with the content %j, which %s, with exit code 78', (name, content, problem) => {
  const { exitCode, message } = rejectionOf(name, content);
  expect(exitCode).toBe(78);
  expect(message).toContain(`${join(data, name)} ${problem}`);
});

test('says what to do with an unusable file', () => {
  expect(rejectionOf('api-key', 'fifteen-letters').message).toMatch(
    /but must be a list of keys .*\.\nCorrect the file, or remove it to have a new secret generated\.$/,
  );
});

test('accepts a binary key, several API keys, and a short key that is allowed', () => {
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'jwt-secret'), 'base64:AAECAwQF\n', { mode: 0o600 });
  writeFileSync(join(data, 'api-key'), `${'k'.repeat(32)}\n${'l'.repeat(32)}\n`, { mode: 0o600 });
  const loaded = loadOrCreateSecrets(config({ PORCHLIGHT_ALLOW_SHORT_KEYS: 'true' }));
  expect(loaded.config.jwtSecret?.export()).toEqual(Buffer.from([0, 1, 2, 3, 4, 5]));
  expect(loaded.config.apiKeys).toEqual([hashApiKey('k'.repeat(32)), hashApiKey('l'.repeat(32))]);
  expect(loaded.warnings).toEqual([
    `${join(data, 'jwt-secret')} is shorter than 32 bytes, so it can be guessed from a token; use a longer one.`,
  ]);
});

test('reports the path of a directory that cannot be created, with exit code 78', () => {
  writeFileSync(join(root, 'deep'), 'a file instead of a directory');
  expect(() => loadOrCreateSecrets(config())).toThrow(
    expect.objectContaining({ exitCode: 78, message: expect.stringContaining(data) as string }) as StartupError,
  );
});
