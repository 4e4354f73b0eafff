/** The only place where the parts are put together: started, watched over, and stopped in the order of their needs. */
import type { Logger } from 'pino';
import { createPorchlight, type Application } from './app/application.ts';
import { Sweeper } from './app/presence/timeout-sweeper.ts';
import type { Formats } from './app/ports/webhook-format.ts';
import type { WebhookParts } from './app/webhooks/webhook-service.ts';
import type { Config } from './config/config.ts';
import { secretFiles } from './config/secret-file-paths.ts';
import { DomainError } from './core/errors.ts';
import { seedPolicy } from './core/policy.ts';
import { WEBHOOK_FORMATS } from './core/enums.ts';
import { DoorCounts } from './server/metrics/counters.ts';
import { createLog } from './log/log.ts';
import { userNames, type UserNames } from './log/user-pseudonyms.ts';
import { graphiqlHandler } from './server/graphiql/handler.ts';
import { metricsHandler } from './server/metrics/metrics-handler.ts';
import { createMetrics } from './server/metrics/metrics.ts';
import type { PageHandler } from './server/http/router.ts';
import { Port } from './server/http/listener.ts';
import { createServer, type PorchlightServer } from './server/server.ts';
import { credentials } from './server/auth/session-token.ts';
import { Starting } from './server/startup-handler.ts';
import { StartupError } from './process/startup-error.ts';
import { whenToStop, withinBound } from './process/shutdown.ts';
import { StoreClock, wallClock } from './storage/clock.ts';
import { StorageError } from './storage/sqlite/file/errors.ts';
import { openSqliteStore } from './storage/sqlite/open.ts';
import type { SqliteStore } from './storage/sqlite/store.ts';
import { tencentApi, tencentFront } from './tencent/server-api.ts';
import { userSigTokens } from './tencent/user-tokens.ts';
import { tencentFormat } from './tencent/webhook-format.ts';
import type { Traces } from './traces/traces.ts';
import { version } from './process/version.ts';
import { Addresses } from './webhooks/http/address-policy.ts';
import { Courier } from './webhooks/http/http-sender.ts';
import { WebhookEngine } from './webhooks/delivery/engine.ts';
import { webhookSecrets } from './webhooks/format/secrets.ts';
import { standardFormat } from './webhooks/format/standard-webhooks.ts';
import { Targets } from './webhooks/http/url-policy.ts';

/** How often it is asked who is due: far below the second by which a timeout may be late. */
const SWEEP_EVERY_MS = 50;

/**
 * Serves until SIGTERM or SIGINT (a second one ends the process at once), or until the store fails.
 * @returns the exit code: 0 after a clean shutdown, 1 otherwise. @throws StartupError when it cannot start.
 */
export const serve = async (config: Config): Promise<number> => {
  const log = createLog(config.logLevel);
  const nameOf = userNames(config.logUserIds);
  const stop = whenToStop(log);
  const clock = new StoreClock();
  const front = entrance(config, log);
  const address = await front.port.listen();
  const restoring = openStore(config, clock, log, stop.storeFailed);
  const restored = await Promise.race([restoring, stop.reason.then(() => null)]).catch(async (error: unknown) => {
    await front.close();
    throw error;
  });
  const ended = async (shutdown: () => Promise<void>): Promise<number> => {
    const exitCode = await stop.reason;
    const clean = await withinBound(shutdown, log);
    return clean && !stop.faulty() ? exitCode : 1;
  };
  if (restored === null) {
    return ended(async () => {
      await front.close();
      const store = await restoring;
      await store.close();
    });
  }

  const delivering = deliveringWebhooks(config, restored, log);
  const porchlight = createPorchlight(restored, credentials, config.visibility, delivering.parts);
  const sweeper = new Sweeper(restored, porchlight.tracker, (userId, error) => {
    // That nothing can be written is said once, not for each of them each second.
    if (error instanceof DomainError) return;
    const user = nameOf(userId);
    log.error({ user, err: error }, 'A user whose time had come could not be woken; she will be again.');
  });
  const traces = await startTracing(log);
  const server = doors(config, porchlight, front, { store: restored, sweeper, delivering }, { log, nameOf, traces });
  server.open();
  delivering.engine.start();
  const stopSweeping = sweeping(sweeper, clock, front.port, log);
  greet(config, address);
  return ended(async () => {
    front.starting.close();
    await Promise.all([server.close(), delivering.close()]);
    stopSweeping();
    await Promise.all([restored.close(), traces?.close()]);
  });
};

/** What is there before the store is. */
interface Entrance {
  readonly port: Port;
  readonly graphiql: PageHandler | undefined;
  readonly starting: Starting;
  /** For good. */
  close(): Promise<void>;
}

