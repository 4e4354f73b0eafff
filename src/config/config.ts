/**
 * Builds the configuration. Flags take precedence over the environment and secret files, and both over defaults.
 * The module does no I/O of its own, and reports all invalid values at once.
 */
import type { KeyObject } from 'node:crypto';
import { ConfigError } from './errors.ts';
import { findClosestMatch, ignoreServiceLinks, isVariableOfOtherTool } from './did-you-mean.ts';
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
import { type ConfigSources, findOptionValue, type ProblemReport } from './option-values.ts';
import { checkKeyLength, findReusedMetricsToken } from './secret-checks.ts';
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
  /** Whether a JWT secret or Tencent key of fewer than 32 bytes is accepted, with a warning. */
  readonly allowShortKeys: boolean;
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

/** @throws ConfigError with all problems. */
export const loadConfig = (allSources: ConfigSources): LoadedConfig => {
  const { env, warnings } = ignoreServiceLinks(allSources.env, KNOWN_VARIABLES);
  const sources = { ...allSources, env };
  const report: ProblemReport = { problems: [], warnings: [...warnings, ...unknownVariableWarnings(env)] };
  const values = new Map<OptionName, unknown>();
  const resolvedOptions = new Map<OptionName, ResolvedOption>();
  for (const name of OPTION_NAMES) {
    const option: Option = OPTIONS[name];
    const found = findOptionValue(name, sources, report);
    if (found === null) continue;
    const { value, origin, source } = found;
    values.set(name, value);
    resolvedOptions.set(name, { name, value: value === null ? null : option.type.formatValue(value), origin, source });
  }
  const seed = buildPolicySeed(values, resolvedOptions, report.problems);
  checkSecrets(Object.fromEntries(values), resolvedOptions, report);
  checkTencentOptions(values, sources.readsSecrets ?? true, report.problems);
  if (report.problems.length > 0) throw new ConfigError(report.problems, report.warnings);

  // Without a problem, every option has a value of the type that OptionValues has for it.
  const parsed = Object.fromEntries(values) as OptionValues;
  markGeneratedSecrets(parsed, resolvedOptions);
  const config = buildConfig(parsed, seed, originsByOption(resolvedOptions));
  return { config, resolvedOptions: [...resolvedOptions.values()], warnings: report.warnings };
};

/** Reports keys that are too short, and a metrics token that is another secret too. */
const checkSecrets = (
  values: Partial<OptionValues>,
  resolvedOptions: ReadonlyMap<OptionName, ResolvedOption>,
  report: ProblemReport,
): void => {
  for (const name of ['jwtSecret', 'tencentKey'] as const) {
    const key = values[name];
    // Undefined and null: no key, or a problem that was already reported.
    if (key == null || values.allowShortKeys === undefined) continue;
    const length = checkKeyLength(resolvedOptions.get(name)?.source ?? OPTIONS[name].env, key, values.allowShortKeys);
    if (length.ok) report.warnings.push(...length.warnings);
    else report.problems.push(length.problem);
  }
  const reuse = findReusedMetricsToken(values);
  if (reuse !== null) report.problems.push(reuse);
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
  allowShortKeys: parsed.allowShortKeys,
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
const checkTencentOptions = (
  values: ReadonlyMap<OptionName, unknown>,
  readsSecrets: boolean,
  problems: string[],
): void => {
  if (values.get('tencent') !== true) return;
  for (const name of ['tencentAppId', 'tencentKey'] as const) {
    // Undefined means that a problem was already reported.
    if (values.get(name) !== null || (OPTIONS[name].isSecret && !readsSecrets)) continue;
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
    .filter((name) => !isVariableOfOtherTool(name, env[name]))
    .map(
      (name) =>
        `${name} is unknown and has no effect; the closest known name is ${findClosestMatch(name, KNOWN_VARIABLES)}.`,
    );
