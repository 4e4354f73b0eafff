/**
 * The port, which is opened before there is anything behind it: whoever knocks while the store is still being read
 * is told so, and nobody is refused a connection. What is behind it can be exchanged between two requests.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { StartupError } from '../../process/startup-error.ts';
import type { DoorCounts } from '../metrics/counters.ts';
import type { DoorLimits } from '../limits/limit-settings.ts';
import { HttpConnections } from './connection-limiter.ts';
import { offersOther, serveAsItIs } from './ignore-upgrade-offers.ts';

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
export interface PortSettings {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly limits: DoorLimits;
  readonly trustProxy: boolean;
}

/** What takes those who come. */
export interface Behind {
  request(request: IncomingMessage, response: ServerResponse): void;
  /** Of a WebSocket; `head` is what came after the request. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** From now on there is something else behind the port. */
  left?(behind: Behind): void;
}

export interface PortOptions {
  readonly settings: PortSettings;
  readonly counts: DoorCounts;
  readonly log: Logger;
  /** Other than the usual ones, for tests. */
  readonly httpTimes?: Partial<HttpTimes> | undefined;
}

export class Port {
  readonly http: Server;
  readonly counts: DoorCounts;
  /** Bounded from the first one on, whatever is behind. */
  readonly connections: HttpConnections;
  readonly #settings: PortSettings;
  readonly #log: Logger;
  readonly #times: HttpTimes;
  #behind: Behind | null = null;
  /** Slept so long; null: not long ago. */
  #slept: { ms: number; readonly over: NodeJS.Timeout } | null = null;

  constructor({ settings, counts, log, httpTimes }: PortOptions) {
    const times = { ...HTTP_TIMES, ...httpTimes };
    this.#settings = settings;
    this.#times = times;
    this.counts = counts;
    this.#log = log;
    this.connections = new HttpConnections(settings.limits, settings.trustProxy, counts.refusals);
    this.http = createServer({
      headersTimeout: times.headersMs,
      requestTimeout: times.requestMs,
      connectionsCheckingInterval: times.checkMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
    this.http.setTimeout(times.unreadMs);
    this.connections.watch(this.http);
    this.http.on('request', (request, response) => {
      response.once('close', () => counts.responses.add(`${Math.floor(response.statusCode / 100)}xx`));
      this.#behind?.request(request, response);
    });
    this.http.on('upgrade', (request, socket, head) => {
      // Behind one that is being answered, its answer could come first.
      const isAlone = !this.connections.isAnswering(request.socket);
      if (isAlone && offersOther(request)) {
        this.connections.left(request.socket);
        serveAsItIs(this.http, request, socket, head);
      } else this.#behind?.upgrade(request, socket, head);
    });
  }

  /** From the next request on. To be called before `listen`, and then as often as one likes. */
  leadTo(behind: Behind): void {
    const before = this.#behind;
    this.#behind = behind;
    before?.left?.(behind);
  }

  /**
   * The server itself did not listen for so long (in ms): what lay unread then is not late. To be called before any
   * other timer that is due.
   */
  slept(ms: number): void {
    const { headersMs, requestMs, checkMs } = this.#times;
    clearTimeout(this.#slept?.over);
    const slept = (this.#slept?.ms ?? 0) + ms;
    this.#giveTime(slept);
    const over = setTimeout(
      () => {
        this.#slept = null;
        this.#giveTime(0);
      },
      Math.max(headersMs, requestMs) + checkMs,
    );
    over.unref();
    this.#slept = { ms: slept, over };
  }

  #giveTime(moreMs: number): void {
    this.http.headersTimeout = this.#times.headersMs + moreMs;
    this.http.requestTimeout = this.#times.requestMs + moreMs;
  }

  /** @throws StartupError when the address cannot be had. */
  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port } = this.#settings;
    await new Promise<void>((resolve, reject) => {
      const refused = (error: NodeJS.ErrnoException): void => reject(notListening(error, host, port));
      this.http.once('error', refused);
      this.http.listen({ host, port, backlog: BACKLOG }, () => {
        this.http.off('error', refused);
        resolve();
      });
    });
    this.http.on('error', (error) => this.#log.error({ err: error }, 'The HTTP server failed.'));
    return { host, port: (this.http.address() as AddressInfo).port };
  }

  /** Takes nobody in any more; resolves when `lastWords` are said, and the connections that are no sockets are closed. */
  async close(lastWords: () => unknown): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      // Never opened, it has nothing to close and says so with an error.
      this.http.close(() => resolve());
    });
    await lastWords();
    this.http.closeAllConnections();
    await closed;
  }
}

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
