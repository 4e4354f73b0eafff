/**
 * Listens before the rest of the server is ready, so that no connection is refused while the store is loading. The
 * handler of the requests can be replaced between two requests.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { StartupError } from '../../process/startup-error.ts';
import type { ServerCounters } from '../metrics/counters.ts';
import type { TrustedProxies } from '../limits/client-address.ts';
import type { LimitSettings } from '../limits/limit-settings.ts';
import { MAX_HEADER_BYTES, MAX_HEADER_FIELDS } from '../limits/unauthenticated-limits.ts';
import { createClientErrorHandler, hasTooManyHeaders, rejectTooManyHeaders } from './client-errors.ts';
import { ConnectionLimiter } from './connection-limiter.ts';
import { offersOtherProtocol, replayWithoutUpgrade } from './ignore-upgrade-offers.ts';
import { toOriginForm } from './request-url.ts';

/** Time limits for clients, in ms. */
export interface HttpTimeouts {
  /** From the first byte of a request, or from connecting, until its headers are complete. */
  readonly headersMs: number;
  /** From the first byte of a request until its body is complete. */
  readonly requestMs: number;
  /** Interval in which node checks the two limits above. */
  readonly checkMs: number;
  /** How long a client may read nothing of a response. Event streams are paused for it and have no such limit. */
  readonly unreadMs: number;
}

const DEFAULT_TIMEOUTS: HttpTimeouts = { headersMs: 15_000, requestMs: 30_000, checkMs: 5_000, unreadMs: 60_000 };
/**
 * Connections that wait to be accepted. The system may allow fewer (Linux: net.core.somaxconn, 4,096). Above the limit
 * the system drops part of the handshake: the client believes that it is connected and resends with growing delays.
 * A small burst of connections exceeds node's default of 511.
 */
const ACCEPT_BACKLOG = 65_535;

export interface HttpListenerSettings {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: LimitSettings;
  readonly trustProxy: TrustedProxies;
  /**
   * How long an idle connection is kept open. It must be longer than the idle timeout of a proxy: a proxy that sends a
   * request at the moment at which the server closes the connection answers its client with 502.
   */
  readonly httpKeepAliveMs: number;
}

/** Handles what arrives at a listener. */
export interface ConnectionHandler {
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  /** Handles an upgrade to WebSocket; `head` holds the bytes that followed the request. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Called when `handler` has taken over all further requests. */
  onReplaced?(handler: ConnectionHandler): void;
}

export interface HttpListenerOptions {
  readonly settings: HttpListenerSettings;
  readonly counters: ServerCounters;
  readonly log: Logger;
  /** Overrides of the defaults, for tests. */
  readonly timeouts?: Partial<HttpTimeouts> | undefined;
}

export class HttpListener {
  readonly server: Server;
  readonly counters: ServerCounters;
  /** Applies from the first connection on, whatever the handler is. */
  readonly connectionLimiter: ConnectionLimiter;
  readonly #settings: HttpListenerSettings;
  readonly #log: Logger;
  readonly #timeouts: HttpTimeouts;
  #handler: ConnectionHandler | null = null;
  /** By how much the timeouts are extended, and until when. Null: they are not. */
  #extension: { readonly ms: number; readonly end: NodeJS.Timeout } | null = null;

