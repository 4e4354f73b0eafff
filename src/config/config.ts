/**
 * Puts the configuration together: flags over environment (and files of secrets) over defaults.
 * Pure: what it reads is given to it. Every wrong value is reported, all at once.
 */
import type { KeyObject } from 'node:crypto';
import { ConfigError } from './errors.ts';
import type { Flags } from './parse-flags.ts';
import { nearest } from './did-you-mean.ts';
import {
  type LogLevel,
  OPTION_NAMES,
  OPTIONS,
  type Option,
  type OptionName,
  type Origin,
  type Settings,
  type TencentPlatformNames,
  type TencentWebTimeout,
} from './options.ts';
import { type Json, MASK } from './value-types.ts';
import { DomainError } from '../core/errors.ts';
import { type PolicySeed, seedPolicy } from '../core/policy.ts';
import type { Introspection, Visibility } from '../core/visibility.ts';
import { secretFiles } from './secret-file-paths.ts';

/** Parsed and checked. Times are in milliseconds. What is not set and has no default is null. */
export interface Config {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Path of the SQLite file, as it was given: relative to the working directory. */
  readonly database: string;
  /** Key of HS256. Null: users' tokens come from the JWKS alone, or the secret is still to be generated. */
  readonly jwtSecret: KeyObject | null;
  readonly jwksUrl: URL | null;
  readonly jwtIssuer: string | null;
  readonly jwtAudience: string | null;
  /** SHA-256 of each key (see `apiKeyDigest`). Empty only before they are generated. */
  readonly apiKeys: readonly Buffer[];
  readonly visibility: Visibility;
  /** Beside the server's own origin. Contains "*" when every origin is allowed. */
  readonly allowedOrigins: readonly string[];
  readonly eventRetentionMs: number;
  readonly logLevel: LogLevel;
  readonly trustProxy: boolean;
  readonly graphiql: boolean;
  readonly introspection: Introspection;
  /** 0: no limit; so with all of them but `maxSockets`. */
  readonly limits: {
    readonly maxSockets: number;
    readonly maxSocketsPerUser: number;
    readonly maxSocketsPerAddress: number;
    readonly maxWatchedPerSocket: number;
    /** Messages and requests a second. */
    readonly ratePerSession: number;
    readonly ratePerUser: number;
    readonly ratePerAddress: number;
  };
  /** How far the event loop or the disk may be behind before newcomers are refused. */
  readonly maxLagMs: number;
  readonly metrics: boolean;
  /** SHA-256 of the token (see `apiKeyDigest`). Null: API keys alone may read metrics. */
  readonly metricsToken: Buffer | null;
  readonly logUserIds: boolean;
  readonly webhooks: {
    readonly allowHttp: boolean;
    /** Networks in CIDR notation that are not public and may be sent to. */
    readonly allowPrivate: readonly string[];
    readonly timeoutMs: number;
    readonly retryForMs: number;
  };
  /** Null: it is not served. */
  readonly tencent: {
    readonly appId: number;
    readonly admin: string;
    readonly key: KeyObject;
    readonly platformNames: TencentPlatformNames;
    readonly webTimeout: TencentWebTimeout;
  } | null;
  /** Already checked by `seedPolicy`. For an empty database only. */
  readonly policySeed: PolicySeed;
  readonly origins: Readonly<Record<OptionName, Origin>>;
}

/** One option as `porchlight config` tells it. */
export interface Setting {
  readonly name: OptionName;
  /** Secrets are masked. */
  readonly value: Json;
  readonly origin: Origin;
  /** The flag, variable or file; null for a default. */
  readonly from: string | null;
}

export interface Loaded {
  readonly config: Config;
  readonly settings: readonly Setting[];
  /** One line each, for stderr. */
  readonly warnings: readonly string[];
}

export interface Sources {
  readonly flags?: Flags;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The whole text of a file; throws when it cannot be read. */
  readonly readFile: (path: string) => string;
}

interface Found {
  readonly text: string;
  readonly origin: Origin;
  readonly from: string | null;
}

type Report = { readonly problems: string[]; readonly warnings: string[] };