/** Whoever comes is told that the server is starting, until it opens its doors there. */
const entrance = (config: Config, log: Logger): Entrance => {
  const { allowedOrigins } = config;
  const foreign = config.tencent === null ? undefined : tencentFront;
  const graphiql = config.graphiql
    ? graphiqlHandler((error) => log.error({ err: error }, 'GraphiQL could not be served.'))
    : undefined;
  const starting = new Starting({ allowedOrigins, graphiql, foreign, log });
  const port = new Port({ settings: config, counts: new DoorCounts(), log });
  port.leadTo(starting);
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
      sleeps: clock.sleeps,
      policySeed: seedPolicy(config.policySeed),
      eventRetentionMs: config.eventRetentionMs,
      onFailure,
      onDisk: (refusal) => {
        if (refusal === null) log.warn('The disk takes what is written again.');
        else log.error({ err: refusal }, 'The disk takes nothing: whoever changes something is refused until it does.');
      },
      onWarning: (error) => log.warn({ err: error }, 'Work in the background failed and will be tried again.'),
    });
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    throw new StartupError(error.message, error.mayPass ? 1 : 78, { cause: error });
  }
};

interface Delivering {
  readonly parts: WebhookParts;
  /** Not started yet. */
  readonly engine: WebhookEngine;
  /** For good, before the store is closed. */
  close(): Promise<void>;
}

const deliveringWebhooks = ({ webhooks, tencent }: Config, store: SqliteStore, log: Logger): Delivering => {
  const { allowHttp, allowPrivate, timeoutMs, retryForMs } = webhooks;
  const addresses = new Addresses(allowPrivate);
  const targets = new Targets(addresses, allowHttp);
  const formats: Formats = {
    STANDARD: standardFormat,
    ...(tencent === null ? {} : { TENCENT: tencentFormat(tencent) }),
  };
  const courier = new Courier({
    formats,
    addresses,
    targets,
    timeoutMs,
    userAgent: `Porchlight/${version()}`,
    now: () => store.now(),
    wallClock,
    onFault: (error) => log.error({ err: error }, 'A request of a webhook could not be made.'),
  });
  const engine = new WebhookEngine(
    { store, webhooks: store.webhooks, courier },
    {
      retryForMs,
      onWarning: (error, what) => log.warn({ err: error }, what),
      onNews: (what, about) => log.warn(about, what),
    },
  );
  const served = WEBHOOK_FORMATS.filter((format) => formats[format] !== undefined);
  return {
    parts: { store: store.webhooks, secrets: webhookSecrets, targets, courier, formats: served, retryForMs },
    engine,
    close: async () => {
      await engine.close();
      courier.close();
    },
  };
};

/** Only where somebody takes them: the libraries for it take as long to load as all the rest of ours. */
const startTracing = async (log: Logger): Promise<Traces | null> => {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_SDK_DISABLED } = process.env;
  if (OTEL_SDK_DISABLED?.toLowerCase() === 'true') return null;
  if (!OTEL_EXPORTER_OTLP_ENDPOINT && !OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) return null;
  const { startTraces } = await import('./traces/traces.ts');
  return startTraces(version(), (error) => log.warn({ err: error }, 'Traces could not be sent to their collector.'));
};

/** What has figures of its own. */
interface Measured {
  readonly store: SqliteStore;
  readonly sweeper: Sweeper;
  readonly delivering: Delivering;
}

const doors = (
  config: Config,
  porchlight: Application,
  { port, graphiql }: Entrance,
  { store, sweeper, delivering }: Measured,
  { log, nameOf, traces }: { readonly log: Logger; readonly nameOf: UserNames; readonly traces: Traces | null },
): PorchlightServer => {
  const { tencent } = config;
  const { maxSockets } = config.limits;
  const measured = {
    porchlight,
    counts: port.counts,
    sweeper,
    storage: store,
    webhooks: () => delivering.engine.figures(),
    maxSockets,
    version: version(),
  };
  return createServer({
    porchlight,
    port,
    log,
    nameOf,
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
      userTokens: tencent === null ? [] : [userSigTokens(tencent)],
      introspection: config.introspection,
      maxLagMs: config.maxLagMs,
    },
    graphiql,
    foreign: tencent === null ? undefined : tencentApi(porchlight, tencent),
    ...(config.metrics ? { metrics: metricsHandler(createMetrics(measured), config) } : {}),
  });
};

/** @param clock has been still since it was made: whoever was restored is not silent while nobody is let in. */
const sweeping = (sweeper: Sweeper, clock: StoreClock, port: Port, log: Logger): (() => void) => {
  const sweep = (): void => {
    sweeper.tick().catch((error: unknown) => log.error({ err: error }, 'It could not be asked who is due.'));
  };
  const ticking = setInterval(() => {
    const slept = clock.tick();
    if (slept > 0) port.slept(slept);
    // After what came in meanwhile was read: a sign of life that lay there is heard before its time is up.
    setImmediate(sweep);
  }, SWEEP_EVERY_MS);
  return () => {
    clearInterval(ticking);
    sweeper.stop();
  };
};

/** A few lines for the person who started it. Secrets are named by their files. */
const greet = (config: Config, { host, port }: { readonly host: string; readonly port: number }): void => {
  const reachable = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const origin = `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
  const files = secretFiles(config.database);
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
