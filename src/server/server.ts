/** Both doors behind one port, opened and closed together. */
import type { ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { schema } from '../api/schema.ts';
import type { ForeignApi } from '../app/ports/external-api.ts';
import type { Application } from '../app/application.ts';
import type { Millis } from '../core/ids.ts';
import type { Introspection } from '../core/visibility.ts';
import { createAuthenticate, isBackend, type AuthSettings } from './auth/authenticate.ts';
import type { DoorLimits } from './limits/limit-settings.ts';
import { createForeign } from './http/external-api-handler.ts';
import { createGraphqlHttp } from './http/graphql-handler.ts';
import { HeapRoom } from './limits/heap-monitor.ts';
import { createHttpHandler, type PageHandler, type RequestHandler } from './http/router.ts';
import { Operations, type OperationTracer } from './metrics/operation-recorder.ts';
import type { AllowedOrigins } from './auth/allowed-origins.ts';
import { LoopLag } from './limits/event-loop-lag.ts';
import { Overload } from './graphql/load-shedding.ts';
import { Pipeline, type PipelineLimits } from './graphql/pipeline.ts';
import type { Port } from './http/listener.ts';
import { Rates } from './limits/rate-limiter.ts';
import type { Refusals } from './metrics/rejection-counters.ts';
import { SocketDoor } from './websocket/websocket-server.ts';
import type { SocketLimits } from './websocket/connection-settings.ts';

export interface ServerSettings extends AuthSettings {
  readonly allowedOrigins: AllowedOrigins;
  readonly trustProxy: boolean;
  readonly limits: DoorLimits;
  readonly introspection: Introspection;
  /** How far the event loop, or the disk, may be behind before what can wait is OVERLOADED. */
  readonly maxLagMs: number;
}

export interface ServerOptions {
  readonly porchlight: Application;
  readonly settings: ServerSettings;
  readonly log: Logger;
  /** What a user is called in the log. */
  readonly nameOf: (userId: string) => string;
  /** Null: operations are not traced. */
  readonly tracer?: OperationTracer | null;
  readonly graphiql?: PageHandler | undefined;
  /** Answers requests for /metrics, whoever asks. */
  readonly metrics?: RequestHandler;
  /** Another product's API, served under its own paths; left out, nothing is. */
  readonly foreign?: ForeignApi | undefined;
  /** May be open already: whoever comes is taken in from `open` on. */
  readonly port: Port;
  /** Other than the usual ones, for tests. */
  readonly socketLimits?: Partial<SocketLimits>;
  /** Likewise. */
  readonly pipelineLimits?: Partial<PipelineLimits>;
}

/** What the doors hold open for clients. */
export interface Held {
  /** WebSockets, until everybody knows of their end. */
  readonly sockets: number;
  /** Subscriptions over HTTP. */
  readonly streams: number;
  /** What those who watch over WebSockets asked for, each once. */
  readonly shapes: number;
}

export interface PorchlightServer {
  /** Of both doors. */
  readonly refusals: Readonly<Refusals>;
  /** Sockets that are open, and those of them that have not sent `connection_init`. */
  readonly sockets: { readonly open: number; readonly silent: number };
  /** As of now. */
  readonly held: Held;
  /** Those that are no sockets. */
  readonly connections: { readonly open: number };
  /** Ready at once: takes whoever comes to the port. */
  open(): void;
  /**
   * Unready at once; takes nobody in; sockets are closed with 1012, streams ended, requests answered.
   * Resolves when everybody is gone, and nothing more will reach the store.
   */
  close(): Promise<void>;
}

/** How long requests under way may hold up the end. */
const LAST_ANSWERS_MS = 5_000;

export const createServer = ({
  porchlight,
  settings,
  log,
  nameOf,
  tracer = null,
  graphiql,
  metrics,
  foreign,
  port,
  socketLimits,
  pipelineLimits,
}: ServerOptions): PorchlightServer => {
  let ready = false;
  const { allowedOrigins, trustProxy, limits } = settings;
  const rates = new Rates(limits);
  const { counts } = port;
  const { refusals } = counts;
  const authenticate = createAuthenticate(porchlight.store, settings, (error) => {
    counts.keysUnavailable++;
    log.warn({ err: error }, 'The JWKS could not be fetched.');
  });
  const lag = new LoopLag();
  const heap = new HeapRoom();
  const overload = new Overload({
    maxLagMs: settings.maxLagMs,
    loopLagMs: () => lag.ms,
    workload: () => porchlight.store.workload(),
    isShortOfMemory: () => heap.isShort,
  });
  const pipeline = new Pipeline(
    schema,
    (error) => {
      counts.faults++;
      log.error({ err: error }, 'An operation failed.');
    },
    { introspection: settings.introspection, overload },
    pipelineLimits,
  );
  const operations = new Operations(counts, log, nameOf, tracer);
  const sockets = new SocketDoor({
    porchlight,
    pipeline,
    operations,
    authenticate,
    allowedOrigins,
    trustProxy,
    log,
    figures: counts,
    rates,
    refusals,
    places: limits,
    maxWatched: limits.maxWatchedPerSocket,
    limits: socketLimits,
  });
  const now = (): Millis => porchlight.store.now();
  const carry = (api: ForeignApi): RequestHandler =>
    createForeign({ api, operations, overload, rates, counts, trustProxy, log, now });
  const answering = new Answering();
  const handle = createHttpHandler({
    graphql: createGraphqlHttp({
      porchlight,
      pipeline,
      operations,
      authenticate,
      isBackend: (authorization) => isBackend(authorization, settings.apiKeys),
      rates,
      refusals,
      trustProxy,
    }),
    allowedOrigins,
    state: () => (ready ? 'ready' : 'stopping'),
    graphiql,
    metrics,
    foreign: foreign === undefined ? undefined : { prefix: foreign.prefix, handle: carry(foreign) },
    log,
  });

  return {
    refusals,
    sockets: sockets.counts,
    get held() {
      return { sockets: sockets.count, streams: pipeline.streams, shapes: pipeline.shapes };
    },
    connections: port.connections,
    open: () => {
      ready = true;
      port.leadTo({
        request: (request, response) => {
          answering.add(response);
          handle(request, response);
        },
        upgrade: (request, socket, head) => {
          port.connections.left(request.socket);
          sockets.upgrade(request, socket, head);
        },
      });
    },
    close: async () => {
      ready = false;
      porchlight.webhooks.close();
      await port.close(() => {
        pipeline.endStreams();
        return Promise.all([sockets.close(), answering.end(LAST_ANSWERS_MS)]);
      });
      lag.stop();
      heap.stop();
    },
  };
};

/** The responses that are not yet written. */
class Answering {
  readonly #open = new Set<ServerResponse>();
  #onNone: (() => void) | null = null;

  add(response: ServerResponse): void {
    this.#open.add(response);
    response.once('close', () => {
      this.#open.delete(response);
      if (this.#open.size === 0) this.#onNone?.();
    });
  }

  /** Resolves when all are written, or after `boundMs`. Their connections are not used again. */
  async end(boundMs: number): Promise<void> {
    if (this.#open.size === 0) return;
    for (const response of this.#open) if (!response.headersSent) response.setHeader('Connection', 'close');
    await new Promise<void>((resolve) => {
      const bound = setTimeout(resolve, boundMs);
      this.#onNone = () => {
        clearTimeout(bound);
        resolve();
      };
    });
  }
}
