/**
 * The one table of options. Environment, flags, help, `porchlight config` and the table in README
 * are all made from it: an option that is not here does not exist.
 */
import { MAX_PUSH_ONLINE_EXPIRY_MS, MIN_TIMEOUT_MS } from '../core/policy.ts';
import { privateNetworks } from './network-value-types.ts';
import { deviceGroups, platformRows } from './policy-value-types.ts';
import {
  apiKeyList,
  bearerToken,
  boolean,
  choice,
  databaseFile,
  duration,
  httpUrl,
  originList,
  sharedSecret,
  text,
  type ValueType,
  wholeNumber,
} from './value-types.ts';
import type { Introspection, Visibility } from '../core/visibility.ts';
import type { MultiDeviceMode, PlatformPreset } from '../core/enums.ts';

export interface Option<T = unknown, Default extends string | null = string | null> {
  readonly env: string;
  /** Another variable, honoured when `env` is absent. */
  readonly envFallback?: string;
  /** Null for a secret: the command line of a process can be read by every user of the machine. */
  readonly flag: string | null;
  readonly type: ValueType<T>;
  /** As it would be written. Null: no value. */
  readonly default: Default;
  /** Can also be read from the file that `<env>_FILE` names; never shown. */
  readonly secret: boolean;
  readonly description: string;
}

const option = <T, const Default extends string | null>(
  given: Omit<Option<T, Default>, 'secret'>,
): Option<T, Default> => ({ ...given, secret: false });

const secret = <T>(given: Omit<Option<T, null>, 'secret' | 'flag' | 'default'>): Option<T, null> => ({
  ...given,
  flag: null,
  default: null,
  secret: true,
});

export type TencentPlatformNames = 'DOCUMENTED' | 'QUERY' | 'WEBHOOK';

export type TencentWebTimeout = 'LinkClose' | 'TimeOut';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

const LONGEST_RETENTION_MS = 36_500 * 86_400_000;

