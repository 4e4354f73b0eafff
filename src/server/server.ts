/** Both doors on one port, opened and closed together. */
import { createServer as createHttpServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { schema } from '../api/schema.ts';
import type { Porchlight } from '../app/porchlight.ts';
import type { Introspection } from '../core/visibility.ts';
import { StartupError } from '../startup-error.ts';
import { createAuthenticate, isBackend, type AuthSettings } from './auth.ts';
import type { DoorLimits } from './door-limits.ts';
import { createGraphqlHttp } from './graphql-http.ts';
import { DoorCounts } from './door-counts.ts';
import { createHttpHandler, type PageHandler, type RequestHandler } from './http.ts';
import { HttpConnections } from './http-connections.ts';
import { Operations, type OperationTracer } from './operations.ts';
import type { AllowedOrigins } from './origins.ts';
import { LoopLag } from './loop-lag.ts';
import { offersOther, serveAsItIs } from './other-upgrades.ts';
import { Overload } from './overload.ts';
import { Pipeline, type PipelineLimits } from './pipeline.ts';
import { Rates } from './rates.ts';
import type { Refusals } from './refusals.ts';
import { SocketDoor } from './socket.ts';
import type { SocketLimits } from './socket-limits.ts';

export interface ServerSettings extends AuthSettings {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly allowedOrigins: AllowedOrigins;
  readonly trustProxy: boolean;
  readonly limits: DoorLimits;
  readonly introspection: Introspection;
  /** How far the event loop, or the disk, may be behind before what can wait is OVERLOADED. */
  readonly maxLagMs: number;
}

export interface ServerOptions {
  readonly porchlight: Porchlight;
  readonly settings: ServerSettings;
  readonly log: Logger;
  /** What a user is called in the log. */
  readonly nameOf: (userId: string) => string;
  readonly counts?: DoorCounts;
  /** Null: operations are not traced. */
  readonly tracer?: OperationTracer | null;
  readonly graphiql?: PageHandler;
  /** Answers requests for /metrics, whoever asks. */
  readonly metrics?: RequestHandler;
  /** Other than the usual ones, for tests. */
  readonly socketLimits?: Partial<SocketLimits>;
  /** Likewise. */
  readonly httpTimes?: Partial<HttpTimes>;
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
  /** @throws StartupError when the address cannot be had. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /**
   * Unready at once; takes nobody in; sockets are closed with 1012, streams ended, requests answered.
   * Resolves when everybody is gone, and nothing more will reach the store.
   */
  close(): Promise<void>;
}

/** How long a client may take, in ms. */
export interface HttpTimes {
  /** To send the head of a request, from its first byte, or from connecting. */
  readonly headersMs: number;
  /** To send all of it. */
  readonly requestMs: number;
  /** How often both are looked at. */
  readonly checkMs: number;
  /** To read anything of an answer; streams of events are paused for a reader, and may wait for ever. */
  readonly unreadMs: number;
}

const HTTP_TIMES: HttpTimes = { headersMs: 15_000, requestMs: 30_000, checkMs: 5_000, unreadMs: 60_000 };
/** Longer than what load balancers keep a silent connection for, so that they close it and not we. */
const KEEP_ALIVE_MS = 65_000;
/**
 * Connections that wait to be accepted, of which the system may allow fewer (Linux: net.core.somaxconn, 4,096). Beyond
 * that it drops part of the handshake, and the client, who takes herself for connected, repeats her request later and
 * later, until it comes too late. node's own 511 are used up by a small storm.
 */
const BACKLOG = 65_535;
/** How long requests under way may hold up the end. */
const LAST_ANSWERS_MS = 5_000;

export const createServer = ({
  porchlight,
  settings,
  log,
  nameOf,
  counts = new DoorCounts(),
  tracer = null,
  graphiql,
  metrics,
  socketLimits,
  httpTimes,
  pipelineLimits,
}: ServerOptions): PorchlightServer => {
  let ready = false;
  const { allowedOrigins, trustProxy, limits } = settings;
  const times = { ...HTTP_TIMES, ...httpTimes };
  const rates = new Rates(limits);
  const { refusals } = counts;
  const authenticate = createAuthenticate(porchlight.store, settings, (error) => {
    counts.keysUnavailable++;
    log.warn({ err: error }, 'The JWKS could not be fetched.');
  });
  const lag = new LoopLag();
  const overload = new Overload({
    maxLagMs: settings.maxLagMs,
    loopLagMs: () => lag.ms,
    workload: () => porchlight.store.workload(),
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
  const connections = new HttpConnections(limits, trustProxy, refusals);
  const answering = new Answering();
  const http = createHttpServer(
    {
      headersTimeout: times.headersMs,
      requestTimeout: times.requestMs,
      connectionsCheckingInterval: times.checkMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    createHttpHandler({
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
      isReady: () => ready,
      graphiql,
      metrics,
      log,
    }),
  );
  http.setTimeout(times.unreadMs);
  connections.watch(http);
  http.on('request', (_request, response) => {
    answering.add(response);
    response.once('close', () => counts.responses.add(`${Math.floor(response.statusCode / 100)}xx`));
  });
  http.on('upgrade', (request, socket, head) => {
    // Behind one that is being answered, its answer could come first.
    const isAlone = !connections.isAnswering(request.socket);
    connections.left(request.socket);
    if (isAlone && offersOther(request)) serveAsItIs(http, request, socket, head);
    else sockets.upgrade(request, socket, head);
  });

  return {
    refusals,
    sockets: sockets.counts,
    get held() {
      return { sockets: sockets.count, streams: pipeline.streams, shapes: pipeline.shapes };
    },
    connections,
    listen: async () => {
      const address = await listen(http, settings);
      http.on('error', (error) => log.error({ err: error }, 'The HTTP server failed.'));
      ready = true;
      return { host: settings.host, port: address.port };
    },
    close: async () => {
      ready = false;
      const closed = new Promise<void>((resolve) => {
        // Never opened, it has nothing to close and says so with an error.
        http.close(() => resolve());
      });
      pipeline.endStreams();
      await Promise.all([sockets.close(), answering.end(LAST_ANSWERS_MS)]);
      http.closeAllConnections();
      await closed;
      lag.stop();
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

const listen = (http: Server, { host, port }: ServerSettings): Promise<AddressInfo> =>
  new Promise((resolve, reject) => {
    const refused = (error: NodeJS.ErrnoException): void => reject(notListening(error, host, port));
    http.once('error', refused);
    http.listen({ host, port, backlog: BACKLOG }, () => {
      http.off('error', refused);
      resolve(http.address() as AddressInfo);
    });
  });

const notListening = (error: NodeJS.ErrnoException, host: string, port: number): StartupError => {
  const where = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartupError(
        `${where} is in use by another program.\nStop that one, or choose another port with PORCHLIGHT_PORT (--port).`,
        1,
        { cause: error },
      );
    case 'EACCES':
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartupError(
        `Cannot listen on ${where}: ${error.message}\nPORCHLIGHT_HOST (--host) and PORCHLIGHT_PORT (--port) say where.`,
        78,
        { cause: error },
      );
    default:
      return new StartupError(`Cannot listen on ${where}: ${error.message}`, 1, { cause: error });
  }
};
