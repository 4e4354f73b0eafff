/**
 * Builds the configuration. Flags take precedence over the environment and secret files, and both over defaults.
 * The module does no I/O of its own, and reports all invalid values at once.
 */
import type { KeyObject } from 'node:crypto';
import { ConfigError } from './errors.ts';
import type { OptionFlags } from './parse-flags.ts';
import { findClosestMatch } from './did-you-mean.ts';
import {
  type LogFormat,
  type LogLevel,
  OPTION_NAMES,
  OPTIONS,
  type Option,
  type OptionName,
  type ValueOrigin,
  type OptionValues,
  type TencentPlatformNames,
  type TencentWebTimeout,
} from './options.ts';
import { type JsonValue, SECRET_MASK } from './value-types.ts';
import { DomainError } from '../core/errors.ts';
import { type PolicySeed, createPolicyFromSeed } from '../core/policy.ts';
import type { IntrospectionAccess, Visibility } from '../core/visibility.ts';
import { getSecretFilePaths } from './secret-file-paths.ts';

/** The checked configuration. Times are in milliseconds. An option without value and default is null. */
export interface Config {
  readonly host: string;
  /** 0 selects any free port. */
  readonly port: number;
  /** Path of the SQLite file as configured, relative to the working directory. */
  readonly database: string;
  /** HS256 key. Null: only the JWKS verifies user tokens, or the secret has not been generated yet. */
  readonly jwtSecret: KeyObject | null;
  readonly jwksUrl: URL | null;
  readonly jwtIssuer: string | null;
  readonly jwtAudience: string | null;
  /** How far the clock of a backend may be ahead of this server's or behind it. */
  readonly jwtClockToleranceMs: number;
  /** SHA-256 of each key (see `apiKeyDigest`). Empty only before they are generated. */
  readonly apiKeys: readonly Buffer[];
  readonly visibility: Visibility;
  /** Allowed in addition to the origin of the server. Contains "*" when every origin is allowed. */
  readonly allowedOrigins: readonly string[];
  readonly eventRetentionMs: number;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** True: every proxy is trusted. A list: the proxies in these networks. */
  readonly trustProxy: boolean | readonly string[];
  /** The interval of pings to WebSockets and of comments in event streams. */
  readonly pingIntervalMs: number;
  /** How long an idle HTTP connection is kept open. */
  readonly httpKeepAliveMs: number;
  readonly graphiql: boolean;
  readonly introspection: IntrospectionAccess;
  /** 0 means no limit, except for `maxSockets` and `maxWatchedPerSocket`. */
  readonly limits: {
    readonly maxSockets: number;
    readonly maxSocketsPerUser: number;
    readonly maxSocketsPerAddress: number;
    readonly maxWatchedPerSocket: number;
    /** Messages and requests per second. */
    readonly ratePerSession: number;
    readonly ratePerUser: number;
    readonly ratePerAddress: number;
  };
  /** The delay of the event loop or of a disk write above which new logins and subscriptions are refused. */
  readonly maxLagMs: number;
  readonly metrics: boolean;
  /** SHA-256 of the token (see `apiKeyDigest`). Null: API keys alone may read metrics. */
  readonly metricsToken: Buffer | null;
  readonly logUserIds: boolean;
  readonly webhooks: {
    readonly allowHttp: boolean;
    /** Non-public networks in CIDR notation to which webhooks may be sent. */
    readonly allowPrivate: readonly string[];
    readonly timeoutMs: number;
    readonly retryForMs: number;
  };
  /** Null: the Tencent API is off. */
  readonly tencent: {
    readonly appId: number;
    readonly admin: string;
    readonly key: KeyObject;
    readonly platformNames: TencentPlatformNames;
    readonly webTimeout: TencentWebTimeout;
  } | null;
  /** Checked by `seedPolicy`. Used for a new database only. */
  readonly policySeed: PolicySeed;
  readonly origins: Readonly<Record<OptionName, ValueOrigin>>;
}

/** One option as `porchlight config` shows it. */
export interface ResolvedOption {
  readonly name: OptionName;
  /** A secret is masked. */
  readonly value: JsonValue;
  readonly origin: ValueOrigin;
  /** The flag, the variable or the file. Null for a default. */
  readonly source: string | null;
}

export interface LoadedConfig {
  readonly config: Config;
  readonly resolvedOptions: readonly ResolvedOption[];
  /** One line each, for stderr. */
  readonly warnings: readonly string[];
}

export interface ConfigSources {
  readonly flags?: OptionFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** @returns the whole text of a file. @throws when the file cannot be read. */
  readonly readFile: (path: string) => string;
}

