/** Composes the server: creates all parts, starts them, and stops them in the order of their dependencies. */
import type { Logger } from 'pino';
import { createApplication, type Application } from './app/application.ts';
import { TimeoutSweeper } from './app/presence/timeout-sweeper.ts';
import type { OperatorLog } from './app/ports/operator-log.ts';
import type { WebhookFormatters } from './app/ports/webhook-format.ts';
import type { WebhookServiceOptions } from './app/webhooks/webhook-service.ts';
import type { Config } from './config/config.ts';
import { getSecretFilePaths } from './config/secret-file-paths.ts';
import { DomainError } from './core/errors.ts';
import { createPolicyFromSeed } from './core/policy.ts';
import type { WebhookRecord } from './core/webhooks/webhook.ts';
import { WEBHOOK_FORMATS } from './core/enums.ts';
import { ServerCounters } from './server/metrics/counters.ts';
import { createLogger } from './log/log.ts';
import { createUserPseudonymizer, type UserPseudonymizer } from './log/user-pseudonyms.ts';
import { createGraphiqlHandler } from './server/graphiql/handler.ts';
import { createMetricsHandler } from './server/metrics/metrics-handler.ts';
import { createMetrics } from './server/metrics/metrics.ts';
import type { PageHandler } from './server/http/router.ts';
import { HttpListener } from './server/http/listener.ts';
import { createServer, type PorchlightServer } from './server/server.ts';
import { credentialFactory } from './server/auth/session-token.ts';
import { StartupHandler } from './server/startup-handler.ts';
import { toStartupError } from './process/startup-error.ts';
import { onShutdown, runShutdown } from './process/shutdown.ts';
import { StoreClock, readWallClock } from './storage/clock.ts';
import { DatabaseFileError } from './storage/sqlite/file/errors.ts';
import { openSqliteStore } from './storage/sqlite/open.ts';
import type { SqliteStore } from './storage/sqlite/store.ts';
import { createTencentApi, tencentApiBase } from './tencent/server-api.ts';
import { createUserSigVerifier } from './tencent/user-tokens.ts';
import { createTencentFormat } from './tencent/webhook-format.ts';
import type { ExportingTracer } from './traces/traces.ts';
import { readVersion } from './process/version.ts';
import { AddressPolicy } from './webhooks/http/address-policy.ts';
import { HttpSender } from './webhooks/http/http-sender.ts';
import { WebhookEngine } from './webhooks/delivery/engine.ts';
import { webhookSecrets } from './webhooks/format/secrets.ts';
import { standardFormat } from './webhooks/format/standard-webhooks.ts';
import { UrlPolicy } from './webhooks/http/url-policy.ts';

/** Interval of the checks for due timeouts. A timeout may be late by at most a second. */
const SWEEP_EVERY_MS = 50;

/**
 * Serves until SIGTERM or SIGINT, or until the store fails. A second signal ends the process at once.
 * @returns the exit code: 0 after a clean shutdown, 1 otherwise.
 * @throws StartupError when the server cannot start.
 */
export const runServer = async (config: Config): Promise<number> => {
  const startedAt = performance.now();
  const log = createLogger({ level: config.logLevel, format: config.logFormat });
  const pseudonymOf = createUserPseudonymizer(config.logUserIds);
  const shutdownTrigger = onShutdown(log);
  const clock = new StoreClock();
  const startup = startListener(config, log);
  const address = await startup.listener.listen();
  const opening = openStore(config, clock, log, shutdownTrigger.reportStoreFailure);
  const store = await Promise.race([opening, shutdownTrigger.exitCode.then(() => null)]).catch(
    async (error: unknown) => {
      await startup.close();
      throw error;
    },
  );
  const waitForShutdown = async (shutdown: () => Promise<void>): Promise<number> => {
    const exitCode = await shutdownTrigger.exitCode;
    const isClean = await runShutdown(shutdown, log);
    return isClean && !shutdownTrigger.hasUncaughtError() ? exitCode : 1;
  };
  if (store === null) {
    return waitForShutdown(async () => {
      await startup.close();
      const openedStore = await opening;
      await openedStore.close();
    });
  }
  const loadMs = Math.round(performance.now() - startedAt);

  const webhookDelivery = buildWebhookDelivery(config, store, log);
  const application = createApplication(
    store,
    credentialFactory,
    config.visibility,
    webhookDelivery.serviceOptions,
    createOperatorLog(log, pseudonymOf),
  );
  const sweeper = new TimeoutSweeper(store, application.tracker, (userId, error) => {
    // The store logs once that it cannot write. A line per user and second would add nothing.
    if (error instanceof DomainError) return;
    log.error({ user: pseudonymOf(userId), err: error }, 'Timeout processing failed for a user; it will be retried');
  });
  const traces = await startTracing(log);
  const server = buildServer({
    config,
    application,
    startup,
    store,
    sweeper,
    webhookDelivery,
    log,
    pseudonymOf,
    traces,
  });
  server.acceptRequests();
  webhookDelivery.engine.start();
  const stopSweeping = startSweeping(sweeper, clock, startup.listener, log);
  logStart(config, address, store, loadMs, log);
  printBanner(config, address);
  return waitForShutdown(async () => {
    startup.handler.close();
    await Promise.all([server.close(), webhookDelivery.close()]);
    stopSweeping();
    await Promise.all([store.close(), traces?.shutDown()]);
  });
};

