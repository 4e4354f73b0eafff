/**
 * The table of all options. Environment variables, flags, `--help`, `porchlight config` and docs/configuration.md
 * are generated from it.
 */
import { MAX_PUSH_ONLINE_EXPIRY_MS, MIN_TIMEOUT_MS } from '../core/policy.ts';
import { networkListType, originListType, trustedProxiesType } from './network-value-types.ts';
import { deviceGroupsType, platformRulesType } from './policy-value-types.ts';
import { apiKeyListType, bearerTokenType, type SecretType, sharedSecretType } from './secret-value-types.ts';
import {
  booleanType,
  choiceType,
  databaseFileType,
  durationType,
  httpUrlType,
  textType,
  type ValueType,
  wholeNumberType,
} from './value-types.ts';
import type { IntrospectionAccess, Visibility } from '../core/visibility.ts';
import type { MultiDeviceMode, PlatformPreset } from '../core/enums.ts';

/** The sections of `--help` and of docs/configuration.md, in this order. */
export const OPTION_GROUPS = {
  server: 'Server',
  authentication: 'Authentication',
  access: 'Access',
  limits: 'Limits',
  observability: 'Logs and metrics',
  webhooks: 'Webhooks',
  policy: 'Policy of a new database',
  tencent: 'Tencent IM compatibility',
} as const;

export type OptionGroup = keyof typeof OPTION_GROUPS;

export interface Option<T = unknown, Default extends string | null = string | null> {
  readonly group: OptionGroup;
  readonly env: string;
  /** Another variable that is read when `env` is not set. */
  readonly envFallback?: string;
  /** Null for a secret, because every user of the machine can read the command line of a process. */
  readonly flag: string | null;
  readonly type: ValueType<T>;
  /** The default as a person would write it. Null: no value. */
  readonly default: Default;
  /** True: the value is never shown, and can also be read from the file that `<env>_FILE` names. */
  readonly isSecret: boolean;
  /** Plain sentences. They are shown in `--help` and in docs/configuration.md. */
  readonly description: string;
}

const defineOption = <T, const Default extends string | null>(
  given: Omit<Option<T, Default>, 'isSecret'>,
): Option<T, Default> => ({ ...given, isSecret: false });

const defineSecret = <T>(
  given: Omit<Option<T, null>, 'isSecret' | 'flag' | 'default' | 'type'> & { readonly type: SecretType<T> },
): Option<T, null> => ({
  ...given,
  flag: null,
  default: null,
  isSecret: true,
});

export type TencentPlatformNames = 'DOCUMENTED' | 'QUERY' | 'WEBHOOK';

export type TencentWebTimeout = 'LinkClose' | 'TimeOut';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/** `auto`: pretty on a terminal, JSON elsewhere. */
export type LogFormat = 'auto' | 'json' | 'pretty';

/** 100 years. */
const MAX_RETENTION_MS = 36_500 * 86_400_000;