/** @throws ConfigError with every problem there is. */
export const loadConfig = (sources: Sources): Loaded => {
  const report: Report = { problems: [], warnings: unknownVariables(sources.env) };
  const values = new Map<OptionName, unknown>();
  const settings = new Map<OptionName, Setting>();
  for (const name of OPTION_NAMES) {
    const option: Option = OPTIONS[name];
    const found = find(name, sources, report.problems);
    if (found === null) continue;
    const value = read(option, found, report);
    if (value === undefined) continue;
    values.set(name, value);
    const shown = value === null ? null : option.type.show(value);
    settings.set(name, { name, value: shown, origin: found.origin, from: found.from });
  }
  const seed = seedOf(values, settings, report.problems);
  checkTencent(values, report.problems);
  if (report.problems.length > 0) throw new ConfigError(report.problems, report.warnings);

  // Without a problem every option has been read, each by the type that Settings takes from it.
  const parsed = Object.fromEntries(values) as Settings;
  markGenerated(parsed, settings);
  const config = configOf(parsed, seed, originsOf(settings));
  return { config, settings: [...settings.values()], warnings: report.warnings };
};

/** Where the value of an option comes from; null after a problem has been reported. */
const find = (name: OptionName, { flags, env, readFile }: Sources, problems: string[]): Found | null => {
  const option: Option = OPTIONS[name];
  const flag = flags?.[name];
  if (flag !== undefined) return { text: flag, origin: 'flag', from: `--${option.flag}` };

  const fileVariable = `${option.env}_FILE`;
  const path = option.secret ? env[fileVariable] : undefined;
  const direct = env[option.env];
  if (path !== undefined) {
    if (direct !== undefined) {
      problems.push(`${option.env} and ${fileVariable} are both set, but only one of them may be.`);
      return null;
    }
    try {
      const text = readFile(path).replace(/\r?\n$/, '');
      return { text, origin: 'file', from: `${fileVariable} (${path})` };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      problems.push(`${fileVariable} is ${quoted(path)}, but must be a readable file: ${reason}`);
      return null;
    }
  }
  if (direct !== undefined) return { text: direct, origin: 'environment', from: option.env };
  const other = option.envFallback === undefined ? undefined : env[option.envFallback];
  if (other !== undefined) {
    return { text: other, origin: 'environment', from: option.envFallback ?? null };
  }
  return { text: option.default ?? '', origin: 'default', from: null };
};

/** The value; undefined after a problem has been reported. */
const read = (option: Option, found: Found, report: Report): unknown => {
  if (found.origin === 'default' && option.default === null) return null;
  const parsed = option.type.parse(found.text);
  if (!parsed.ok) {
    const value = option.secret && found.text.trim() !== '' ? MASK : quoted(found.text);
    report.problems.push(`${found.from} is ${value}, but must be ${parsed.expected}.`);
    return undefined;
  }
  if (parsed.warning !== undefined) report.warnings.push(`${found.from} ${parsed.warning}.`);
  return parsed.value;
};

const LONGEST_QUOTE = 120;

const quoted = (value: string): string => {
  // A password in a URL is a mistake, but not one to be spread by its error message.
  const safe = value.replace(/\/\/.*@/, `//${MASK}@`);
  return JSON.stringify(safe.length > LONGEST_QUOTE ? `${safe.slice(0, LONGEST_QUOTE)}…` : safe);
};

/** The seed of the policy. Its parts are tried one by one, so that each problem names its option. */
const seedOf = (
  values: ReadonlyMap<OptionName, unknown>,
  settings: ReadonlyMap<OptionName, Setting>,
  problems: string[],
): PolicySeed => {
  // An option with a problem of its own is missing here, and then takes the policy's default.
  const known = Object.fromEntries(values) as Partial<Settings>;
  const mode = known.multiDevice ?? 'SINGLE';
  const groups = known.multiDeviceGroups ?? null;
  const tryPart = (name: OptionName, part: PolicySeed): void => {
    try {
      seedPolicy(part);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      problems.push(`${settings.get(name)?.from ?? OPTIONS[name].env}: ${error.message}`);
    }
  };
  const seed = {
    preset: known.platformPreset ?? 'CURRENT',
    multiDevice: { mode, groups },
    platforms: known.platforms ?? [],
    pushOnlineExpiryMs: known.pushOnlineExpiry,
  } satisfies PolicySeed;
  if (values.has('multiDevice') && values.has('multiDeviceGroups')) {
    if (mode === 'CUSTOM' && groups === null) {
      problems.push(
        `${settings.get('multiDevice')?.from} is "custom", but ${OPTIONS.multiDeviceGroups.env} is not set: it must name the groups.`,
      );
    } else if (mode !== 'CUSTOM' && groups !== null) {
      problems.push(
        `${settings.get('multiDeviceGroups')?.from} is set, but goes only with ${OPTIONS.multiDevice.env}=custom.`,
      );
    } else tryPart('multiDeviceGroups', { multiDevice: seed.multiDevice });
  }
  tryPart('platforms', { preset: seed.preset, platforms: seed.platforms });
  tryPart('pushOnlineExpiry', { pushOnlineExpiryMs: seed.pushOnlineExpiryMs });
  return seed;
};

