/** The only place where the parts are put together: started, watched over, and stopped in the order of their needs. */
import type { Logger } from 'pino';
import { createApplication, type Application } from './app/application.ts';
import { TimeoutSweeper } from './app/presence/timeout-sweeper.ts';
import type { WebhookFormatters } from './app/ports/webhook-format.ts';
import type { WebhookServiceOptions } from './app/webhooks/webhook-service.ts';
import type { Config } from './config/config.ts';
import { secretFilePaths } from './config/secret-file-paths.ts';
import { DomainError } from './core/errors.ts';
import { createPolicyFromSeed } from './core/policy.ts';
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
import { StartupError } from './process/startup-error.ts';
import { onShutdown, runShutdown } from './process/shutdown.ts';
import { StoreClock, readWallClock } from './storage/clock.ts';
import { DatabaseFileError } from './storage/sqlite/file/errors.ts';
import { openSqliteStore } from './storage/sqlite/open.ts';
import type { SqliteStore } from './storage/sqlite/store.ts';
import { createTencentApi, tencentApiBase } from './tencent/server-api.ts';
import { createUserSigVerifier } from './tencent/user-tokens.ts';
import { createTencentFormat } from './tencent/webhook-format.ts';
import type { TraceExporter } from './traces/traces.ts';
import { readVersion } from './process/version.ts';
import { AddressPolicy } from './webhooks/http/address-policy.ts';
import { HttpSender } from './webhooks/http/http-sender.ts';
import { WebhookEngine } from './webhooks/delivery/engine.ts';
import { webhookSecrets } from './webhooks/format/secrets.ts';
import { standardFormat } from './webhooks/format/standard-webhooks.ts';
import { UrlPolicy } from './webhooks/http/url-policy.ts';

/** How often it is asked who is due: far below the second by which a timeout may be late. */
const SWEEP_EVERY_MS = 50;

/**
 * Serves until SIGTERM or SIGINT (a second one ends the process at once), or until the store fails.
 * @returns the exit code: 0 after a clean shutdown, 1 otherwise. @throws StartupError when it cannot start.
 */
export const serve = async (config: Config): Promise<number> => {
  const log = createLogger(config.logLevel);
  const nameOf = createUserPseudonymizer(config.logUserIds);
  const stop = onShutdown(log);
  const clock = new StoreClock();
  const front = startListener(config, log);
  const address = await front.port.listen();
  const restoring = openStore(config, clock, log, stop.reportStoreFailure);
  const restored = await Promise.race([restoring, stop.exitCode.then(() => null)]).catch(async (error: unknown) => {
    await front.close();
    throw error;
  });
  const ended = async (shutdown: () => Promise<void>): Promise<number> => {
    const exitCode = await stop.exitCode;
    const clean = await runShutdown(shutdown, log);
    return clean && !stop.hasUncaughtError() ? exitCode : 1;
  };
  if (restored === null) {
    return ended(async () => {
      await front.close();
      const store = await restoring;
      await store.close();
    });
  }

  const delivering = buildWebhookDelivery(config, restored, log);
  const porchlight = createApplication(restored, credentialFactory, config.visibility, delivering.parts);
  const sweeper = new TimeoutSweeper(restored, porchlight.tracker, (userId, error) => {
    // That nothing can be written is said once, not for each of them each second.
    if (error instanceof DomainError) return;
    const user = nameOf(userId);
    log.error({ user, err: error }, 'A user whose time had come could not be woken; she will be again.');
  });
  const traces = await startTracing(log);
  const server = buildServer(
    config,
    porchlight,
    front,
    { store: restored, sweeper, delivering },
    { log, nameOf, traces },
  );
  server.acceptRequests();
  delivering.engine.start();
  const stopSweeping = startSweeping(sweeper, clock, front.port, log);
  printBanner(config, address);
  return ended(async () => {
    front.starting.close();
    await Promise.all([server.close(), delivering.close()]);
    stopSweeping();
    await Promise.all([restored.close(), traces?.close()]);
  });
};

/** What is there before the store is. */
interface StartupListener {
  readonly port: HttpListener;
  readonly graphiql: PageHandler | undefined;
  readonly starting: StartupHandler;
  /** For good. */
  close(): Promise<void>;
}

/** Whoever comes is told that the server is starting, until it opens its doors there. */
const startListener = (config: Config, log: Logger): StartupListener => {
  const { allowedOrigins } = config;
  const foreign = config.tencent === null ? undefined : tencentApiBase;
  const graphiql = config.graphiql
    ? createGraphiqlHandler((error) => log.error({ err: error }, 'GraphiQL could not be served.'))
    : undefined;
  const starting = new StartupHandler({ allowedOrigins, graphiql, externalApi: foreign, log });
  const port = new HttpListener({ settings: config, counters: new ServerCounters(), log });
  port.setHandler(starting);
  return {
    port,
    graphiql,
    starting,
    close: () => port.close(() => starting.close()),
  };
};

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
      processPauses: clock.getProcessPauses,
      policySeed: createPolicyFromSeed(config.policySeed),
      eventRetentionMs: config.eventRetentionMs,
      onFailure,
      onDiskStateChange: (refusal) => {
        if (refusal === null) log.warn('The disk takes what is written again.');
        else log.error({ err: refusal }, 'The disk takes nothing: whoever changes something is refused until it does.');
      },
      onWarning: (error) => log.warn({ err: error }, 'Work in the background failed and will be tried again.'),
    });
  } catch (error) {
    if (!(error instanceof DatabaseFileError)) throw error;
    throw new StartupError(error.message, error.isTransient ? 1 : 78, { cause: error });
  }
};

