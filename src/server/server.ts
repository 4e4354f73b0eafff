/** Assembles the HTTP and WebSocket endpoints behind one listener. They start and stop together. */
import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { schema } from '../api/schema.ts';
import type { ExternalApi } from '../app/ports/external-api.ts';
import type { Application } from '../app/application.ts';
import type { IntrospectionAccess } from '../core/visibility.ts';
import { createAuthenticator, hasApiKey, type AuthSettings } from './auth/authenticate.ts';
import type { LimitSettings } from './limits/limit-settings.ts';
import { createExternalApiHandler } from './http/external-api-handler.ts';
import { createGraphqlHandler } from './http/graphql-handler.ts';
import { HeapMonitor } from './limits/heap-monitor.ts';
import { createRouter, type PageHandler, type RequestHandler } from './http/router.ts';
import { OperationRecorder, type OperationTracer } from './metrics/operation-recorder.ts';
import { OriginPolicy, type AllowedOrigins } from './auth/allowed-origins.ts';
import { EventLoopLagMonitor } from './limits/event-loop-lag.ts';
import { LoadShedder } from './graphql/load-shedding.ts';
import { Pipeline, type PipelineLimits } from './graphql/pipeline.ts';
import type { HttpListener } from './http/listener.ts';
import { createClientAddressResolver, type TrustedProxies } from './limits/client-address.ts';
import { RateLimiter } from './limits/rate-limiter.ts';
import { warnOfUntrustedProxy } from './limits/untrusted-proxy.ts';
import type { RejectionCounters } from './metrics/rejection-counters.ts';
import { GraphqlWebSocketServer } from './websocket/websocket-server.ts';
import { createPingSettings, type ConnectionSettings } from './websocket/connection-settings.ts';

export interface ServerSettings extends AuthSettings {
  readonly allowedOrigins: AllowedOrigins;
  readonly trustProxy: TrustedProxies;
  readonly limits: LimitSettings;
  readonly introspection: IntrospectionAccess;
  /** Lag of the event loop or of the disk, in ms, above which deferrable operations receive OVERLOADED. */
  readonly maxLagMs: number;
  /** The interval at which every WebSocket is pinged and every event stream gets a comment. */
  readonly pingIntervalMs: number;
}

export interface ServerOptions {
  readonly application: Application;
  readonly settings: ServerSettings;
  readonly log: Logger;
  /** Returns the name under which a user appears in the log. */
  readonly pseudonymOf: (userId: string) => string;
  /** Null: operations are not traced. */
  readonly tracer?: OperationTracer | null;
  readonly graphiql?: PageHandler | undefined;
  /** Serves /metrics and checks the caller's credentials itself. */
  readonly metrics?: RequestHandler;
  /** Another product's API, served under its own path prefix. Omitted: no such API is served. */
  readonly externalApi?: ExternalApi | undefined;
  /** May be listening already. The server handles its requests from `acceptRequests` on. */
  readonly listener: HttpListener;
  /** Overrides of the defaults, for tests. */
  readonly connectionSettings?: Partial<ConnectionSettings>;
  /** Overrides of the defaults, for tests. */
  readonly pipelineLimits?: Partial<PipelineLimits>;
}

/** Numbers of resources that the server currently holds for clients. */
export interface OpenResources {
  /** WebSockets, including those whose close is still being processed. */
  readonly sockets: number;
  /** Subscriptions over HTTP. */
  readonly httpStreams: number;
  /** Distinct selections that WebSocket watchers share. */
  readonly sharedResults: number;
}

export interface PorchlightServer {
  /** Covers both transports. */
  readonly rejections: Readonly<RejectionCounters>;
  /** `uninitialisedCount` is the part of `openCount` that has not sent `connection_init`. */
  readonly sockets: { readonly openCount: number; readonly uninitialisedCount: number };
  /** A snapshot of the moment of reading. */
  readonly openResources: OpenResources;
  /** HTTP connections that are not WebSockets. */
  readonly connections: { readonly openCount: number };
  /** Reports ready, and handles all requests of the listener from now on. */
  acceptRequests(): void;
  /**
   * Reports unready and accepts no new connections. Closes sockets with 1012, ends streams and answers pending requests.
   * Resolves when all connections are closed; no operation reaches the store after that.
   */
  close(): Promise<void>;
}

/** Requests in flight may delay the shutdown by this much. */
const MAX_RESPONSE_WAIT_MS = 5_000;