/** What nobody has set and the server makes itself: said here, done in secrets.ts. */
const markGenerated = (parsed: Settings, settings: Map<OptionName, Setting>): void => {
  const files = secretFiles(parsed.database);
  const mark = (name: OptionName, from: string) => settings.set(name, { name, value: MASK, origin: 'generated', from });
  if (parsed.jwtSecret === null && parsed.jwksUrl === null) mark('jwtSecret', files.jwtSecret);
  if (parsed.apiKeys === null) mark('apiKeys', files.apiKey);
};

const originsOf = (settings: ReadonlyMap<OptionName, Setting>): Config['origins'] =>
  Object.fromEntries([...settings].map(([name, setting]) => [name, setting.origin])) as Config['origins'];

const configOf = (parsed: Settings, policySeed: PolicySeed, origins: Config['origins']): Config => ({
  host: parsed.host,
  port: parsed.port,
  database: parsed.database,
  jwtSecret: parsed.jwtSecret,
  jwksUrl: parsed.jwksUrl,
  jwtIssuer: parsed.jwtIssuer,
  jwtAudience: parsed.jwtAudience,
  apiKeys: parsed.apiKeys ?? [],
  visibility: parsed.visibility,
  allowedOrigins: parsed.allowedOrigins,
  eventRetentionMs: parsed.eventRetention,
  logLevel: parsed.logLevel,
  trustProxy: parsed.trustProxy,
  graphiql: parsed.graphiql,
  introspection: parsed.introspection,
  limits: {
    maxSockets: parsed.maxSockets,
    maxSocketsPerUser: parsed.maxSocketsPerUser,
    maxSocketsPerAddress: parsed.maxSocketsPerAddress,
    maxWatchedPerSocket: parsed.maxWatchedPerSocket,
    ratePerSession: parsed.ratePerSession,
    ratePerUser: parsed.ratePerUser,
    ratePerAddress: parsed.ratePerAddress,
  },
  maxLagMs: parsed.maxLag,
  metrics: parsed.metrics,
  metricsToken: parsed.metricsToken,
  logUserIds: parsed.logUserIds,
  webhooks: {
    allowHttp: parsed.webhookAllowHttp,
    allowPrivate: parsed.webhookAllowPrivate,
    timeoutMs: parsed.webhookTimeout,
    retryForMs: parsed.webhookRetryFor,
  },
  tencent: tencentOf(parsed),
  policySeed,
  origins,
});

/** Null as well where something is missing, which `checkTencent` has said. */
const tencentOf = (parsed: Settings): Config['tencent'] => {
  const { tencent, tencentAppId: appId, tencentAdmin: admin, tencentKey: key } = parsed;
  if (!tencent || appId === null || key === null) return null;
  return { appId, admin, key, platformNames: parsed.tencentPlatformNames, webTimeout: parsed.tencentWebTimeout };
};

/** What it cannot be served without. */
const checkTencent = (values: ReadonlyMap<OptionName, unknown>, problems: string[]): void => {
  if (values.get('tencent') !== true) return;
  for (const name of ['tencentAppId', 'tencentKey'] as const) {
    // Undefined: it has a problem of its own.
    if (values.get(name) !== null) continue;
    problems.push(`${OPTIONS.tencent.env} is on, but ${OPTIONS[name].env} is not set.`);
  }
};

const KNOWN_VARIABLES = OPTION_NAMES.flatMap((name) => {
  const { env, secret } = OPTIONS[name];
  return secret ? [env, `${env}_FILE`] : [env];
});

const unknownVariables = (env: Sources['env']): string[] =>
  Object.keys(env)
    .filter((name) => name.startsWith('PORCHLIGHT_') && !KNOWN_VARIABLES.includes(name))
    .map(
      (name) => `${name} is unknown and has no effect; the nearest known name is ${nearest(name, KNOWN_VARIABLES)}.`,
    );
