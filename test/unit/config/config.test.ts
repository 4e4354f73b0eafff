import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/config/errors.ts';
import type { OptionFlags } from '../../../src/config/parse-flags.ts';
import { hashApiKey } from '../../../src/config/secret-value-types.ts';
import { type Config, type LoadedConfig, loadConfig } from '../../../src/config/config.ts';
import { SecretFileError } from '../../../src/config/secret-file.ts';
import { DEFAULT_POLICY, createPolicyFromSeed } from '../../../src/core/policy.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const KEY = 'a-key-of-thirty-two-characters--';

interface FakeFile {
  readonly content: string | Buffer;
  readonly mode?: number;
}

const load = (
  env: Record<string, string> = {},
  flags: OptionFlags = {},
  files: Record<string, string | Buffer | FakeFile> = {},
  readsSecrets = true,
): LoadedConfig =>
  loadConfig({
    env,
    flags,
    readSecretFile: (path) => {
      const file = files[path];
      if (file === undefined) throw Object.assign(new Error('It did not work.'), { code: 'ENOENT', errno: -2 });
      const { content, mode = 0o600 } = typeof file === 'string' || Buffer.isBuffer(file) ? { content: file } : file;
      return { bytes: Buffer.from(content), mode };
    },
    isExistingFile: (path) => Object.hasOwn(files, path),
    readsSecrets,
  });

