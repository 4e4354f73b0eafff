/** The WebSocket server: accepts or rejects upgrades and owns all connections. */
import { DEFAULT_RETRY_AFTER_MS } from '../../core/errors.ts';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { Application } from '../../app/application.ts';
import type { OriginPolicy } from '../auth/allowed-origins.ts';
import type { Authenticator } from '../auth/authenticate.ts';
import { FanoutScheduler } from '../graphql/fanout-scheduler.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { GRAPHQL_PATH } from '../http/router.ts';
import { computeNetworkPrefix, type ClientAddressResolver } from '../limits/client-address.ts';
import type { RateLimiter } from '../limits/rate-limiter.ts';
import { SocketLimiter, type SocketCountLimits } from '../limits/socket-limiter.ts';
import { MAX_UNAUTHENTICATED_PAYLOAD_BYTES } from '../limits/unauthenticated-limits.ts';
import type { ServerCounters } from '../metrics/counters.ts';
import type { OperationRecorder } from '../metrics/operation-recorder.ts';
import { FlushScheduler } from '../wire/send-buffer.ts';
import { AdmissionQueue } from './admission-queue.ts';
import { retainUpgradeAuthorization } from './connection-credential.ts';
import { Connection, type AcceptedUpgrade, type ConnectionOptions } from './connection.ts';
import { DEFAULT_CONNECTION_SETTINGS, MAX_MESSAGE_FRAGMENTS, type ConnectionSettings } from './connection-settings.ts';
import { GraphqlTransportWsProtocol } from './graphql-transport-ws.ts';
import { RawWebSocket } from './raw-websocket.ts';
import { findSubprotocolRefusal, selectSubprotocol } from './subprotocols.ts';
import { createHandshakeRejection, formatUpgradeRejection, type UpgradeRejection } from './upgrade-rejection.ts';

export interface GraphqlWebSocketServerOptions {
  readonly application: Application;
  readonly pipeline: Pipeline;
  readonly operationRecorder: OperationRecorder;
  readonly authenticate: Authenticator;
  readonly originPolicy: OriginPolicy;
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

const SERVER_RESTARTS: UpgradeRejection = {
  status: 503,
  code: 'OVERLOADED',
  message: 'The server is restarting.',
  retryAfterMs: DEFAULT_RETRY_AFTER_MS,
};
const OTHER_PATH: UpgradeRejection = {
  status: 404,
  code: 'NOT_FOUND',
  message: `There is no WebSocket here: GraphQL is at ${GRAPHQL_PATH}.`,
};
const FOREIGN_ORIGIN: UpgradeRejection = {
  status: 403,
  code: 'FORBIDDEN',
  message: 'Pages of this origin may not open a WebSocket. PORCHLIGHT_ALLOWED_ORIGINS lists the origins that may.',
};
const TOO_MANY_SOCKETS: UpgradeRejection = {
  status: 503,
  code: 'OVERLOADED',
  message: 'The server has as many sockets as it may have.',
  retryAfterMs: DEFAULT_RETRY_AFTER_MS,
};
const TOO_MANY_SOCKETS_OF_ADDRESS: UpgradeRejection = {
  status: 429,
  code: 'RATE_LIMITED',
  message: 'This network address has as many sockets as it may have.',
  retryAfterMs: DEFAULT_RETRY_AFTER_MS,
};
const TOO_MANY_REQUESTS: UpgradeRejection = {
  status: 429,
  code: 'RATE_LIMITED',
  message: 'Too many requests of this network address.',
};

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
      handleProtocols: selectSubprotocol,
      // `Connection` answers pings, so that a pong follows everything that was sent before it.
      autoPong: false,
      // Options that the type definitions lack. After `closeTimeout` the library terminates the socket.
      ...{
        closeTimeout: this.#settings.closeTimeoutMs,
        maxFragments: MAX_MESSAGE_FRAGMENTS,
        maxBufferedChunks: MAX_MESSAGE_FRAGMENTS,
      },
    });
    this.#server.on('wsClientError', (error, stream, { method }) =>
      this.#rejectUpgrade(stream, createHandshakeRejection(error.message, method)),
    );
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
    const { originPolicy, resolveClientAddress } = this.#options;
    socket.on('error', this.#onUpgradeError);
    const [path] = (request.url ?? '').split('?', 1);
    if (this.#isClosing) return this.#rejectUpgrade(socket, SERVER_RESTARTS);
    if (path !== GRAPHQL_PATH) return this.#rejectUpgrade(socket, OTHER_PATH);
    if (!originPolicy.allowsSocket(request)) return this.#rejectUpgrade(socket, FOREIGN_ORIGIN);
    const ipAddress = resolveClientAddress(request);
    const network = computeNetworkPrefix(ipAddress);
    // The request itself is not kept: it takes more memory than the rest of a socket.
    const authorization = retainUpgradeAuthorization(request.headers.authorization);
    if (!this.#admitUpgrade(socket, network)) return;
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      // The library handles errors from now on.
      socket.off('error', this.#onUpgradeError);
      this.#addConnection(webSocket, socket, { ipAddress, network, authorization });
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

  #addConnection(webSocket: RawWebSocket, socket: Duplex, upgrade: AcceptedUpgrade): void {
    const connection = new Connection(webSocket, socket, upgrade, this.#connectionOptions);
    this.#connections.add(connection);
    this.socketLimiter.addSocket(connection);
    webSocket.handler = connection;
    (socket as UpgradedSocket)[WEBSOCKET] = webSocket;
    socket.on('end', notifyPeerClosed);
    const refusal = findSubprotocolRefusal(webSocket.protocol);
    if (refusal !== null) connection.refuseSubprotocol(refusal);
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
      this.#rejectUpgrade(socket, exceededLimit === 'server' ? TOO_MANY_SOCKETS : TOO_MANY_SOCKETS_OF_ADDRESS);
      return false;
    }
    const waitMs = rateLimiter.chargeAddress(network, application.store.now());
    if (waitMs === 0) return true;
    rejections.requestRate++;
    this.#rejectUpgrade(socket, { ...TOO_MANY_REQUESTS, retryAfterMs: waitMs });
    return false;
  }

  #rejectUpgrade(socket: Duplex, rejection: UpgradeRejection): void {
    const { counters, log } = this.#options;
    const { status, message } = rejection;
    counters.rejectedUpgrades.increment(String(status));
    log.debug({ status, reason: message }, 'An upgrade to WebSocket was rejected');
    socket.end(formatUpgradeRejection(rejection), () => socket.destroy());
  }

  readonly #onUpgradeError = (error: Error): void => {
    this.#options.log.debug({ err: error }, 'A client disconnected during the upgrade');
  };
}

/** One function for all sockets, because a closure for each would cost memory. */
function notifyPeerClosed(this: UpgradedSocket): void {
  this[WEBSOCKET]?.handler?.onPeerStoppedSending();
}
