/** A complete server on a free port over the reference store, with a clock that tests can advance. */
import { createHash, createSecretKey } from 'node:crypto';
import { SignJWT } from 'jose';
import { onTestFinished } from 'vitest';
import type { ExternalApi } from '../../../../src/app/ports/external-api.ts';
import { createApplication, type Application } from '../../../../src/app/application.ts';
import { TimeoutSweeper } from '../../../../src/app/presence/timeout-sweeper.ts';
import { toMillis, type Millis } from '../../../../src/core/ids.ts';
import { createPolicyFromSeed, type PolicySeed } from '../../../../src/core/policy.ts';
import type { Visibility } from '../../../../src/core/visibility.ts';
import { createLogger } from '../../../../src/log/log.ts';
import { createUserPseudonymizer } from '../../../../src/log/user-pseudonyms.ts';
import { ServerCounters } from '../../../../src/server/metrics/counters.ts';
import { createMetricsHandler } from '../../../../src/server/metrics/metrics-handler.ts';
import { createMetrics } from '../../../../src/server/metrics/metrics.ts';
import type { ConnectionSettings } from '../../../../src/server/websocket/connection-settings.ts';
import type { LimitSettings } from '../../../../src/server/limits/limit-settings.ts';
import type { PageHandler } from '../../../../src/server/http/router.ts';
import { HttpListener, type HttpTimeouts } from '../../../../src/server/http/listener.ts';
import { createServer, type PorchlightServer, type ServerSettings } from '../../../../src/server/server.ts';
import { credentialFactory } from '../../../../src/server/auth/session-token.ts';
import { WebhookEngine } from '../../../../src/webhooks/delivery/engine.ts';
import { RETRY_FOR_MS, webhookParts, type TestParts } from '../../../unit/app/webhooks/webhook-parts.ts';
import { MemoryStore } from '../../../contract/memory-store.ts';
import { readMetrics, type MetricValues } from '../../../support/prometheus.ts';

export const API_KEY = 'plk_the-key-of-the-tests';
export const SECRET = 'a secret of the tests, long enough for HS256';

/** Grants access to /metrics only. */
export const METRICS_TOKEN = 'plm_the-metrics-token-of-the-tests';

export const sha256 = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();

export interface ServerHarnessOptions {
  readonly settings?: Partial<ServerSettings>;
  readonly policy?: PolicySeed;
  readonly visibility?: Visibility;
  readonly connectionSettings?: Partial<ConnectionSettings>;
  readonly httpTimeouts?: Partial<HttpTimeouts>;
  /** The address to listen on. Any free port by default. */
  readonly listenAt?: Partial<typeof ADDRESS>;
  readonly graphiql?: PageHandler;
  /** Executions of an operation before it is compiled. By default every operation is compiled at once. */
  readonly compileAfter?: number;
  /** Serves /metrics. Default: true. */
  readonly metrics?: boolean;
  /** Serves the API of another product. */
  readonly externalApi?: (application: Application) => ExternalApi;
  /** How long failed webhook deliveries are retried. */
  readonly retryForMs?: number;
  /** See `MemoryStore`. */
  readonly beforeCommit?: () => Promise<void>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly data?: Record<string, never> | null; readonly errors?: readonly ReplyError[] };
}

export interface ReplyError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: Record<string, unknown> & { readonly code: string };
}

export class ServerHarness {
  readonly url: string;
  readonly socketUrl: string;
  readonly store: MemoryStore;
  readonly application: Application;
  /** The store, the sender and the other parts of webhooks. */
  readonly webhooks: TestParts;
  /** Delivers webhooks after it is started. */
  readonly engine: WebhookEngine;
  readonly server: PorchlightServer;
  /** The log lines as JSON text. */
  readonly logLines: string[];
  readonly #clock: ShiftedClock;
  readonly #sweeper: TimeoutSweeper;