/** The parts that exist before the store is loaded. */
interface StartupListener {
  readonly listener: HttpListener;
  readonly graphiql: PageHandler | undefined;
  readonly handler: StartupHandler;
  /** Stops listening. It cannot be started again. */
  close(): Promise<void>;
}

/** Creates the listener. Until the server accepts requests, a startup handler answers that the server is starting. */
const startListener = (config: Config, log: Logger): StartupListener => {
  const { allowedOrigins } = config;
  const externalApi = config.tencent === null ? undefined : tencentApiBase;
  const graphiql = config.graphiql
    ? createGraphiqlHandler((error) => log.error({ err: error }, 'GraphiQL failed; the client received an error'))
    : undefined;
  const handler = new StartupHandler({ allowedOrigins, graphiql, externalApi, log });
  const listener = new HttpListener({ settings: config, counters: new ServerCounters(), log });
  listener.setHandler(handler);
  return {
    listener,
    graphiql,
    handler,
    close: () => listener.close(() => handler.close()),
  };
};

/** @throws StartupError when the database cannot be used. */
const openStore = async (
  config: Config,
  clock: StoreClock,
  log: Logger,
  onFailure: (error: Error) => void,
): Promise<SqliteStore> => {
  try {
    return await openSqliteStore({
      path: config.database,
      clock: clock.now,
      getProcessPauses: clock.getProcessPauses,
      policySeed: createPolicyFromSeed(config.policySeed),
      eventRetentionMs: config.eventRetentionMs,
      onFailure,
      onDiskStateChange: (error) => {
        if (error === null) log.warn('Writing to the disk works again; changes are accepted');
        else log.error({ err: error }, 'Writing to the disk failed; changes are rejected until it works again');
      },
      onWarning: (error) => log.warn({ err: error }, 'Background work of the store failed; it will be retried'),
    });
  } catch (error) {
    throw error instanceof DatabaseFileError ? toStartupError(error) : error;
  }
};

interface WebhookDelivery {
  readonly serviceOptions: WebhookServiceOptions;
  /** Not started yet. */
  readonly engine: WebhookEngine;
  /** Stops all deliveries. Must be called before the store is closed. */
  close(): Promise<void>;
}

const buildWebhookDelivery = ({ webhooks, tencent }: Config, store: SqliteStore, log: Logger): WebhookDelivery => {
  const { allowHttp, allowPrivate, timeoutMs, retryForMs } = webhooks;
  const addressPolicy = new AddressPolicy(allowPrivate);
  const urlPolicy = new UrlPolicy(addressPolicy, allowHttp);
  const formatters: WebhookFormatters = {
    STANDARD: standardFormat,
    ...(tencent === null ? {} : { TENCENT: createTencentFormat(tencent) }),
  };
  const sender = new HttpSender({
    formats: formatters,
    addressPolicy,
    urlPolicy,
    timeoutMs,
    userAgent: `Porchlight/${readVersion()}`,
    storeNow: () => store.now(),
    wallClockNow: readWallClock,
    onInternalError: (error) =>
      log.error({ err: error }, 'A webhook request could not be built; its delivery will be retried'),
  });
  const engine = new WebhookEngine(
    { store, webhooks: store.webhooks, sender },
    {
      retryForMs,
      onWarning: (error, text) => log.warn({ err: error }, text),
      onStateChange: (text, fields) => log.warn(fields, text),
    },
  );
  return {
    serviceOptions: {
      store: store.webhooks,
      secretFactory: webhookSecrets,
      urlPolicy,
      sender,
      formats: WEBHOOK_FORMATS.filter((format) => formatters[format] !== undefined),
      retryForMs,
    },
    engine,
    close: async () => {
      await engine.close();
      sender.close();
    },
  };
};

/** Logs what backends change. User ids are pseudonyms, and of a webhook URL only the origin is logged. */
const createOperatorLog = (log: Logger, pseudonymOf: UserPseudonymizer): OperatorLog => {
  // The path and the query of a URL may contain a token.
  const webhookFields = ({ id, url, format, state }: WebhookRecord) => ({
    webhookId: id,
    origin: new URL(url).origin,
    format,
    state,
  });
  return {
    policyUpdated: (policy) => log.info({ policy }, 'Policy updated by a backend'),
    sessionsEnded: ({ userId, count, revokedTokens }) =>
      log.info({ user: pseudonymOf(userId), count, revokedTokens }, 'Sessions ended by a backend'),
    webhookCreated: (webhook) => log.info(webhookFields(webhook), 'Webhook created by a backend'),
    webhookUpdated: (webhook) => log.info(webhookFields(webhook), 'Webhook updated by a backend'),
    webhookDeleted: (webhook) => log.info(webhookFields(webhook), 'Webhook deleted by a backend'),
  };
};

