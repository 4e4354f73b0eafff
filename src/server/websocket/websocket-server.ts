/** The WebSocket server: accepts or rejects upgrades and owns all connections. */
import { DEFAULT_RETRY_AFTER_MS } from '../../core/errors.ts';
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { Application } from '../../app/application.ts';
import { isSocketOriginAllowed, type AllowedOrigins } from '../auth/allowed-origins.ts';
import type { Authenticator } from '../auth/authenticate.ts';
import { FanoutScheduler } from '../graphql/fanout-scheduler.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { MAX_UNAUTHENTICATED_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import { GRAPHQL_PATH } from '../http/router.ts';
import { computeNetworkPrefix, type ClientAddressResolver } from '../limits/client-address.ts';
import type { RateLimiter } from '../limits/rate-limiter.ts';
import { SocketLimiter, type SocketCountLimits } from '../limits/socket-limiter.ts';
import type { ServerCounters } from '../metrics/counters.ts';
import type { OperationRecorder } from '../metrics/operation-recorder.ts';
import { FlushScheduler } from '../wire/send-buffer.ts';
import { AdmissionQueue } from './admission-queue.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { DEFAULT_CONNECTION_SETTINGS, MAX_MESSAGE_FRAGMENTS, type ConnectionSettings } from './connection-settings.ts';
import { GraphqlTransportWsProtocol } from './graphql-transport-ws.ts';
import { RawWebSocket } from './raw-websocket.ts';

export interface GraphqlWebSocketServerOptions {
  readonly application: Application;
  readonly pipeline: Pipeline;
  readonly operationRecorder: OperationRecorder;
  readonly authenticate: Authenticator;
  readonly allowedOrigins: AllowedOrigins;
  readonly resolveClientAddress: ClientAddressResolver;
  readonly log: Logger;
  readonly counters: ServerCounters;
  readonly rateLimiter: RateLimiter;
  readonly socketLimits: SocketCountLimits;
  /** Users that one socket can watch. */
  readonly maxWatchedUsers: number;
  readonly connectionSettings?: Partial<ConnectionSettings> | undefined;
}

/** The stream under a WebSocket. */
interface UpgradedSocket extends Duplex {
  [WEBSOCKET]?: RawWebSocket;
}

const WEBSOCKET = Symbol('websocket');

export class GraphqlWebSocketServer {
  readonly socketLimiter: SocketLimiter;
  readonly #options: GraphqlWebSocketServerOptions;
  readonly #settings: ConnectionSettings;
  readonly #connectionOptions: ConnectionOptions;
  readonly #server: InstanceType<typeof WebSocketServer<typeof RawWebSocket>>;
  readonly #connections = new Set<Connection>();
  readonly #pingTimer: NodeJS.Timeout;
  #isClosing = false;
  /** Set by `close` while connections remain. */
  #onLastConnectionClosed: (() => void) | null = null;