const rejectionOf = (...args: Parameters<typeof load>): ConfigError => {
  try {
    load(...args);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('The configuration was accepted.');
};

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

test('uses the documented default of every option without any configuration', () => {
  const { config, warnings } = load();
  expect(warnings).toEqual([]);
  expect(config).toEqual({
    host: '127.0.0.1',
    port: 4000,
    database: './data/porchlight.db',
    jwtSecret: null,
    allowShortKeys: false,
    jwksUrl: null,
    jwtIssuer: null,
    jwtAudience: null,
    jwtClockToleranceMs: 60_000,
    apiKeys: [],
    visibility: 'everyone',
    allowedOrigins: [],
    eventRetentionMs: 30 * 86_400_000,
    logLevel: 'info',
    logFormat: 'auto',
    trustProxy: false,
    pingIntervalMs: 25_000,
    httpKeepAliveMs: 130_000,
    graphiql: true,
    introspection: 'backends',
    limits: {
      maxSockets: 200_000,
      maxSocketsPerUser: 100,
      maxSocketsPerAddress: 25_000,
      maxWatchedPerSocket: 10_000,
      ratePerSession: 100,
      ratePerUser: 300,
      ratePerAddress: 50_000,
    },
    maxLagMs: 1_000,
    metrics: true,
    metricsToken: null,
    logUserIds: false,
    webhooks: { allowHttp: false, allowPrivate: [], timeoutMs: 10_000, retryForMs: 3 * 86_400_000 },
    tencent: null,
    policySeed: {
      preset: 'CURRENT',
      multiDevice: { mode: 'SINGLE', groups: null },
      platforms: [],
      pushOnlineExpiryMs: 7 * 86_400_000,
    },
    origins: expect.objectContaining({
      host: 'default',
      jwtSecret: 'generated',
      jwksUrl: 'default',
      apiKeys: 'generated',
    }) as Config['origins'],
  });
  expect(createPolicyFromSeed(config.policySeed)).toEqual(DEFAULT_POLICY);
});

describe('precedence', () => {
  test('a flag takes precedence over the environment, and the environment over the default', () => {
    const env = { PORCHLIGHT_HOST: 'env.example', PORCHLIGHT_VISIBILITY: 'none' };
    const { config } = load(env, { host: 'flag.example' });
    expect([config.host, config.origins.host]).toEqual(['flag.example', 'flag']);
    expect([config.visibility, config.origins.visibility]).toEqual(['none', 'environment']);
    expect(config.origins.logLevel).toBe('default');
  });

  test('ignores an invalid value that a flag overrides', () => {
    expect(load({ PORCHLIGHT_PORT: 'x' }, { port: '1' }).config.port).toBe(1);
  });

  test('reads PORT only when PORCHLIGHT_PORT is not set', () => {
    expect(load({ PORT: '5001' }).config.port).toBe(5001);
    expect(load({ PORT: '5001', PORCHLIGHT_PORT: '5002' }).config.port).toBe(5002);
    expect(load({ PORT: 'x', PORCHLIGHT_PORT: '5002' }).config.port).toBe(5002);
    expect(rejectionOf({ PORT: '70000' }).problems).toEqual([
      'PORT is "70000", but must be a whole number from 0 to 65535.',
    ]);
  });
});

describe('values', () => {
  test.each([
    ['PORCHLIGHT_PORT', '0', 'port', 0],
    ['PORCHLIGHT_PORT', '65535', 'port', 65_535],
    ['PORCHLIGHT_DATABASE', '/var/lib/p.db', 'database', '/var/lib/p.db'],
    ['PORCHLIGHT_EVENT_RETENTION', '1s', 'eventRetentionMs', 1_000],
    ['PORCHLIGHT_EVENT_RETENTION', '1500ms', 'eventRetentionMs', 1_500],
    ['PORCHLIGHT_EVENT_RETENTION', '400s', 'eventRetentionMs', 400_000],
    ['PORCHLIGHT_EVENT_RETENTION', '90m', 'eventRetentionMs', 5_400_000],
    ['PORCHLIGHT_EVENT_RETENTION', '12h', 'eventRetentionMs', 43_200_000],
    ['PORCHLIGHT_LOG_LEVEL', 'SILENT', 'logLevel', 'silent'],
    ['PORCHLIGHT_TRUST_PROXY', 'yes', 'trustProxy', true],
    [
      'PORCHLIGHT_TRUST_PROXY',
      '10.0.0.0/8, 127.0.0.1,loopback,::1',
      'trustProxy',
      ['10.0.0.0/8', '127.0.0.1', 'loopback', '::1'],
    ],
    ['PORCHLIGHT_LOG_FORMAT', 'JSON', 'logFormat', 'json'],
    ['PORCHLIGHT_GRAPHIQL', '0', 'graphiql', false],
    ['PORCHLIGHT_INTROSPECTION', 'Off', 'introspection', 'off'],
    ['PORCHLIGHT_MAX_LAG', '2s', 'maxLagMs', 2_000],
    ['PORCHLIGHT_JWT_CLOCK_TOLERANCE', '0s', 'jwtClockToleranceMs', 0],
    ['PORCHLIGHT_JWT_CLOCK_TOLERANCE', '10m', 'jwtClockToleranceMs', 600_000],
    ['PORCHLIGHT_METRICS', 'no', 'metrics', false],
    ['PORCHLIGHT_METRICS_TOKEN', 'sixteen-letters!', 'metricsToken', hashApiKey('sixteen-letters!')],
    ['PORCHLIGHT_LOG_USER_IDS', 'yes', 'logUserIds', true],
    ['PORCHLIGHT_ALLOWED_ORIGINS', '*', 'allowedOrigins', ['*']],
    [
      'PORCHLIGHT_ALLOWED_ORIGINS',
      'HTTPS://App.Example:443, http://localhost:3000/ ,capacitor://localhost,',
      'allowedOrigins',
      ['https://app.example', 'http://localhost:3000', 'capacitor://localhost'],
    ],
  ] as const)('accepts %s=%s', (variable, text, key, value) => {
    expect(load({ [variable]: text }).config[key]).toEqual(value);
  });

  test('reads every webhook option into its own field', () => {
    const env = {
      PORCHLIGHT_WEBHOOK_ALLOW_HTTP: 'true',
      PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: '10.1.0.0/16, ::1,127.0.0.1,,::1/128',
      PORCHLIGHT_WEBHOOK_TIMEOUT: '2s',
      PORCHLIGHT_WEBHOOK_RETRY_FOR: '0ms',
    };
    expect(load(env).config.webhooks).toEqual({
      allowHttp: true,
      allowPrivate: ['10.1.0.0/16', '::1/128', '127.0.0.1/32'],
      timeoutMs: 2_000,
      retryForMs: 0,
    });
  });

  test.each([
    ['yes', ['0.0.0.0/0', '::/0']],
    ['false', []],
    ['', []],
  ])('reads the private networks %j as %j', (text, networks) => {
    expect(load({ PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: text }).config.webhooks.allowPrivate).toEqual(networks);
  });

  test.each(['10.1', '10.0.0.0/33', '0x7f000001', 'localhost', '10.0.0.0/8/8', '::1/129', '10.0.0.0/'])(
    'rejects %s, which is not a network',
    (text) => {
      expect(rejectionOf({ PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE: text }).problems).toEqual([
        `PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE is ${JSON.stringify(text)}, but must be true, false, or a comma-separated list of networks such as 10.1.0.0/16,::1/128.`,
      ]);
    },
  );

  test('enables the Tencent API only with an app id and a key', () => {
    const key = 'k'.repeat(64);
    const env = { PORCHLIGHT_TENCENT: '1', PORCHLIGHT_TENCENT_APP_ID: '1400000001', PORCHLIGHT_TENCENT_KEY: key };
    const { tencent } = load(env).config;
    expect(tencent).toMatchObject({ appId: 1_400_000_001, admin: 'administrator', platformNames: 'DOCUMENTED' });
    expect(tencent?.key.export().toString()).toBe(key);
    const asWebhooks = load({ ...env, PORCHLIGHT_TENCENT_PLATFORM_NAMES: 'webhook' }).config.tencent;
    expect(asWebhooks?.platformNames).toBe('WEBHOOK');
    expect(tencent?.webTimeout).toBe('LinkClose');
    expect(load({ ...env, PORCHLIGHT_TENCENT_WEB_TIMEOUT: 'TimeOut' }).config.tencent?.webTimeout).toBe('TimeOut');
    expect(load({ ...env, PORCHLIGHT_TENCENT: '0' }).config.tencent).toBeNull();
    expect(rejectionOf({ PORCHLIGHT_TENCENT: '1' }).problems).toEqual([
      'PORCHLIGHT_TENCENT is on, but PORCHLIGHT_TENCENT_APP_ID is not set.',
      'PORCHLIGHT_TENCENT is on, but PORCHLIGHT_TENCENT_KEY is not set.',
    ]);
  });

  test('reads every limit into its own field', () => {
    const names = {
      maxSockets: 'MAX_SOCKETS',
      maxSocketsPerUser: 'MAX_SOCKETS_PER_USER',
      maxSocketsPerAddress: 'MAX_SOCKETS_PER_ADDRESS',
      maxWatchedPerSocket: 'MAX_WATCHED_PER_SOCKET',
      ratePerSession: 'RATE_PER_SESSION',
      ratePerUser: 'RATE_PER_USER',
      ratePerAddress: 'RATE_PER_ADDRESS',
    };
    const env = Object.fromEntries(Object.values(names).map((name, at) => [`PORCHLIGHT_${name}`, `${501 + at}`]));
    const limits = Object.fromEntries(Object.keys(names).map((name, at) => [name, 501 + at]));
    expect(load(env).config.limits).toEqual(limits);
  });

  test.each([
    ['PORCHLIGHT_HOST', '', 'a text that is not empty'],
    ['PORCHLIGHT_PORT', '', 'from 0 to 65535'],
    ['PORCHLIGHT_PORT', '-1', 'from 0 to 65535'],
    ['PORCHLIGHT_PORT', '65536', 'from 0 to 65535'],
    ['PORCHLIGHT_PORT', '4000.5', 'from 0 to 65535'],
    ['PORCHLIGHT_PORT', '0x10', 'from 0 to 65535'],
    ['PORCHLIGHT_DATABASE', '', 'loses acknowledged changes'],
    ['PORCHLIGHT_DATABASE', ':memory:', 'loses acknowledged changes'],
    ['PORCHLIGHT_DATABASE', 'file:p.db', 'a plain path'],
    ['PORCHLIGHT_DATABASE', './data/', 'not of a directory'],
    ['PORCHLIGHT_JWKS_URL', 'ftp://example.com', 'an http or https URL'],
    ['PORCHLIGHT_JWKS_URL', 'example.com/jwks', 'an http or https URL'],
    ['PORCHLIGHT_VISIBILITY', 'some', 'one of everyone, none'],
    ['PORCHLIGHT_VISIBILITY', 'constructor', 'one of everyone, none'],
    ['PORCHLIGHT_ALLOWED_ORIGINS', 'app.example.com', 'list of origins'],
    ['PORCHLIGHT_ALLOWED_ORIGINS', 'https://a.example/path', 'list of origins'],
    ['PORCHLIGHT_EVENT_RETENTION', '30', 'with a unit'],
    ['PORCHLIGHT_EVENT_RETENTION', '999ms', 'from 1s'],
    ['PORCHLIGHT_EVENT_RETENTION', '1.5h', 'a whole number'],
    ['PORCHLIGHT_EVENT_RETENTION', '-1d', 'a whole number'],
    ['PORCHLIGHT_LOG_LEVEL', 'loud', 'one of trace, debug'],
    ['PORCHLIGHT_TRUST_PROXY', 'maybe', 'true, false, or a comma-separated list of addresses'],
    ['PORCHLIGHT_TRUST_PROXY', '10.0.0.0/33', 'such as 10.0.0.0/8,loopback'],
    ['PORCHLIGHT_TRUST_PROXY', 'loopback,10.0.0.0/8,proxy.example', 'such as 10.0.0.0/8,loopback'],
    ['PORCHLIGHT_TRUST_PROXY', '', 'true, false, or a comma-separated list of addresses'],
    ['PORCHLIGHT_LOG_FORMAT', 'xml', 'one of auto, json, pretty'],
    ['PORCHLIGHT_INTROSPECTION', 'all', 'one of off, backends, everyone'],
    ['PORCHLIGHT_MAX_SOCKETS', '0', 'from 1 to'],
    ['PORCHLIGHT_MAX_WATCHED_PER_SOCKET', '499', 'from 500 to'],
    ['PORCHLIGHT_RATE_PER_SESSION', '-1', 'from 0 to'],
    ['PORCHLIGHT_MAX_LAG', '1ms', 'from 10ms'],
    ['PORCHLIGHT_JWT_CLOCK_TOLERANCE', '601s', 'from 0ms to 10m'],
    ['PORCHLIGHT_PLATFORM_PRESET', 'old', 'one of current, mobile-only, classic'],
    ['PORCHLIGHT_MULTI_DEVICE', 'quad', 'one of single, dual, triple, multi, custom'],
    ['PORCHLIGHT_PUSH_ONLINE_EXPIRY', '0s', 'from 1s'],
    ['PORCHLIGHT_PLATFORMS', '{', 'a JSON array'],
    ['PORCHLIGHT_PLATFORMS', '[{"platform":"TV"}]', '[0].platform'],
    ['PORCHLIGHT_PLATFORMS', '[{"platform":"WEB","heartbeatTimeout":1}]', 'heartbeatTimeout'],
  ])('rejects %s=%j and names the valid values', (variable, text, expected) => {
    const { problems } = rejectionOf({ [variable]: text });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`${variable} is ${JSON.stringify(text)}, but must be `);
    expect(problems[0]).toContain(expected);
  });

  test('reports all invalid values at once, each with the name of its source', () => {
    const error = rejectionOf({ PORCHLIGHT_LOG_LEVEL: 'loud', PORCHLIGHT_GRAPHIQL: '?' }, { port: 'x' });
    expect(error.problems.map((problem) => problem.split(' ')[0])).toEqual([
      '--port',
      'PORCHLIGHT_GRAPHIQL',
      'PORCHLIGHT_LOG_LEVEL',
    ]);
    expect(error.exitCode).toBe(78);
  });

  test('rejects a URL with a password without repeating the password', () => {
    const [problem] = rejectionOf({ PORCHLIGHT_JWKS_URL: 'https://user:hunter2@example.com/' }).problems;
    expect(problem).toContain('without a user name or password');
    expect(problem).not.toContain('hunter2');
  });
});