  private constructor(parts: {
    url: string;
    store: MemoryStore;
    application: Application;
    webhooks: TestParts;
    engine: WebhookEngine;
    server: PorchlightServer;
    logLines: string[];
    clock: ShiftedClock;
    sweeper: TimeoutSweeper;
  }) {
    this.url = `http://${parts.url}`;
    this.socketUrl = `ws://${parts.url}/graphql`;
    this.store = parts.store;
    this.application = parts.application;
    this.webhooks = parts.webhooks;
    this.engine = parts.engine;
    this.server = parts.server;
    this.logLines = parts.logLines;
    this.#clock = parts.clock;
    this.#sweeper = parts.sweeper;
  }

  /** Opens a server that is closed when the test finishes. */
  static async open({
    settings,
    policy,
    visibility,
    connectionSettings,
    httpTimeouts,
    graphiql,
    compileAfter = 0,
    metrics = true,
    externalApi,
    retryForMs = RETRY_FOR_MS,
    beforeCommit,
    listenAt,
  }: ServerHarnessOptions = {}): Promise<ServerHarness> {
    const clock = new ShiftedClock();
    const store = new MemoryStore({
      clock: clock.now,
      policySeed: createPolicyFromSeed(policy ?? {}),
      eventRetentionMs: 30 * 86_400_000,
      ...(beforeCommit === undefined ? {} : { beforeCommit }),
    });
    const webhooks = webhookParts(clock.now);
    const application = createApplication(store, credentialFactory, visibility ?? 'everyone', webhooks);
    const sweeper = new TimeoutSweeper(store, application.tracker, (_user, error) => {
      throw error;
    });
    const logLines: string[] = [];
    const counters = new ServerCounters();
    const engine = new WebhookEngine(
      { store, webhooks: webhooks.store, sender: webhooks.sender },
      {
        retryForMs,
        onWarning: (error) => {
          throw error;
        },
        onStateChange: () => undefined,
      },
    );
    const registry = createMetrics({
      application,
      counters,
      sweeper,
      storage: null,
      webhooks: () => engine.collectStats(),
      maxSockets: 1_000,
      version: '1.2.3',
    });
    const metricsAuth = { apiKeys: SETTINGS.apiKeys, metricsToken: sha256(METRICS_TOKEN) };
    const log = createLogger({ level: 'debug', sink: { write: (line) => void logLines.push(line) } });
    const mergedSettings = { ...SETTINGS, ...settings };
    const listener = new HttpListener({
      settings: { ...mergedSettings, ...ADDRESS, ...listenAt },
      counters,
      log,
      timeouts: httpTimeouts,
    });
    const server = createServer({
      application,
      settings: mergedSettings,
      listener,
      log,
      pseudonymOf: createUserPseudonymizer(false),
      ...(graphiql === undefined ? {} : { graphiql }),
      externalApi: externalApi?.(application),
      ...(metrics ? { metrics: createMetricsHandler(registry, metricsAuth) } : {}),
      ...(connectionSettings === undefined ? {} : { connectionSettings }),
      pipelineLimits: { compileAfterExecutions: compileAfter },
    });
    server.acceptRequests();
    const address = await listener.listen();
    onTestFinished(async () => {
      await Promise.all([engine.close(), server.close()]);
    });
    return new ServerHarness({
      url: `${address.host}:${address.port}`,
      store,
      application,
      webhooks,
      engine,
      server,
      logLines,
      clock,
      sweeper,
    });
  }

  get now(): Millis {
    return this.#clock.now();
  }

  /** Advances the clock without running the timeouts that become due. */
  advanceClock(ms: number): void {
    this.#clock.shift(ms);
  }

  /** Advances the clock and runs the timeouts that become due. */
  async advanceTime(ms: number): Promise<void> {
    this.#clock.shift(ms);
    await this.#sweeper.sweep();
  }