  constructor({ settings, counters, log, timeouts: overrides }: HttpListenerOptions) {
    const timeouts = { ...DEFAULT_TIMEOUTS, ...overrides };
    this.#settings = settings;
    this.#timeouts = timeouts;
    this.counters = counters;
    this.#log = log;
    this.connectionLimiter = new ConnectionLimiter(settings.limits, settings.trustProxy, counters.rejections);
    this.server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      connectionsCheckingInterval: timeouts.checkMs,
      keepAliveTimeout: settings.httpKeepAliveMs,
    });
    // One more, so that a request with too many is recognised.
    this.server.maxHeadersCount = MAX_HEADER_FIELDS + 1;
    this.server.setTimeout(timeouts.unreadMs);
    this.connectionLimiter.attachTo(this.server);
    const countResponse = (status: number): void => counters.httpResponses.increment(`${Math.floor(status / 100)}xx`);
    this.server.on('request', (request, response) => {
      response.once('close', () => countResponse(response.statusCode));
      toOriginForm(request);
      if (hasTooManyHeaders(request)) rejectTooManyHeaders(response);
      else this.#handler?.handleRequest(request, response);
    });
    this.server.on('clientError', createClientErrorHandler(log, countResponse));
    this.server.on('upgrade', (request, socket, head) => {
      if (hasTooManyHeaders(request)) return rejectTooManyHeaders(socket);
      toOriginForm(request);
      // A pipelined request is not replayed: its response could overtake the one in progress.
      const isPipelined = this.connectionLimiter.isAnsweringRequest(request.socket);
      if (!isPipelined && offersOtherProtocol(request)) {
        this.connectionLimiter.release(request.socket);
        replayWithoutUpgrade(this.server, request, socket, head);
      } else this.#handler?.handleUpgrade(request, socket, head);
    });
  }

  /** Replaces the handler from the next request on. The first call must come before `listen`. */
  setHandler(handler: ConnectionHandler): void {
    const previous = this.#handler;
    this.#handler = handler;
    previous?.onReplaced?.(handler);
  }

  /**
   * Extends the time limits by the length of a process pause, because requests that arrived during it were not read.
   * Must be called before any other overdue timer runs.
   */
  extendTimeouts(pausedMs: number): void {
    const { headersMs, requestMs, checkMs } = this.#timeouts;
    clearTimeout(this.#extension?.end);
    const ms = (this.#extension?.ms ?? 0) + pausedMs;
    this.#addToTimeouts(ms);
    const end = setTimeout(
      () => {
        this.#extension = null;
        this.#addToTimeouts(0);
      },
      Math.max(headersMs, requestMs) + checkMs,
    );
    end.unref();
    this.#extension = { ms, end };
  }

  #addToTimeouts(extraMs: number): void {
    this.server.headersTimeout = this.#timeouts.headersMs + extraMs;
    this.server.requestTimeout = this.#timeouts.requestMs + extraMs;
  }

  /**
   * Binds the address. Resolves to the address in use.
   * @throws StartupError when the address is not available.
   */
  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port } = this.#settings;
    await new Promise<void>((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(createListenError(error, host, port));
      this.server.once('error', onError);
      this.server.listen({ host, port, backlog: ACCEPT_BACKLOG }, () => {
        this.server.off('error', onError);
        resolve();
      });
    });
    this.server.on('error', (error) =>
      this.#log.error({ err: error }, 'The HTTP server reported an error; it continues to serve'),
    );
    return { host, port: (this.server.address() as AddressInfo).port };
  }

  /**
   * Accepts no more connections, waits for `finishResponses`, then closes all connections except WebSockets. Resolves
   * when they are closed.
   */
  async close(finishResponses: () => unknown): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      // The callback receives an error if the server never listened; there is nothing to close then.
      this.server.close(() => resolve());
    });
    await finishResponses();
    this.server.closeAllConnections();
    await closed;
  }
}

const createListenError = (error: NodeJS.ErrnoException, host: string, port: number): StartupError => {
  const where = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new StartupError(
        `${where} is in use by another program.\nStop that program, or choose another port with PORCHLIGHT_PORT (--port).`,
        1,
        { cause: error },
      );
    case 'EACCES':
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new StartupError(
        `Cannot listen on ${where}: ${error.message}\nSet another address with PORCHLIGHT_HOST (--host) and PORCHLIGHT_PORT (--port).`,
        78,
        { cause: error },
      );
    default:
      return new StartupError(`Cannot listen on ${where}: ${error.message}`, 1, { cause: error });
  }
};