describe('secrets', () => {
  test('uses the bytes of the text as the JWT secret', () => {
    const { config, resolvedOptions } = load({ PORCHLIGHT_JWT_SECRET: SECRET });
    expect(config.jwtSecret?.export().toString('utf8')).toBe(SECRET);
    expect(config.origins.jwtSecret).toBe('environment');
    expect(JSON.stringify(resolvedOptions)).not.toContain(SECRET);
  });

  test('splits and trims API keys and keeps only their SHA-256 digests', () => {
    const loaded = load({ PORCHLIGHT_API_KEYS: ` ${KEY}1, ,${KEY}2,${KEY}1` });
    expect(loaded.config.apiKeys.map((digest) => digest.toString('hex'))).toEqual([
      sha256(`${KEY}1`),
      sha256(`${KEY}2`),
    ]);
    expect(JSON.stringify(loaded)).not.toContain(KEY);
  });

  test('reads secrets from files and ignores the line break at the end', () => {
    const env = { PORCHLIGHT_JWT_SECRET_FILE: '/run/jwt', PORCHLIGHT_API_KEYS_FILE: '/run/keys' };
    const { config } = load(env, {}, { '/run/jwt': `${SECRET}\n`, '/run/keys': `${KEY}1\r\n\r\n${KEY}2\r\n` });
    expect(config.jwtSecret?.export().toString('utf8')).toBe(SECRET);
    expect(config.apiKeys.map((digest) => digest.toString('hex'))).toEqual([sha256(`${KEY}1`), sha256(`${KEY}2`)]);
    expect([config.origins.jwtSecret, config.origins.apiKeys]).toEqual(['file', 'file']);
  });

  test('reads every secret from a file by the same rules', () => {
    const bytes = Buffer.from(Array.from({ length: 64 }, (_, index) => 253 - index));
    for (const variable of ['JWT_SECRET', 'API_KEYS', 'METRICS_TOKEN', 'TENCENT_KEY']) {
      const name = `PORCHLIGHT_${variable}_FILE`;
      const { problems, exitCode } = rejectionOf({ [name]: '/run/file' }, {}, { '/run/file': bytes });
      expect(problems).toEqual([
        expect.stringMatching(new RegExp(`^${name} \\(/run/file\\) is not UTF-8, but must be .*\\.$`)),
      ]);
      expect(exitCode).toBe(78);
    }
  });

  test('accepts binary JWT and Tencent keys as base64:, from the environment and from a file', () => {
    const bytes = Buffer.from(Array.from({ length: 64 }, (_, index) => 253 - index));
    const text = `base64:${bytes.toString('base64')}`;
    const tencent = { PORCHLIGHT_TENCENT: '1', PORCHLIGHT_TENCENT_APP_ID: '1400000001' };
    const env = { ...tencent, PORCHLIGHT_JWT_SECRET_FILE: '/run/jwt', PORCHLIGHT_TENCENT_KEY: text };
    const { config, warnings } = load(env, {}, { '/run/jwt': `${text}\n` });
    expect(config.jwtSecret?.export()).toEqual(bytes);
    expect(config.tencent?.key.export()).toEqual(bytes);
    expect(warnings).toEqual([]);
  });

  test('rejects a secret that is set in both ways, and an unreadable secret file', () => {
    const both = { PORCHLIGHT_JWT_SECRET: SECRET, PORCHLIGHT_JWT_SECRET_FILE: '/run/jwt' };
    const { problems } = rejectionOf({ ...both, PORCHLIGHT_API_KEYS_FILE: '/gone' }, {}, { '/run/jwt': SECRET });
    expect(problems).toEqual([
      'PORCHLIGHT_JWT_SECRET and PORCHLIGHT_JWT_SECRET_FILE are both set, but only one of them may be.',
      'PORCHLIGHT_API_KEYS_FILE is "/gone", but must be the path of a readable file: ENOENT: no such file or directory.',
    ]);
    const empty = rejectionOf({ PORCHLIGHT_JWT_SECRET: '', PORCHLIGHT_JWT_SECRET_FILE: '/run/jwt' }, {}, {});
    expect(empty.problems[0]).toContain('are both set');
  });

  test('does not repeat a secret that was set as a path by mistake', () => {
    const { problems } = rejectionOf({ PORCHLIGHT_JWT_SECRET_FILE: SECRET });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain('PORCHLIGHT_JWT_SECRET_FILE is ********');
    expect(problems[0]).not.toContain(SECRET);
  });

  test('rejects a path that was set as a secret by mistake', () => {
    const path = '/run/secrets/the-jwt-secret-of-porchlight';
    const { problems } = rejectionOf({ PORCHLIGHT_JWT_SECRET: path }, {}, { [path]: SECRET });
    expect(problems).toEqual([
      'PORCHLIGHT_JWT_SECRET is the path of a file, but must be the secret itself. Set PORCHLIGHT_JWT_SECRET_FILE to the path instead.',
    ]);
    // The name of a file in the working directory is a secret like any other text.
    expect(load({ PORCHLIGHT_JWT_SECRET: SECRET }, {}, { [SECRET]: '' }).config.origins.jwtSecret).toBe('environment');
    // Base64 may start with a slash.
    expect(load({ PORCHLIGHT_JWT_SECRET: path }).config.jwtSecret?.export().toString()).toBe(path);
  });

  test('reports a file that cannot be a secret', () => {
    const sources = {
      env: { PORCHLIGHT_JWT_SECRET_FILE: '/run/secrets' },
      readSecretFile: () => {
        throw new SecretFileError('is a directory');
      },
      isExistingFile: () => false,
    };
    expect(() => loadConfig(sources)).toThrow(
      'PORCHLIGHT_JWT_SECRET_FILE (/run/secrets) is a directory, but must be a file with the secret.',
    );
  });

  test.each([
    ['/etc/porchlight/jwt', 0o600, 0],
    ['/etc/porchlight/jwt', 0o640, 0],
    ['/etc/porchlight/jwt', 0o644, 1],
    ['/etc/porchlight/jwt', 0o602, 1],
    ['/run/secrets/jwt', 0o444, 0],
    ['/var/run/secrets/jwt', 0o444, 0],
  ])('a secret in %s with mode %o causes %i warnings', (path, mode, count) => {
    const file = { content: SECRET, mode };
    const { warnings } = load({ PORCHLIGHT_JWT_SECRET_FILE: path }, {}, { [path]: file });
    expect(warnings).toEqual(
      Array(count).fill(
        `PORCHLIGHT_JWT_SECRET_FILE (${path}) can be read or changed by every user of the machine; "chmod o= ${path}" prevents that.`,
      ),
    );
  });

  test.each([
    ['PORCHLIGHT_JWT_SECRET', ''],
    ['PORCHLIGHT_JWT_SECRET', '   '],
    ['PORCHLIGHT_API_KEYS', ' , '],
    ['PORCHLIGHT_API_KEYS', ''],
    ['PORCHLIGHT_METRICS_TOKEN', ''],
    ['PORCHLIGHT_TENCENT_KEY', '\n'],
  ])('rejects %s=%j instead of generating a secret or using none', (variable, text) => {
    const { problems } = rejectionOf({ [variable]: text });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(new RegExp(`^${variable} (is empty|contains)`));
  });

  test.each([
    ['PORCHLIGHT_JWT_SECRET', 's'.repeat(31), 's'.repeat(32)],
    [
      'PORCHLIGHT_TENCENT_KEY',
      `base64:${Buffer.alloc(31, 9).toString('base64')}`,
      `base64:${Buffer.alloc(32, 9).toString('base64')}`,
    ],
  ])('rejects a key of fewer than 32 bytes in %s unless PORCHLIGHT_ALLOW_SHORT_KEYS is on', (variable, short, long) => {
    expect(load({ [variable]: long }).warnings).toEqual([]);
    expect(rejectionOf({ [variable]: short }).problems).toEqual([
      `${variable} is shorter than 32 bytes, so it can be guessed from a token. It must have at least 32 bytes, or PORCHLIGHT_ALLOW_SHORT_KEYS must be true until a longer one is in use.`,
    ]);
    expect(load({ [variable]: short, PORCHLIGHT_ALLOW_SHORT_KEYS: 'true' }).warnings).toEqual([
      `${variable} is shorter than 32 bytes, so it can be guessed from a token; use a longer one.`,
    ]);
  });

  test('PORCHLIGHT_ALLOW_SHORT_KEYS allows neither an empty key nor a short API key', () => {
    const allow = { PORCHLIGHT_ALLOW_SHORT_KEYS: 'true' };
    expect(rejectionOf({ ...allow, PORCHLIGHT_JWT_SECRET: '' }).problems).toHaveLength(1);
    expect(rejectionOf({ ...allow, PORCHLIGHT_JWT_SECRET: 'base64:' }).problems).toHaveLength(1);
    expect(rejectionOf({ ...allow, PORCHLIGHT_API_KEYS: 'k'.repeat(15) }).problems).toHaveLength(1);
  });

  test('rejects an API key and a metrics token under 16 characters, and warns under 32, without repeating them', () => {
    for (const variable of ['PORCHLIGHT_API_KEYS', 'PORCHLIGHT_METRICS_TOKEN']) {
      const [problem] = rejectionOf({ [variable]: 'fifteen-letters' }).problems;
      expect(problem).toContain(`${variable} is shorter than 16 characters, but must be `);
      expect(problem).not.toContain('fifteen-letters');
      const { warnings } = load({ [variable]: 'sixteen-letters!' });
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(new RegExp(`^${variable} has .*fewer than 32 characters`));
      expect(warnings[0]).not.toContain('sixteen');
      expect(load({ [variable]: KEY }).warnings).toEqual([]);
    }
  });

  test.each([
    ['PORCHLIGHT_API_KEYS', `${KEY}2,${KEY}1`],
    ['PORCHLIGHT_JWT_SECRET', `${KEY}1`],
    ['PORCHLIGHT_TENCENT_KEY', `${KEY}1`],
  ])('rejects a metrics token that is also in %s', (variable, text) => {
    expect(rejectionOf({ PORCHLIGHT_METRICS_TOKEN: `${KEY}1`, [variable]: text }).problems).toEqual([
      `PORCHLIGHT_METRICS_TOKEN is also in ${variable}, but must be a secret of its own: it gives access to the metrics alone.`,
    ]);
  });

  test('generates no secret when a JWKS is configured', () => {
    const { config } = load({ PORCHLIGHT_JWKS_URL: 'https://id.example/keys' });
    expect(config.origins.jwtSecret).toBe('default');
    expect(config.jwksUrl?.href).toBe('https://id.example/keys');
  });

  test('neither reads nor checks secrets for a command that needs none', () => {
    const tencent = { PORCHLIGHT_TENCENT: '1', PORCHLIGHT_TENCENT_APP_ID: '1400000001' };
    const env = { ...tencent, PORCHLIGHT_TENCENT_KEY_FILE: '/gone', PORCHLIGHT_API_KEYS: 'k' };
    const { config, warnings } = load(env, {}, {}, false);
    expect([config.database, config.tencent, config.apiKeys, warnings]).toEqual(['./data/porchlight.db', null, [], []]);
  });

  test('shows the JWKS URL without its query, which may be a credential', () => {
    const { config, resolvedOptions } = load({ PORCHLIGHT_JWKS_URL: 'https://id.example/keys?token=hunter2' });
    expect(config.jwksUrl?.search).toBe('?token=hunter2');
    expect(resolvedOptions.find(({ name }) => name === 'jwksUrl')?.value).toBe('https://id.example/keys?********');
    const [problem] = rejectionOf({ PORCHLIGHT_JWKS_URL: 'ftp://id.example/keys?token=hunter2' }).problems;
    expect(problem).toContain('"ftp://id.example/keys?********"');
  });
});