  constructor(options: GraphqlWebSocketServerOptions) {
    this.#options = options;
    this.#settings = { ...DEFAULT_CONNECTION_SETTINGS, ...options.connectionSettings };
    this.socketLimiter = new SocketLimiter(options.socketLimits);
    this.#connectionOptions = this.#createConnectionOptions();
    this.#server = new WebSocketServer<typeof RawWebSocket>({
      noServer: true,
      WebSocket: RawWebSocket,
      clientTracking: false,
      // `Connection` raises it after the authentication.
      maxPayload: MAX_UNAUTHENTICATED_PAYLOAD_BYTES,
      // Compression costs 110 KiB per socket.
      perMessageDeflate: false,
      handleProtocols,
      // `Connection` answers pings, so that a pong follows everything that was sent before it.
      autoPong: false,
      // Options that the type definitions lack. After `closeTimeout` the library terminates the socket.
      ...{
        closeTimeout: this.#settings.closeTimeoutMs,
        maxFragments: MAX_MESSAGE_FRAGMENTS,
        maxBufferedChunks: MAX_MESSAGE_FRAGMENTS,
      },
    });
    this.#pingTimer = setInterval(() => {
      for (const connection of this.#connections) connection.pingOrTerminate();
    }, this.#settings.pingIntervalMs);
    this.#pingTimer.unref();
  }

  /** Connections that are not released yet, including those whose socket is closed but whose session is not detached. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Handles the 'upgrade' event of an HTTP server. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { allowedOrigins, resolveClientAddress } = this.#options;
    socket.on('error', this.#onUpgradeError);
    const [path] = (request.url ?? '').split('?', 1);
    if (this.#isClosing) return this.#rejectUpgrade(socket, 503, DEFAULT_RETRY_AFTER_MS);
    if (path !== GRAPHQL_PATH) return this.#rejectUpgrade(socket, 404);
    if (!isSocketOriginAllowed(request, allowedOrigins)) return this.#rejectUpgrade(socket, 403);
    const ipAddress = resolveClientAddress(request);
    const network = computeNetworkPrefix(ipAddress);
    if (!this.#admitUpgrade(socket, network)) return;
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      // The library handles errors from now on.
      socket.off('error', this.#onUpgradeError);
      this.#addConnection(webSocket, socket, ipAddress, network);
    });
  }

  /** Rejects further upgrades, closes all sockets with 1012, and resolves when all connections are released. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearInterval(this.#pingTimer);
    const allClosed = new Promise<void>((resolve) => {
      if (this.#connections.size === 0) resolve();
      else this.#onLastConnectionClosed = resolve;
    });
    for (const connection of this.#connections) connection.closeForRestart();
    const timeout = setTimeout(() => {
      for (const connection of this.#connections) connection.terminate();
    }, this.#settings.shutdownCloseTimeoutMs);
    await allClosed;
    clearTimeout(timeout);
    this.#server.close();
  }

  #createConnectionOptions(): ConnectionOptions {
    const { application, pipeline, operationRecorder, authenticate, log, counters, rateLimiter, maxWatchedUsers } =
      this.#options;
    const { rejections } = counters;
    return {
      application,
      authenticate,
      log,
      counters,
      rejections,
      rateLimiter,
      maxWatchedUsers,
      settings: this.#settings,
      socketLimiter: this.socketLimiter,
      admissionQueue: new AdmissionQueue(this.#settings),
      flushScheduler: new FlushScheduler(counters),
      protocol: new GraphqlTransportWsProtocol({
        pipeline,
        operationRecorder,
        fanoutScheduler: new FanoutScheduler(),
        rejections,
        maxOperations: this.#settings.maxOperations,
      }),
      onConnectionClosed: (connection) => this.#removeConnection(connection),
    };
  }

  #addConnection(webSocket: RawWebSocket, socket: Duplex, ipAddress: string | null, network: string): void {
    const connection = new Connection(webSocket, socket, ipAddress, network, this.#connectionOptions);
    this.#connections.add(connection);
    this.socketLimiter.addSocket(connection);
    webSocket.handler = connection;
    (socket as UpgradedSocket)[WEBSOCKET] = webSocket;
    socket.on('end', notifyPeerClosed);
    if (webSocket.protocol !== GRAPHQL_TRANSPORT_WS_PROTOCOL) {
      connection.closeForProtocolError(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
    }
  }

  #removeConnection(connection: Connection): void {
    this.#connections.delete(connection);
    this.socketLimiter.removeSocket(connection);
    if (this.#connections.size === 0) this.#onLastConnectionClosed?.();
  }

  /**
   * Checks the limits before the upgrade, when a rejection is cheapest. WebSocket clients do not see the status, but
   * proxies do, and clients reconnect later either way. Returns false if the upgrade is rejected.
   */
  #admitUpgrade(socket: Duplex, network: string): boolean {
    const { application, rateLimiter, counters } = this.#options;
    const { rejections } = counters;
    const exceededLimit = this.socketLimiter.findExceededLimit(network);
    if (exceededLimit !== null) {
      if (exceededLimit === 'server') rejections.socketsPerServer++;
      else rejections.socketsPerAddress++;
      this.#rejectUpgrade(socket, exceededLimit === 'server' ? 503 : 429, DEFAULT_RETRY_AFTER_MS);
      return false;
    }
    const waitMs = rateLimiter.chargeAddress(network, application.store.now());
    if (waitMs === 0) return true;
    rejections.requestRate++;
    this.#rejectUpgrade(socket, 429, waitMs);
    return false;
  }

  /** @param retryAfterMs is sent as Retry-After, if given. */
  #rejectUpgrade(socket: Duplex, status: number, retryAfterMs?: number): void {
    this.#options.counters.rejectedUpgrades.increment(String(status));
    const retryAfter = retryAfterMs === undefined ? '' : `Retry-After: ${Math.ceil(retryAfterMs / 1_000)}\r\n`;
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${retryAfter}Cache-Control: no-store\r\n` +
        'Connection: close\r\nContent-Length: 0\r\n\r\n',
      () => socket.destroy(),
    );
  }

  readonly #onUpgradeError = (error: Error): void => {
    this.#options.log.debug({ err: error }, 'A client disconnected during the upgrade');
  };
}

/** One function for all sockets, because a closure for each would cost memory. */
function notifyPeerClosed(this: UpgradedSocket): void {
  this[WEBSOCKET]?.handler?.onPeerStoppedSending();
}