  /** Signs a JWT as the backend of an app does. `claims` replaces claims; undefined removes one. */
  jwt(user: string, claims: Record<string, unknown> = {}, secret = SECRET): Promise<string> {
    const now = Math.floor(this.now / 1_000);
    const allClaims = Object.entries({ sub: user, iat: now, exp: now + 3_600, ...claims });
    return new SignJWT(Object.fromEntries(allClaims.filter(([, value]) => value !== undefined)))
      .setProtectedHeader({ alg: 'HS256' })
      .sign(createSecretKey(Buffer.from(secret, 'utf8')));
  }

  /** Posts one operation. `credential` is the bearer token. */
  async post(
    query: string,
    credential: string | null = API_KEY,
    variables?: Record<string, unknown>,
    headers: Record<string, string> = {},
  ): Promise<Reply> {
    return this.send(JSON.stringify({ query, variables }), {
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
      ...headers,
    });
  }

  async send(body: string, headers: Record<string, string> = {}): Promise<Reply> {
    const response = await fetch(`${this.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
    });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Reply['body'] };
  }

  /** Logs a user in over HTTP. Returns the session id and the session token. */
  async login(user: string, platform = 'WEB', deviceId = `device of ${user}`): Promise<{ id: string; token: string }> {
    const { body } = await this.post(LOGIN, await this.jwt(user), { input: { platform, deviceId } });
    const { session, sessionToken } = body.data?.['login'] as unknown as {
      session: { id: string };
      sessionToken: string;
    };
    return { id: session.id, token: sessionToken };
  }

  /** The values of /metrics. */
  async metrics(): Promise<MetricValues> {
    const response = await fetch(`${this.url}/metrics`, { headers: { authorization: `Bearer ${METRICS_TOKEN}` } });
    return readMetrics(await response.text());
  }

  async status(user: string): Promise<string> {
    const { body } = await this.post('query ($id: ID!) { userStatus(userId: $id) { status } }', API_KEY, { id: user });
    return (body.data?.['userStatus'] as unknown as { status: string }).status;
  }

  /** The reasons of all events of a user, in order. */
  async reasons(user: string): Promise<string[]> {
    const { body } = await this.post('query ($id: ID!) { events(userId: $id) { nodes { reason } } }', API_KEY, {
      id: user,
    });
    return (body.data?.['events'] as unknown as { nodes: { reason: string }[] }).nodes.map(({ reason }) => reason);
  }
}

export const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { session { id } sessionToken } }';

/** The default limits. Tests of limits override them. */
export const LIMITS: LimitSettings = {
  maxSockets: 200_000,
  maxSocketsPerUser: 100,
  maxSocketsPerAddress: 25_000,
  maxWatchedPerSocket: 10_000,
  ratePerSession: 100,
  ratePerUser: 300,
  ratePerAddress: 50_000,
};

/** Port 0 selects a free port. */
const ADDRESS = { host: '127.0.0.1', port: 0, httpKeepAliveMs: 130_000 };

const SETTINGS: ServerSettings = {
  apiKeys: [sha256('plk_another-key-of-the-tests'), sha256(API_KEY)],
  jwtSecret: createSecretKey(Buffer.from(SECRET, 'utf8')),
  jwksUrl: null,
  jwtIssuer: null,
  jwtAudience: null,
  // Tests of the tolerance set it. Without one, the times of tokens are exact.
  jwtClockToleranceMs: 0,
  allowedOrigins: [],
  trustProxy: false,
  limits: LIMITS,
  introspection: 'backends',
  // Load shedding must not affect other tests on a busy machine.
  maxLagMs: 60_000,
  pingIntervalMs: 25_000,
};

/** Runs with the system time and can be moved forward. */
class ShiftedClock {
  #shift = 0;

  readonly now = (): Millis => toMillis(Math.floor(Date.now() + this.#shift));

  shift(ms: number): void {
    this.#shift += ms;
  }
}

export const codeOf = ({ body }: Reply): string | undefined => body.errors?.[0]?.extensions.code;