describe('the seed of the policy', () => {
  test('is read from all of its options', () => {
    const { config } = load({
      PORCHLIGHT_PLATFORM_PRESET: 'Mobile_Only',
      PORCHLIGHT_MULTI_DEVICE: 'CUSTOM',
      PORCHLIGHT_MULTI_DEVICE_GROUPS: 'android, IPHONE;WEB',
      PORCHLIGHT_PLATFORMS: '[{"platform":"MINI_PROGRAM","backgroundTimeoutMs":null,"maxInstances":2}]',
      PORCHLIGHT_PUSH_ONLINE_EXPIRY: '2s',
    });
    const policy = createPolicyFromSeed(config.policySeed);
    expect(policy.platforms.MAC.canBePushOnline).toBe(false);
    expect(policy.platforms.MINI_PROGRAM).toMatchObject({ backgroundTimeoutMs: null, maxInstances: 2 });
    expect(policy.multiDevice).toEqual({ mode: 'CUSTOM', groups: [['ANDROID', 'IPHONE'], ['WEB']] });
    expect(policy.pushOnlineExpiryMs).toBe(2_000);
  });

  test.each([
    [{ PORCHLIGHT_MULTI_DEVICE_GROUPS: 'WEB,MAC' }, 'is only allowed with PORCHLIGHT_MULTI_DEVICE=custom'],
    [{ PORCHLIGHT_MULTI_DEVICE: 'custom' }, 'PORCHLIGHT_MULTI_DEVICE_GROUPS is not set'],
    [{ PORCHLIGHT_MULTI_DEVICE: 'custom', PORCHLIGHT_MULTI_DEVICE_GROUPS: 'TV' }, 'of the platforms ANDROID'],
    [{ PORCHLIGHT_MULTI_DEVICE: 'custom', PORCHLIGHT_MULTI_DEVICE_GROUPS: 'WEB;WEB' }, 'WEB twice'],
    [
      { PORCHLIGHT_PLATFORMS: '[{"platform":"WEB","heartbeatIntervalMs":60000}]' },
      'PORCHLIGHT_PLATFORMS: WEB.heartbeatIntervalMs',
    ],
  ])('rejects %j, because its values contradict each other', (env, reason) => {
    const { problems } = rejectionOf(env);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(reason);
  });

  test('two contradictory options are two problems', () => {
    const { problems } = rejectionOf({
      PORCHLIGHT_MULTI_DEVICE: 'custom',
      PORCHLIGHT_MULTI_DEVICE_GROUPS: 'WEB;WEB',
      PORCHLIGHT_PLATFORMS: '[{"platform":"WEB","maxInstances":0}]',
    });
    expect(problems).toHaveLength(2);
  });
});