/**
 * Starts the export of traces if a collector is configured. Otherwise the OpenTelemetry libraries are not loaded, which
 * would double the start time of the process.
 */
const startTracing = async (log: Logger): Promise<ExportingTracer | null> => {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_SDK_DISABLED } = process.env;
  if (OTEL_SDK_DISABLED?.toLowerCase() === 'true') return null;
  if (!OTEL_EXPORTER_OTLP_ENDPOINT && !OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return null;
  const { startTraceExporter } = await import('./traces/traces.ts');
  return startTraceExporter(readVersion(), (error) =>
    log.warn({ err: error }, 'Traces could not be sent to the collector; they are discarded'),
  );
};

interface ServerParts {
  readonly config: Config;
  readonly application: Application;
  readonly startup: StartupListener;
  readonly store: SqliteStore;
  readonly sweeper: TimeoutSweeper;
  readonly webhookDelivery: WebhookDelivery;
  readonly log: Logger;
  readonly pseudonymOf: UserPseudonymizer;
  readonly traces: ExportingTracer | null;
}

const buildServer = (parts: ServerParts): PorchlightServer => {
  const { config, application, startup, store, sweeper, webhookDelivery, log, pseudonymOf, traces } = parts;
  const tencent = config.tencent === null ? null : { ...config.tencent, clockToleranceMs: config.jwtClockToleranceMs };
  const metricsSources = {
    application,
    counters: startup.listener.counters,
    sweeper,
    storage: store,
    webhooks: () => webhookDelivery.engine.collectStats(),
    maxSockets: config.limits.maxSockets,
    version: readVersion(),
  };
  return createServer({
    application,
    listener: startup.listener,
    log,
    pseudonymOf,
    tracer: traces,
    settings: {
      allowedOrigins: config.allowedOrigins,
      trustProxy: config.trustProxy,
      limits: config.limits,
      apiKeys: config.apiKeys,
      jwtSecret: config.jwtSecret,
      jwksUrl: config.jwksUrl,
      jwtIssuer: config.jwtIssuer,
      jwtAudience: config.jwtAudience,
      jwtClockToleranceMs: config.jwtClockToleranceMs,
      userTokens: tencent === null ? [] : [createUserSigVerifier(tencent)],
      introspection: config.introspection,
      maxLagMs: config.maxLagMs,
      pingIntervalMs: config.pingIntervalMs,
    },
    graphiql: startup.graphiql,
    externalApi: tencent === null ? undefined : createTencentApi(application, tencent),
    ...(config.metrics ? { metrics: createMetricsHandler(createMetrics(metricsSources), config) } : {}),
  });
};

/**
 * Expires timeouts at an interval, and extends them after a process pause. The clock starts with the process, so the
 * time until here does not count as silence of the loaded sessions.
 * @returns a function that stops it.
 */
const startSweeping = (
  sweeper: TimeoutSweeper,
  clock: StoreClock,
  listener: HttpListener,
  log: Logger,
): (() => void) => {
  const sweep = (): void => {
    sweeper
      .sweep()
      .catch((error: unknown) => log.error({ err: error }, 'The timeout check failed; it will be retried'));
  };
  const timer = setInterval(() => {
    const pauseMs = clock.detectPause();
    if (pauseMs > 0) listener.extendTimeouts(pauseMs);
    // After pending input was read, so that activity that has already arrived is processed before the timeout.
    setImmediate(sweep);
  }, SWEEP_EVERY_MS);
  return () => {
    clearInterval(timer);
    sweeper.stop();
  };
};

interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** @param loadMs from the start of the process until the store was loaded. */
const logStart = (
  config: Config,
  { host, port }: ListenAddress,
  store: SqliteStore,
  loadMs: number,
  log: Logger,
): void => {
  const { usersOnline, usersPushOnline, sessions } = store.getPresenceCounts();
  const sessionCount = Object.values(sessions).reduce((sum, { online, pushOnline }) => sum + online + pushOnline, 0);
  const fields = { version: readVersion(), host, port, database: config.database };
  log.info({ ...fields, usersOnline, usersPushOnline, sessions: sessionCount, loadMs }, 'Server started');
};

/** Prints how to use the server, for the person who started it. It names the files of secrets, but no secret. */
const printBanner = (config: Config, { host, port }: ListenAddress): void => {
  const reachableHost = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const origin = `http://${reachableHost.includes(':') ? `[${reachableHost}]` : reachableHost}:${port}`;
  const files = getSecretFilePaths(config.database);
  const lines = [
    `Porchlight is ready at ${origin}/graphql${config.graphiql ? ' (GraphiQL, in a browser)' : ''}`,
    config.jwtSecret === null
      ? '  user tokens: signed by the owner of the JWKS'
      : '  user tokens: npx porchlight token --user alice',
    config.origins.apiKeys === 'generated' ? `  API key:     in ${files.apiKey}` : '  API key:     as configured',
    `  database:    ${config.database}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
};