interface WebhookDeliveryParts {
  readonly parts: WebhookServiceOptions;
  /** Not started yet. */
  readonly engine: WebhookEngine;
  /** For good, before the store is closed. */
  close(): Promise<void>;
}

const buildWebhookDelivery = ({ webhooks, tencent }: Config, store: SqliteStore, log: Logger): WebhookDeliveryParts => {
  const { allowHttp, allowPrivate, timeoutMs, retryForMs } = webhooks;
  const addresses = new AddressPolicy(allowPrivate);
  const targets = new UrlPolicy(addresses, allowHttp);
  const formats: WebhookFormatters = {
    STANDARD: standardFormat,
    ...(tencent === null ? {} : { TENCENT: createTencentFormat(tencent) }),
  };
  const courier = new HttpSender({
    formats,
    addressPolicy: addresses,
    urlPolicy: targets,
    timeoutMs,
    userAgent: `Porchlight/${readVersion()}`,
    storeNow: () => store.now(),
    wallClockNow: readWallClock,
    onInternalError: (error) => log.error({ err: error }, 'A request of a webhook could not be made.'),
  });
  const engine = new WebhookEngine(
    { store, webhooks: store.webhooks, sender: courier },
    {
      retryForMs,
      onWarning: (error, what) => log.warn({ err: error }, what),
      onStateChange: (what, about) => log.warn(about, what),
    },
  );
  const served = WEBHOOK_FORMATS.filter((format) => formats[format] !== undefined);
  return {
    parts: {
      store: store.webhooks,
      secretFactory: webhookSecrets,
      urlPolicy: targets,
      sender: courier,
      formats: served,
      retryForMs,
    },
    engine,
    close: async () => {
      await engine.close();
      courier.close();
    },
  };
};

/** Only where somebody takes them: the libraries for it take as long to load as all the rest of ours. */
const startTracing = async (log: Logger): Promise<TraceExporter | null> => {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_SDK_DISABLED } = process.env;
  if (OTEL_SDK_DISABLED?.toLowerCase() === 'true') return null;
  if (!OTEL_EXPORTER_OTLP_ENDPOINT && !OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return null;
  const { startTraceExporter: startTraces } = await import('./traces/traces.ts');
  return startTraces(readVersion(), (error) =>
    log.warn({ err: error }, 'Traces could not be sent to their collector.'),
  );
};

/** What has figures of its own. */
interface MetricsSources {
  readonly store: SqliteStore;
  readonly sweeper: TimeoutSweeper;
  readonly delivering: WebhookDeliveryParts;
}

const buildServer = (
  config: Config,
  porchlight: Application,
  { port, graphiql }: StartupListener,
  { store, sweeper, delivering }: MetricsSources,
  {
    log,
    nameOf,
    traces,
  }: { readonly log: Logger; readonly nameOf: UserPseudonymizer; readonly traces: TraceExporter | null },
): PorchlightServer => {
  const { tencent } = config;
  const { maxSockets } = config.limits;
  const measured = {
    application: porchlight,
    counters: port.counters,
    sweeper,
    storage: store,
    webhooks: () => delivering.engine.collectStats(),
    maxSockets,
    version: readVersion(),
  };
  return createServer({
    application: porchlight,
    listener: port,
    log,
    pseudonymOf: nameOf,
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
      userTokens: tencent === null ? [] : [createUserSigVerifier(tencent)],
      introspection: config.introspection,
      maxLagMs: config.maxLagMs,
    },
    graphiql,
    externalApi: tencent === null ? undefined : createTencentApi(porchlight, tencent),
    ...(config.metrics ? { metrics: createMetricsHandler(createMetrics(measured), config) } : {}),
  });
};

/** @param clock has been still since it was made: whoever was restored is not silent while nobody is let in. */
const startSweeping = (sweeper: TimeoutSweeper, clock: StoreClock, port: HttpListener, log: Logger): (() => void) => {
  const sweep = (): void => {
    sweeper.sweep().catch((error: unknown) => log.error({ err: error }, 'It could not be asked who is due.'));
  };
  const ticking = setInterval(() => {
    const slept = clock.detectPause();
    if (slept > 0) port.extendTimeouts(slept);
    // After what came in meanwhile was read: a sign of life that lay there is heard before its time is up.
    setImmediate(sweep);
  }, SWEEP_EVERY_MS);
  return () => {
    clearInterval(ticking);
    sweeper.stop();
  };
};

/** A few lines for the person who started it. Secrets are named by their files. */
const printBanner = (config: Config, { host, port }: { readonly host: string; readonly port: number }): void => {
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const origin = `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
  const files = secretFilePaths(config.database);
  const lines = [
    `Porchlight is ready at ${origin}/graphql${config.graphiql ? ' (GraphiQL, in a browser)' : ''}`,
    config.jwtSecret === null
      ? '  a user’s token: from whoever signs with the keys of the JWKS'
      : '  a user’s token: npx porchlight token --user alice',
    config.origins.apiKeys === 'generated'
      ? `  a backend’s key: in ${files.apiKey}`
      : '  a backend’s key: as configured',
    `  database: ${config.database}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
};