export const OPTIONS = {
  host: option({
    env: 'PORCHLIGHT_HOST',
    flag: 'host',
    type: text('address'),
    default: '127.0.0.1',
    description: 'Address to listen on. 0.0.0.0 or :: listens on every interface of the machine.',
  }),
  port: option({
    env: 'PORCHLIGHT_PORT',
    envFallback: 'PORT',
    flag: 'port',
    type: wholeNumber('port', 0, 65_535),
    default: '4000',
    description: 'TCP port to listen on. 0 takes any free one.',
  }),
  database: option({
    env: 'PORCHLIGHT_DATABASE',
    flag: 'database',
    type: databaseFile,
    default: './data/porchlight.db',
    description: 'SQLite file, made when it is missing. Generated secrets are kept in its directory.',
  }),
  jwtSecret: secret({
    env: 'PORCHLIGHT_JWT_SECRET',
    type: sharedSecret,
    description:
      "Secret shared with the app's backend, which signs its users' tokens with it (HS256): the bytes of this text as they stand, 32 or more. " +
      'Generated as the file jwt-secret beside the database when there is neither this nor a JWKS URL.',
  }),
  jwksUrl: option({
    env: 'PORCHLIGHT_JWKS_URL',
    flag: 'jwks-url',
    type: httpUrl,
    default: null,
    description: "Where the public keys are that users' tokens are signed with, as a JWK set.",
  }),
  jwtIssuer: option({
    env: 'PORCHLIGHT_JWT_ISSUER',
    flag: 'jwt-issuer',
    type: text('text'),
    default: null,
    description: "The `iss` that a user's token must have. Not checked when there is none.",
  }),
  jwtAudience: option({
    env: 'PORCHLIGHT_JWT_AUDIENCE',
    flag: 'jwt-audience',
    type: text('text'),
    default: null,
    description: "The `aud` that a user's token must have. Not checked when there is none.",
  }),
  apiKeys: secret({
    env: 'PORCHLIGHT_API_KEYS',
    type: apiKeyList,
    description:
      "API keys of the app's backends, separated by commas; each may do everything. " +
      'Generated as the file api-key beside the database when there are none.',
  }),
  visibility: option({
    env: 'PORCHLIGHT_VISIBILITY',
    flag: 'visibility',
    type: choice<Visibility>({ everyone: 'everyone', none: 'none' }),
    default: 'everyone',
    description: 'Whom a user may ask about and watch when the token has no `watch` claim.',
  }),
  allowedOrigins: option({
    env: 'PORCHLIGHT_ALLOWED_ORIGINS',
    flag: 'allowed-origins',
    type: originList,
    default: '',
    description:
      'Web origins, separated by commas, whose pages may call this server. Its own is always allowed; `*` allows every one.',
  }),
  eventRetention: option({
    env: 'PORCHLIGHT_EVENT_RETENTION',
    flag: 'event-retention',
    type: duration(1_000, LONGEST_RETENTION_MS),
    default: '30d',
    description: 'How long events are kept, in ms, s, m, h or d. At least 1s.',
  }),
  logLevel: option({
    env: 'PORCHLIGHT_LOG_LEVEL',
    flag: 'log-level',
    type: choice<LogLevel>({
      trace: 'trace',
      debug: 'debug',
      info: 'info',
      warn: 'warn',
      error: 'error',
      fatal: 'fatal',
      silent: 'silent',
    }),
    default: 'info',
    description: 'The least grave thing that is logged.',
  }),
  trustProxy: option({
    env: 'PORCHLIGHT_TRUST_PROXY',
    flag: 'trust-proxy',
    type: boolean,
    default: 'false',
    description:
      'Whether X-Forwarded-For is believed. Only behind a proxy that sets it: otherwise clients choose their own address.',
  }),
  graphiql: option({
    env: 'PORCHLIGHT_GRAPHIQL',
    flag: 'graphiql',
    type: boolean,
    default: 'true',
    description: 'Whether browsers are served GraphiQL at /graphql.',
  }),
  introspection: option({
    env: 'PORCHLIGHT_INTROSPECTION',
    flag: 'introspection',
    type: choice<Introspection>({ off: 'off', backends: 'backends', everyone: 'everyone' }),
    default: 'backends',
    description:
      'Who may ask for the schema: nobody, backends alone, or everyone with a credential. GraphiQL completes and documents with it.',
  }),
  maxSockets: option({
    env: 'PORCHLIGHT_MAX_SOCKETS',
    flag: 'max-sockets',
    type: wholeNumber('number', 1, 10_000_000),
    default: '200000',
    description:
      'Open sockets in all; more are refused with 503. A quarter of them may be such as have not said who they are: beyond that the oldest of those is closed with 4414.',
  }),
  maxSocketsPerUser: option({
    env: 'PORCHLIGHT_MAX_SOCKETS_PER_USER',
    flag: 'max-sockets-per-user',
    type: wholeNumber('number', 0, 10_000_000),
    default: '100',
    description: 'Open sockets of one user; more are closed with 4414. 0 is no limit.',
  }),
  maxSocketsPerAddress: option({
    env: 'PORCHLIGHT_MAX_SOCKETS_PER_ADDRESS',
    flag: 'max-sockets-per-address',
    type: wholeNumber('number', 0, 10_000_000),
    default: '25000',
    description:
      'Open sockets from one network address (of IPv6, one /64), behind which there may be a whole carrier, or a proxy (see PORCHLIGHT_TRUST_PROXY); more are refused with 429. 0 is no limit.',
  }),
  maxWatchedPerSocket: option({
    env: 'PORCHLIGHT_MAX_WATCHED_PER_SOCKET',
    flag: 'max-watched-per-socket',
    type: wholeNumber('number', 500, 1_000_000),
    default: '10000',
    description: 'Users watched over one socket, all of its subscriptions together. One more is RATE_LIMITED.',
  }),
  ratePerSession: option({
    env: 'PORCHLIGHT_RATE_PER_SESSION',
    flag: 'rate-per-session',
    type: wholeNumber('number', 0, 1_000_000),
    default: '100',
    description:
      'Messages and requests a second of one session; ten times as many at once are let through. More are RATE_LIMITED, and who goes on all the same is closed with 4414. 0 is no limit.',
  }),
  ratePerUser: option({
    env: 'PORCHLIGHT_RATE_PER_USER',
    flag: 'rate-per-user',
    type: wholeNumber('number', 0, 1_000_000),
    default: '300',
    description: 'The same of one user, all her devices together.',
  }),
  ratePerAddress: option({
    env: 'PORCHLIGHT_RATE_PER_ADDRESS',
    flag: 'rate-per-address',
    type: wholeNumber('number', 0, 10_000_000),
    default: '50000',
    description: 'The same from one network address. Backends are not counted.',
  }),
  maxLag: option({
    env: 'PORCHLIGHT_MAX_LAG',
    flag: 'max-lag',
    type: duration(10, 60_000),
    default: '1s',
    description:
      'How long the event loop may be behind, or a change wait for the disk, before new logins and watches are answered OVERLOADED. Heartbeats go through all the same.',
  }),
  metrics: option({
    env: 'PORCHLIGHT_METRICS',
    flag: 'metrics',
    type: boolean,
    default: 'true',
    description: 'Whether /metrics is served, for Prometheus, to an API key or the metrics token.',
  }),
  metricsToken: secret({
    env: 'PORCHLIGHT_METRICS_TOKEN',
    type: bearerToken,
    description: 'A token that may read /metrics and nothing else: `Authorization: Bearer …`. At least 16 characters.',
  }),
  logUserIds: option({
    env: 'PORCHLIGHT_LOG_USER_IDS',
    flag: 'log-user-ids',
    type: boolean,
    default: 'false',
    description: 'Whether logs and traces name users as they are. Otherwise by a hash, the same until the next start.',
  }),
  webhookAllowHttp: option({
    env: 'PORCHLIGHT_WEBHOOK_ALLOW_HTTP',
    flag: 'webhook-allow-http',
    type: boolean,
    default: 'false',
    description: 'Whether webhooks may have http: URLs. What is sent there can be read on the way.',
  }),
  webhookAllowPrivate: option({
    env: 'PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE',
    flag: 'webhook-allow-private',
    type: privateNetworks,
    default: 'false',
    description:
      'Addresses that are not public (private, loopback, link-local …) and that webhooks may be sent to all the same: networks, separated by commas, such as 10.1.0.0/16,::1/128; `true` is all of them.',
  }),
  webhookTimeout: option({
    env: 'PORCHLIGHT_WEBHOOK_TIMEOUT',
    flag: 'webhook-timeout',
    type: duration(100, 60_000),
    default: '10s',
    description: 'How long a receiver may take to answer, from looking its name up to the end of its answer.',
  }),
  webhookRetryFor: option({
    env: 'PORCHLIGHT_WEBHOOK_RETRY_FOR',
    flag: 'webhook-retry-for',
    type: duration(0, 30 * 86_400_000),
    default: '3d',
    description: 'How long a delivery that fails is tried again, in ms, s, m, h or d, before it is DEAD.',
  }),
  tencent: option({
    env: 'PORCHLIGHT_TENCENT',
    flag: 'tencent',
    type: boolean,
    default: 'false',
    description:
      'Whether the paths of Tencent IM’s server API for statuses are served under /v4/, and a UserSig may log in. Needs the app id and the key below.',
  }),
  tencentAppId: option({
    env: 'PORCHLIGHT_TENCENT_APP_ID',
    flag: 'tencent-app-id',
    type: wholeNumber('number', 1, 4_294_967_295),
    default: null,
    description: 'The SDKAppID that requests and UserSigs must name, and that webhooks of the format TENCENT carry.',
  }),
  tencentAdmin: option({
    env: 'PORCHLIGHT_TENCENT_ADMIN',
    flag: 'tencent-admin',
    type: text('account'),
    default: 'administrator',
    description: 'The account whose UserSig may call the server API.',
  }),
  tencentKey: secret({
    env: 'PORCHLIGHT_TENCENT_KEY',
    type: sharedSecret,
    description: 'The key that UserSigs are signed with (HMAC-SHA256): the bytes of this text as they stand.',
  }),
  tencentPlatformNames: option({
    env: 'PORCHLIGHT_TENCENT_PLATFORM_NAMES',
    flag: 'tencent-platform-names',
    type: choice<TencentPlatformNames>({ documented: 'DOCUMENTED', query: 'QUERY', webhook: 'WEBHOOK' }),
    default: 'documented',
    description:
      'How platforms are spelled, which Tencent’s documents do in two ways: `query` is iPhone and PC, `webhook` is iOS, Windows and Linux, in both places; `documented` is each in its own.',
  }),
  tencentWebTimeout: option({
    env: 'PORCHLIGHT_TENCENT_WEB_TIMEOUT',
    flag: 'tencent-web-timeout',
    type: choice<TencentWebTimeout>({ linkclose: 'LinkClose', timeout: 'TimeOut' }),
    default: 'linkclose',
    description:
      'The Reason of a heartbeat timeout on WEB and MINI_PROGRAM in webhooks of the format TENCENT: LinkClose, as Tencent’s documents say of the web, or TimeOut, as they say of heartbeats.',
  }),
  platformPreset: option({
    env: 'PORCHLIGHT_PLATFORM_PRESET',
    flag: 'platform-preset',
    type: choice<PlatformPreset>({
      current: 'CURRENT',
      'mobile-only': 'MOBILE_ONLY',
      classic: 'CLASSIC',
    }),
    default: 'current',
    description: 'Platform table of a new database.',
  }),
  multiDevice: option({
    env: 'PORCHLIGHT_MULTI_DEVICE',
    flag: 'multi-device',
    type: choice<MultiDeviceMode>({
      single: 'SINGLE',
      dual: 'DUAL',
      triple: 'TRIPLE',
      multi: 'MULTI',
      custom: 'CUSTOM',
    }),
    default: 'single',
    description: 'Which platforms of one user may be logged in at once, in a new database.',
  }),
  multiDeviceGroups: option({
    env: 'PORCHLIGHT_MULTI_DEVICE_GROUPS',
    flag: 'multi-device-groups',
    type: deviceGroups,
    default: null,
    description:
      'With `custom`, and only then: groups of platforms that exclude each other, such as ANDROID,IPHONE;WEB. For a new database.',
  }),
  platforms: option({
    env: 'PORCHLIGHT_PLATFORMS',
    flag: 'platforms',
    type: platformRows,
    default: '[]',
    description:
      'Rows laid over the preset in a new database: a JSON array of PlatformPolicyInput, such as [{"platform":"WEB","heartbeatTimeoutMs":90000}]. Times in milliseconds.',
  }),
  pushOnlineExpiry: option({
    env: 'PORCHLIGHT_PUSH_ONLINE_EXPIRY',
    flag: 'push-online-expiry',
    type: duration(MIN_TIMEOUT_MS, MAX_PUSH_ONLINE_EXPIRY_MS),
    default: '7d',
    description: 'How long a device stays PUSH_ONLINE without a sign of life, in ms, s, m, h or d, in a new database.',
  }),
} as const;

export type OptionName = keyof typeof OPTIONS;
export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

type ValueOf<O> = O extends Option<infer T, infer Default> ? (Default extends string ? T : T | null) : never;

/** The parsed value of every option, by its name in the table. */
export type Settings = { readonly [Name in OptionName]: ValueOf<(typeof OPTIONS)[Name]> };

/** Where a value came from. `generated`: made by the server at its first start, kept in a file. */
export type Origin = 'flag' | 'environment' | 'file' | 'default' | 'generated';