test('warns about an unknown variable with the closest known name, also together with an error', () => {
  expect(load({ PORCHLIGHT_PROT: '1', OTHER: '2' }).warnings).toEqual([
    'PORCHLIGHT_PROT is unknown and has no effect; the closest known name is PORCHLIGHT_PORT.',
  ]);
  expect(rejectionOf({ PORCHLIGHT_PROT: '1', PORCHLIGHT_PORT: 'x' }).warnings).toHaveLength(1);
});

describe('variables of other tools', () => {
  const serviceLinks = {
    PORCHLIGHT_SERVICE_HOST: '10.0.0.1',
    PORCHLIGHT_SERVICE_PORT: '4000',
    PORCHLIGHT_SERVICE_PORT_HTTP: '4000',
    PORCHLIGHT_PORT_4000_TCP: 'tcp://10.0.0.1:4000',
    PORCHLIGHT_PORT_4000_TCP_PROTO: 'tcp',
    PORCHLIGHT_PORT_4000_TCP_PORT: '4000',
    PORCHLIGHT_PORT_4000_TCP_ADDR: '10.0.0.1',
    // Of another service, named `porchlight-metrics`.
    PORCHLIGHT_METRICS_SERVICE_HOST: '10.0.0.2',
    PORCHLIGHT_METRICS_SERVICE_PORT: '53',
    PORCHLIGHT_METRICS_PORT: 'udp://10.0.0.2:53',
    PORCHLIGHT_METRICS_PORT_53_UDP_ADDR: '10.0.0.2',
  };

  test.each(Object.entries({ ...serviceLinks, PORCHLIGHT_URL: 'http://localhost:4000/graphql' }))(
    'cause no warning: %s',
    (name, value) => {
      expect(load({ [name]: value }).warnings).toEqual([]);
    },
  );

  test.each(['tcp://10.0.0.1:4000', 'tcp://[fd00::1]:4000'])(
    'do not set an option: PORCHLIGHT_PORT=%s is ignored with a warning',
    (link) => {
      const { config, resolvedOptions, warnings } = load({ ...serviceLinks, PORCHLIGHT_PORT: link });
      expect([config.port, config.origins.port]).toEqual([4000, 'default']);
      expect(resolvedOptions.find(({ name }) => name === 'port')).toMatchObject({ value: 4000, source: null });
      expect(warnings).toEqual([
        `PORCHLIGHT_PORT is "${link}", which Kubernetes sets for a service named "porchlight". It is ignored; ` +
          'set enableServiceLinks to false in the pod, or use another name for the service.',
      ]);
    },
  );

  test('do not hide what is misspelled or invalid', () => {
    for (const name of ['PORCHLIGHT_PROT', 'PORCHLIGHT_URLS', 'PORCHLIGHT_SERVICE', 'PORCHLIGHT_METRICS_PORT']) {
      expect(load({ [name]: '4000' }).warnings, name).toHaveLength(1);
    }
    for (const [name, value] of [
      ['PORCHLIGHT_PORT', 'tcp'],
      ['PORCHLIGHT_PORT', 'http://10.0.0.1:4000'],
      ['PORCHLIGHT_JWKS_URL', 'tcp://10.0.0.1:4000'],
    ] as const) {
      expect(rejectionOf({ [name]: value }).problems, name).toHaveLength(1);
    }
  });
});