interface RawValue {
  readonly text: string;
  readonly origin: ValueOrigin;
  readonly source: string | null;
}

type ProblemReport = { readonly problems: string[]; readonly warnings: string[] };

/** @throws ConfigError with all problems. */
export const loadConfig = (sources: ConfigSources): LoadedConfig => {
  const report: ProblemReport = { problems: [], warnings: unknownVariableWarnings(sources.env) };
  const values = new Map<OptionName, unknown>();
  const resolvedOptions = new Map<OptionName, ResolvedOption>();
  for (const name of OPTION_NAMES) {
    const option: Option = OPTIONS[name];
    const raw = findRawValue(name, sources, report.problems);
    if (raw === null) continue;
    const value = parseRawValue(option, raw, report);
    if (value === undefined) continue;
    values.set(name, value);
    const shown = value === null ? null : option.type.formatValue(value);
    resolvedOptions.set(name, { name, value: shown, origin: raw.origin, source: raw.source });
  }
  const seed = buildPolicySeed(values, resolvedOptions, report.problems);
  checkTencentOptions(values, report.problems);
  if (report.problems.length > 0) throw new ConfigError(report.problems, report.warnings);

  // Without a problem, every option has a value of the type that OptionValues has for it.
  const parsed = Object.fromEntries(values) as OptionValues;
  markGeneratedSecrets(parsed, resolvedOptions);
  const config = buildConfig(parsed, seed, originsByOption(resolvedOptions));
  return { config, resolvedOptions: [...resolvedOptions.values()], warnings: report.warnings };
};

/** Finds the text of an option and its origin. @returns null after it has reported a problem. */
const findRawValue = (
  name: OptionName,
  { flags, env, readFile }: ConfigSources,
  problems: string[],
): RawValue | null => {
  const option: Option = OPTIONS[name];
  const flag = flags?.[name];
  if (flag !== undefined) return { text: flag, origin: 'flag', source: `--${option.flag}` };

  const fileVariable = `${option.env}_FILE`;
  const path = option.isSecret ? env[fileVariable] : undefined;
  const direct = env[option.env];
  if (path !== undefined) {
    if (direct !== undefined) {
      problems.push(`${option.env} and ${fileVariable} are both set, but only one of them may be.`);
      return null;
    }
    try {
      const text = readFile(path).replace(/\r?\n$/, '');
      return { text, origin: 'file', source: `${fileVariable} (${path})` };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      problems.push(`${fileVariable} is ${quoteValue(path)}, but must be a readable file: ${reason}`);
      return null;
    }
  }
  if (direct !== undefined) return { text: direct, origin: 'environment', source: option.env };
  const other = option.envFallback === undefined ? undefined : env[option.envFallback];
  if (other !== undefined) {
    return { text: other, origin: 'environment', source: option.envFallback ?? null };
  }
  return { text: option.default ?? '', origin: 'default', source: null };
};

/** @returns the value, or undefined after it has reported a problem. */
const parseRawValue = (option: Option, raw: RawValue, report: ProblemReport): unknown => {
  if (raw.origin === 'default' && option.default === null) return null;
  const parsed = option.type.parseText(raw.text);
  if (!parsed.ok) {
    const value = option.isSecret && raw.text.trim() !== '' ? SECRET_MASK : quoteValue(raw.text);
    report.problems.push(`${raw.source} is ${value}, but must be ${parsed.expected}.`);
    return undefined;
  }
  if (parsed.warning !== undefined) report.warnings.push(`${raw.source} ${parsed.warning}.`);
  return parsed.value;
};

/** Characters. */
const MAX_QUOTE_LENGTH = 120;

const quoteValue = (value: string): string => {
  // A URL may contain a password, which must not appear in an error message.
  const safe = value.replace(/\/\/.*@/, `//${SECRET_MASK}@`);
  return JSON.stringify(safe.length > MAX_QUOTE_LENGTH ? `${safe.slice(0, MAX_QUOTE_LENGTH)}…` : safe);
};