export const OPTIONS = {
  host: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_HOST',
    flag: 'host',
    type: textType('address'),
    default: '127.0.0.1',
    description: 'Address to listen on. 0.0.0.0 or :: listens on every network interface.',
  }),
  port: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_PORT',
    envFallback: 'PORT',
    flag: 'port',
    type: wholeNumberType('port', 0, 65_535),
    default: '4000',
    description: 'TCP port to listen on. 0 selects any free port.',
  }),
  database: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_DATABASE',
    flag: 'database',
    type: databaseFileType,
    default: './data/porchlight.db',
    description:
      'Path of the SQLite file, which is created when it is missing. Generated secrets are stored beside it.',
  }),
  eventRetention: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_EVENT_RETENTION',
    flag: 'event-retention',
    type: durationType(1_000, MAX_RETENTION_MS),
    default: '30d',
    description: 'How long events are kept: a number with ms, s, m, h or d, at least 1s.',
  }),
  trustProxy: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_TRUST_PROXY',
    flag: 'trust-proxy',
    type: trustedProxiesType,
    default: 'false',
    description:
      'Proxies whose headers `Forwarded` and `X-Forwarded-…` report the address of the client, and the host and scheme that it used: a list such as 10.0.0.0/8,loopback. `true` trusts every proxy and uses the leftmost entry; clients can forge it unless a proxy overwrites the headers. `false` ignores the headers.',
  }),
  pingInterval: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_PING_INTERVAL',
    flag: 'ping-interval',
    type: durationType(1_000, 600_000),
    default: '25s',
    description:
      'Interval in which the server pings every WebSocket and sends a comment in every event stream. It must be shorter than the idle timeout of every proxy between the server and its clients.',
  }),
  httpKeepAlive: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_HTTP_KEEP_ALIVE',
    flag: 'http-keep-alive',
    type: durationType(1_000, 3_600_000),
    default: '130s',
    description:
      'How long an idle HTTP connection is kept open. It must be longer than the time for which a proxy keeps idle connections to the server, or the proxy answers some requests with 502.',
  }),
  graphiql: defineOption({
    group: 'server',
    env: 'PORCHLIGHT_GRAPHIQL',
    flag: 'graphiql',
    type: booleanType,
    default: 'true',
    description: 'Whether /graphql serves GraphiQL to browsers.',
  }),

  jwtSecret: defineSecret({
    group: 'authentication',
    env: 'PORCHLIGHT_JWT_SECRET',
    type: sharedSecretType,
    description:
      'Secret with which the backend of the app signs user tokens (HS256), at least 32 bytes. ' +
      'The UTF-8 bytes of this text are the key; `base64:` and the Base64 of its bytes is a binary key. ' +
      'If neither this nor a JWKS URL is set, a secret is generated in the file jwt-secret beside the database.',
  }),
  allowShortKeys: defineOption({
    group: 'authentication',
    env: 'PORCHLIGHT_ALLOW_SHORT_KEYS',
    flag: 'allow-short-keys',
    type: booleanType,
    default: 'false',
    description:
      'Whether the JWT secret and the Tencent key may be shorter than 32 bytes. Each start then prints a warning, because such a key can be guessed from a token.',
  }),
  jwksUrl: defineOption({
    group: 'authentication',
    env: 'PORCHLIGHT_JWKS_URL',
    flag: 'jwks-url',
    type: httpUrlType,
    default: null,
    description: 'URL of the JWK set with the public keys that verify user tokens.',
  }),
  jwtIssuer: defineOption({
    group: 'authentication',
    env: 'PORCHLIGHT_JWT_ISSUER',
    flag: 'jwt-issuer',
    type: textType('text'),
    default: null,
    description: 'Required `iss` claim of user tokens. Not checked when unset.',
  }),
  jwtAudience: defineOption({
    group: 'authentication',
    env: 'PORCHLIGHT_JWT_AUDIENCE',
    flag: 'jwt-audience',
    type: textType('text'),
    default: null,
    description: 'Required `aud` claim of user tokens. Not checked when unset.',
  }),
  jwtClockTolerance: defineOption({
    group: 'authentication',
    env: 'PORCHLIGHT_JWT_CLOCK_TOLERANCE',
    flag: 'jwt-clock-tolerance',
    type: durationType(0, 600_000),
    default: '60s',
    description:
      'How far the clock of a backend may be ahead or behind: `exp` and `nbf` of user tokens are tolerated by this much. ' +
      'After a revocation, a new token of the user is accepted when its `iat` is later by this much.',
  }),
  apiKeys: defineSecret({
    group: 'authentication',
    env: 'PORCHLIGHT_API_KEYS',
    type: apiKeyListType,
    description:
      'API keys of the backends, separated by commas or line breaks, at least 16 visible ASCII characters each. ' +
      'Each key has full access. ' +
      'When unset, a key is generated in the file api-key beside the database.',
  }),

  visibility: defineOption({
    group: 'access',
    env: 'PORCHLIGHT_VISIBILITY',
    flag: 'visibility',
    type: choiceType<Visibility>({ everyone: 'everyone', none: 'none' }),
    default: 'everyone',
    description: 'Which users a user may query and watch when the token has no `watch` claim.',
  }),
  allowedOrigins: defineOption({
    group: 'access',
    env: 'PORCHLIGHT_ALLOWED_ORIGINS',
    flag: 'allowed-origins',
    type: originListType,
    default: '',
    description:
      'Web origins whose pages may call this server, separated by commas, such as https://app.example.com. The origin of the server is always allowed. `*` alone allows every origin; other wildcards are not supported.',
  }),
  introspection: defineOption({
    group: 'access',
    env: 'PORCHLIGHT_INTROSPECTION',
    flag: 'introspection',
    type: choiceType<IntrospectionAccess>({ off: 'off', backends: 'backends', everyone: 'everyone' }),
    default: 'backends',
    description:
      'Which callers may introspect the schema: none, backends only, or every authenticated caller. GraphiQL needs introspection for completion and documentation.',
  }),

  maxSockets: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_MAX_SOCKETS',
    flag: 'max-sockets',
    type: wholeNumberType('number', 1, 10_000_000),
    default: '200000',
    description:
      'Maximum number of open WebSockets. Further upgrades are refused with 503. At most a quarter of them may be unauthenticated; above that, the oldest unauthenticated socket is closed with 4414.',
  }),
  maxSocketsPerUser: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_MAX_SOCKETS_PER_USER',
    flag: 'max-sockets-per-user',
    type: wholeNumberType('number', 0, 10_000_000),
    default: '100',
    description:
      'Maximum number of open WebSockets of one user. Further sockets are closed with 4414. 0 means no limit.',
  }),
  maxSocketsPerAddress: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_MAX_SOCKETS_PER_ADDRESS',
    flag: 'max-sockets-per-address',
    type: wholeNumberType('number', 0, 10_000_000),
    default: '25000',
    description:
      'Maximum number of open WebSockets from one IPv4 address or IPv6 /64 network. Further upgrades are refused with 429. Many users may share one address behind a NAT or a proxy (see PORCHLIGHT_TRUST_PROXY). 0 means no limit.',
  }),
  maxWatchedPerSocket: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_MAX_WATCHED_PER_SOCKET',
    flag: 'max-watched-per-socket',
    type: wholeNumberType('number', 500, 1_000_000),
    default: '10000',
    description:
      'Maximum number of users watched over one WebSocket, counted over all of its subscriptions. Further watches are answered RATE_LIMITED.',
  }),
  ratePerSession: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_RATE_PER_SESSION',
    flag: 'rate-per-session',
    type: wholeNumberType('number', 0, 1_000_000),
    default: '100',
    description:
      'Maximum messages and requests per second of one session. A burst may have ten times as many. Excess messages are answered RATE_LIMITED; a client that continues is closed with 4414. 0 means no limit.',
  }),
  ratePerUser: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_RATE_PER_USER',
    flag: 'rate-per-user',
    type: wholeNumberType('number', 0, 1_000_000),
    default: '300',
    description: 'Maximum messages and requests per second of one user, counted over all devices. 0 means no limit.',
  }),
  ratePerAddress: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_RATE_PER_ADDRESS',
    flag: 'rate-per-address',
    type: wholeNumberType('number', 0, 10_000_000),
    default: '50000',
    description:
      'Maximum messages and requests per second from one IPv4 address or IPv6 /64 network. Backends are not counted. 0 means no limit.',
  }),
  maxLag: defineOption({
    group: 'limits',
    env: 'PORCHLIGHT_MAX_LAG',
    flag: 'max-lag',
    type: durationType(10, 60_000),
    default: '1s',
    description:
      'Maximum delay of the event loop or of a disk write. Above it, new logins and subscriptions are answered OVERLOADED. Heartbeats are still accepted.',
  }),

  logLevel: defineOption({
    group: 'observability',
    env: 'PORCHLIGHT_LOG_LEVEL',
    flag: 'log-level',
    type: choiceType<LogLevel>({
      trace: 'trace',
      debug: 'debug',
      info: 'info',
      warn: 'warn',
      error: 'error',
      fatal: 'fatal',
      silent: 'silent',
    }),
    default: 'info',
    description: 'Minimum log level.',
  }),
  logFormat: defineOption({
    group: 'observability',
    env: 'PORCHLIGHT_LOG_FORMAT',
    flag: 'log-format',
    type: choiceType<LogFormat>({ auto: 'auto', json: 'json', pretty: 'pretty' }),
    default: 'auto',
    description:
      'Format of the log on stderr: `json` writes one JSON object per line, `pretty` writes text. `auto` is pretty when stderr is a terminal.',
  }),
  logUserIds: defineOption({
    group: 'observability',
    env: 'PORCHLIGHT_LOG_USER_IDS',
    flag: 'log-user-ids',
    type: booleanType,
    default: 'false',
    description: 'Whether logs and traces contain user ids. Otherwise they contain hashes that change at every start.',
  }),
  metrics: defineOption({
    group: 'observability',
    env: 'PORCHLIGHT_METRICS',
    flag: 'metrics',
    type: booleanType,
    default: 'true',
    description: 'Whether /metrics serves Prometheus metrics. Reading them needs an API key or the metrics token.',
  }),
  metricsToken: defineSecret({
    group: 'observability',
    env: 'PORCHLIGHT_METRICS_TOKEN',
    type: bearerTokenType,
    description:
      'Bearer token that may read /metrics and nothing else, at least 16 visible ASCII characters. Clients send it as `Authorization: Bearer …`.',
  }),

  webhookAllowHttp: defineOption({
    group: 'webhooks',
    env: 'PORCHLIGHT_WEBHOOK_ALLOW_HTTP',
    flag: 'webhook-allow-http',
    type: booleanType,
    default: 'false',
    description: 'Whether webhooks may have http: URLs. Such requests are not encrypted.',
  }),
  webhookAllowPrivate: defineOption({
    group: 'webhooks',
    env: 'PORCHLIGHT_WEBHOOK_ALLOW_PRIVATE',
    flag: 'webhook-allow-private',
    type: networkListType,
    default: 'false',
    description:
      'Non-public networks (private, loopback, link-local …) to which webhooks may be sent, separated by commas, such as 10.1.0.0/16,::1/128. `true` allows all of them.',
  }),
  webhookTimeout: defineOption({
    group: 'webhooks',
    env: 'PORCHLIGHT_WEBHOOK_TIMEOUT',
    flag: 'webhook-timeout',
    type: durationType(100, 60_000),
    default: '10s',
    description: 'Maximum duration of one webhook request, from the name lookup to the end of the response.',
  }),
  webhookRetryFor: defineOption({
    group: 'webhooks',
    env: 'PORCHLIGHT_WEBHOOK_RETRY_FOR',
    flag: 'webhook-retry-for',
    type: durationType(0, 30 * 86_400_000),
    default: '3d',
    description:
      'How long a failing delivery is retried before it becomes DEAD: a number with ms, s, m, h or d, at most 30d.',
  }),

  platformPreset: defineOption({
    group: 'policy',
    env: 'PORCHLIGHT_PLATFORM_PRESET',
    flag: 'platform-preset',
    type: choiceType<PlatformPreset>({
      current: 'CURRENT',
      'mobile-only': 'MOBILE_ONLY',
      classic: 'CLASSIC',
    }),
    default: 'current',
    description: 'Platform table of a new database.',
  }),
  multiDevice: defineOption({
    group: 'policy',
    env: 'PORCHLIGHT_MULTI_DEVICE',
    flag: 'multi-device',
    type: choiceType<MultiDeviceMode>({
      single: 'SINGLE',
      dual: 'DUAL',
      triple: 'TRIPLE',
      multi: 'MULTI',
      custom: 'CUSTOM',
    }),
    default: 'single',
    description: 'Which platforms of one user may be logged in at the same time, in a new database.',
  }),
  multiDeviceGroups: defineOption({
    group: 'policy',
    env: 'PORCHLIGHT_MULTI_DEVICE_GROUPS',
    flag: 'multi-device-groups',
    type: deviceGroupsType,
    default: null,
    description:
      'Groups of platforms that exclude each other, such as ANDROID,IPHONE;WEB, in a new database. Required with the mode `custom`, and not allowed with another mode.',
  }),
  platforms: defineOption({
    group: 'policy',
    env: 'PORCHLIGHT_PLATFORMS',
    flag: 'platforms',
    type: platformRulesType,
    default: '[]',
    description:
      'Changes to the platform preset of a new database: a JSON array of PlatformPolicyInput, such as [{"platform":"WEB","heartbeatTimeoutMs":90000}]. Times are in milliseconds.',
  }),
  pushOnlineExpiry: defineOption({
    group: 'policy',
    env: 'PORCHLIGHT_PUSH_ONLINE_EXPIRY',
    flag: 'push-online-expiry',
    type: durationType(MIN_TIMEOUT_MS, MAX_PUSH_ONLINE_EXPIRY_MS),
    default: '7d',
    description:
      'How long a session stays PUSH_ONLINE without activity, in a new database: a number with ms, s, m, h or d.',
  }),

  tencent: defineOption({
    group: 'tencent',
    env: 'PORCHLIGHT_TENCENT',
    flag: 'tencent',
    type: booleanType,
    default: 'false',
    description:
      'Whether the status API of Tencent IM is served under /v4/, and a UserSig is accepted as a user token. Requires the app id and the key.',
  }),
  tencentAppId: defineOption({
    group: 'tencent',
    env: 'PORCHLIGHT_TENCENT_APP_ID',
    flag: 'tencent-app-id',
    type: wholeNumberType('number', 1, 4_294_967_295),
    default: null,
    description: 'SDKAppID that requests and UserSigs must contain. Webhooks of the format TENCENT contain it too.',
  }),
  tencentAdmin: defineOption({
    group: 'tencent',
    env: 'PORCHLIGHT_TENCENT_ADMIN',
    flag: 'tencent-admin',
    type: textType('account'),
    default: 'administrator',
    description: 'Account whose UserSig may call the server API.',
  }),
  tencentKey: defineSecret({
    group: 'tencent',
    env: 'PORCHLIGHT_TENCENT_KEY',
    type: sharedSecretType,
    description:
      'Key that signs UserSigs (HMAC-SHA256), at least 32 bytes. The UTF-8 bytes of this text are the key; `base64:` and the Base64 of its bytes is a binary key.',
  }),
  tencentPlatformNames: defineOption({
    group: 'tencent',
    env: 'PORCHLIGHT_TENCENT_PLATFORM_NAMES',
    flag: 'tencent-platform-names',
    type: choiceType<TencentPlatformNames>({ documented: 'DOCUMENTED', query: 'QUERY', webhook: 'WEBHOOK' }),
    default: 'documented',
    description:
      'Spelling of platform names. `query`: iPhone and PC. `webhook`: iOS, Windows and Linux. `documented`: `query` in responses and `webhook` in webhooks, as Tencent documents them.',
  }),
  tencentWebTimeout: defineOption({
    group: 'tencent',
    env: 'PORCHLIGHT_TENCENT_WEB_TIMEOUT',
    flag: 'tencent-web-timeout',
    type: choiceType<TencentWebTimeout>({ linkclose: 'LinkClose', timeout: 'TimeOut' }),
    default: 'linkclose',
    description:
      'Reason in TENCENT webhooks for a heartbeat timeout on WEB and MINI_PROGRAM. Tencent documents LinkClose for the web and TimeOut for heartbeats.',
  }),
} as const;

export type OptionName = keyof typeof OPTIONS;
export const OPTION_NAMES = Object.keys(OPTIONS) as OptionName[];

type ValueOf<O> = O extends Option<infer T, infer Default> ? (Default extends string ? T : T | null) : never;

/** The parsed value of every option, by its name in the table. */
export type OptionValues = { readonly [Name in OptionName]: ValueOf<(typeof OPTIONS)[Name]> };

/** Where a value came from. `generated`: the server creates it at the first start and keeps it in a file. */
export type ValueOrigin = 'flag' | 'environment' | 'file' | 'default' | 'generated';