export const createServer = ({
  application,
  settings,
  log,
  pseudonymOf,
  tracer = null,
  graphiql,
  metrics,
  externalApi,
  listener,
  connectionSettings,
  pipelineLimits,
}: ServerOptions): PorchlightServer => {
  let isReady = false;
  const { allowedOrigins, limits, trustProxy } = settings;
  const resolveClientAddress = warnOfUntrustedProxy(createClientAddressResolver(trustProxy), trustProxy, log);
  const originPolicy = new OriginPolicy({ allowedOrigins, trustProxy, log });
  const rateLimiter = new RateLimiter(limits);
  const { counters } = listener;
  const { rejections } = counters;
  const authenticate = createAuthenticator(application.store, settings, (error) => {
    counters.jwksFailures++;
    log.warn(
      { err: error },
      'The JWKS is unavailable or has secret keys; tokens are checked with the usable keys known so far',
    );
  });
  const lagMonitor = new EventLoopLagMonitor();
  const heapMonitor = new HeapMonitor();
  const loadShedder = new LoadShedder({
    maxLagMs: settings.maxLagMs,
    readLoopLagMs: () => lagMonitor.lagMs,
    readWriteBacklog: () => application.store.getWriteBacklog(),
    isMemoryLow: () => heapMonitor.isMemoryLow,
  });
  const pipeline = new Pipeline(
    schema,
    (error) => {
      counters.internalErrors++;
      log.error({ err: error }, 'An operation failed with an internal error; the client received a masked error');
    },
    { introspection: settings.introspection, loadShedder },
    pipelineLimits,
  );
  const operationRecorder = new OperationRecorder(counters, log, pseudonymOf, tracer);
  const webSocketServer = new GraphqlWebSocketServer({
    application,
    pipeline,
    operationRecorder,
    authenticate,
    originPolicy,
    resolveClientAddress,
    log,
    counters,
    rateLimiter,
    socketLimits: limits,
    maxWatchedUsers: limits.maxWatchedPerSocket,
    connectionSettings: { ...createPingSettings(settings.pingIntervalMs), ...connectionSettings },
  });
  const responses = new InFlightResponses();
  const handleExternalRequest = (api: ExternalApi): RequestHandler =>
    createExternalApiHandler({
      api,
      operationRecorder,
      loadShedder,
      rateLimiter,
      counters,
      resolveClientAddress,
      log,
      now: () => application.store.now(),
    });
  const route = createRouter({
    graphql: createGraphqlHandler({
      application,
      pipeline,
      operationRecorder,
      authenticate,
      isApiKeyRequest: (authorization) => hasApiKey(authorization, settings.apiKeys),
      rateLimiter,
      rejections,
      resolveClientAddress,
      pingIntervalMs: settings.pingIntervalMs,
    }),
    originPolicy,
    state: () => (isReady ? 'ready' : 'stopping'),
    graphiql,
    metrics,
    externalApi:
      externalApi === undefined
        ? undefined
        : { prefix: externalApi.pathPrefix, handle: handleExternalRequest(externalApi) },
    log,
  });

  return {
    rejections,
    sockets: webSocketServer.socketLimiter,
    get openResources() {
      return {
        sockets: webSocketServer.connectionCount,
        httpStreams: pipeline.httpStreamCount,
        sharedResults: pipeline.sharedResultCount,
      };
    },
    connections: listener.connectionLimiter,
    acceptRequests: () => {
      isReady = true;
      listener.setHandler({
        handleRequest: (request, response) => {
          // A proxy must not send its next request over a connection that is about to be closed.
          if (!isReady) response.setHeader('Connection', 'close');
          responses.track(response);
          route(request, response);
        },
        handleUpgrade: (request, socket, head) => {
          listener.connectionLimiter.release(request.socket);
          webSocketServer.handleUpgrade(request, socket, head);
        },
      });
    },
    close: async () => {
      isReady = false;
      application.webhookService.close();
      await listener.close(() => {
        pipeline.endHttpStreams();
        return Promise.all([webSocketServer.close(), responses.waitUntilWritten(MAX_RESPONSE_WAIT_MS)]);
      });
      lagMonitor.stop();
      heapMonitor.stop();
    },
  };
};

/** The responses that are not completely written yet. */
class InFlightResponses {
  readonly #open = new Set<ServerResponse>();
  #onAllWritten: (() => void) | null = null;

  track(response: ServerResponse): void {
    this.#open.add(response);
    response.once('close', () => {
      this.#open.delete(response);
      if (this.#open.size === 0) this.#onAllWritten?.();
    });
  }

  /** Resolves when all responses are written, or after `maxWaitMs`. Their connections are not kept alive. */
  async waitUntilWritten(maxWaitMs: number): Promise<void> {
    if (this.#open.size === 0) return;
    for (const response of this.#open) if (!response.headersSent) response.setHeader('Connection', 'close');
    await new Promise<void>((resolve) => {
      const timeout = setTimeout(resolve, maxWaitMs);
      this.#onAllWritten = () => {
        clearTimeout(timeout);
        resolve();
      };
    });
  }
}