/** Builds the seed of the policy. Each part is checked alone, so that a problem names its option. */
const buildPolicySeed = (
  values: ReadonlyMap<OptionName, unknown>,
  resolvedOptions: ReadonlyMap<OptionName, ResolvedOption>,
  problems: string[],
): PolicySeed => {
  // An option with a reported problem is missing here. The default of the policy replaces it.
  const validValues = Object.fromEntries(values) as Partial<OptionValues>;
  const mode = validValues.multiDevice ?? 'SINGLE';
  const groups = validValues.multiDeviceGroups ?? null;
  const checkPart = (name: OptionName, part: PolicySeed): void => {
    try {
      createPolicyFromSeed(part);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      problems.push(`${resolvedOptions.get(name)?.source ?? OPTIONS[name].env}: ${error.message}`);
    }
  };
  const seed = {
    preset: validValues.platformPreset ?? 'CURRENT',
    multiDevice: { mode, groups },
    platforms: validValues.platforms ?? [],
    pushOnlineExpiryMs: validValues.pushOnlineExpiry,
  } satisfies PolicySeed;
  if (values.has('multiDevice') && values.has('multiDeviceGroups')) {
    if (mode === 'CUSTOM' && groups === null) {
      problems.push(
        `${resolvedOptions.get('multiDevice')?.source} is "custom", but ${OPTIONS.multiDeviceGroups.env} is not set. It must name the groups.`,
      );
    } else if (mode !== 'CUSTOM' && groups !== null) {
      problems.push(
        `${resolvedOptions.get('multiDeviceGroups')?.source} is set, but is only allowed with ${OPTIONS.multiDevice.env}=custom.`,
      );
    } else checkPart('multiDeviceGroups', { multiDevice: seed.multiDevice });
  }
  checkPart('platforms', { preset: seed.preset, platforms: seed.platforms });
  checkPart('pushOnlineExpiry', { pushOnlineExpiryMs: seed.pushOnlineExpiryMs });
  return seed;
};

/** Marks the secrets that are not configured. `loadOrCreateSecrets` generates them later. */
const markGeneratedSecrets = (parsed: OptionValues, resolvedOptions: Map<OptionName, ResolvedOption>): void => {
  const files = getSecretFilePaths(parsed.database);
  const mark = (name: OptionName, from: string) =>
    resolvedOptions.set(name, { name, value: SECRET_MASK, origin: 'generated', source: from });
  if (parsed.jwtSecret === null && parsed.jwksUrl === null) mark('jwtSecret', files.jwtSecret);
  if (parsed.apiKeys === null) mark('apiKeys', files.apiKey);
};

const originsByOption = (resolvedOptions: ReadonlyMap<OptionName, ResolvedOption>): Config['origins'] =>
  Object.fromEntries([...resolvedOptions].map(([name, { origin }]) => [name, origin])) as Config['origins'];

const buildConfig = (parsed: OptionValues, policySeed: PolicySeed, origins: Config['origins']): Config => ({
  host: parsed.host,
  port: parsed.port,
  database: parsed.database,
  jwtSecret: parsed.jwtSecret,
  jwksUrl: parsed.jwksUrl,
  jwtIssuer: parsed.jwtIssuer,
  jwtAudience: parsed.jwtAudience,
  jwtClockToleranceMs: parsed.jwtClockTolerance,
  apiKeys: parsed.apiKeys ?? [],
  visibility: parsed.visibility,
  allowedOrigins: parsed.allowedOrigins,
  eventRetentionMs: parsed.eventRetention,
  logLevel: parsed.logLevel,
  logFormat: parsed.logFormat,
  trustProxy: parsed.trustProxy,
  pingIntervalMs: parsed.pingInterval,
  httpKeepAliveMs: parsed.httpKeepAlive,
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
  tencent: buildTencentConfig(parsed),
  policySeed,
  origins,
});

/** @returns null when the API is off, or when an option is missing, which `checkTencentOptions` reports. */
const buildTencentConfig = (parsed: OptionValues): Config['tencent'] => {
  const { tencent, tencentAppId: appId, tencentAdmin: admin, tencentKey: key } = parsed;
  if (!tencent || appId === null || key === null) return null;
  return { appId, admin, key, platformNames: parsed.tencentPlatformNames, webTimeout: parsed.tencentWebTimeout };
};

/** Reports the options without which the Tencent API cannot be served. */
const checkTencentOptions = (values: ReadonlyMap<OptionName, unknown>, problems: string[]): void => {
  if (values.get('tencent') !== true) return;
  for (const name of ['tencentAppId', 'tencentKey'] as const) {
    // Undefined means that a problem was already reported.
    if (values.get(name) !== null) continue;
    problems.push(`${OPTIONS.tencent.env} is on, but ${OPTIONS[name].env} is not set.`);
  }
};

const KNOWN_VARIABLES = OPTION_NAMES.flatMap((name) => {
  const { env, isSecret } = OPTIONS[name];
  return isSecret ? [env, `${env}_FILE`] : [env];
});

const unknownVariableWarnings = (env: ConfigSources['env']): string[] =>
  Object.keys(env)
    .filter((name) => name.startsWith('PORCHLIGHT_') && !KNOWN_VARIABLES.includes(name))
    .map(
      (name) =>
        `${name} is unknown and has no effect; the closest known name is ${findClosestMatch(name, KNOWN_VARIABLES)}.`,
    );
