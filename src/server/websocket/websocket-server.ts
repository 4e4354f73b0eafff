/** The WebSocket door: who may come in, and the graphql-transport-ws protocol on every socket. */
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import { networkPrefix, type ClientAddressResolver } from '../limits/client-address.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { AdmissionQueue } from './admission-queue.ts';
import { GRAPHQL_PATH } from '../http/router.ts';
import { MAX_UNAUTHENTICATED_PAYLOAD_BYTES, RETRY_AFTER_MS } from '../graphql/query-limits.ts';
import { isSocketOriginAllowed, type AllowedOrigins } from '../auth/allowed-origins.ts';
import type { OperationRecorder } from '../metrics/operation-recorder.ts';
import { FlushScheduler } from '../wire/send-buffer.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { GraphqlTransportWs } from './graphql-transport-ws.ts';
import type { RateLimiter } from '../limits/rate-limiter.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';
import { FanoutScheduler } from '../graphql/fanout-scheduler.ts';
import { SocketLimiter, type SocketCountLimits } from '../limits/socket-limiter.ts';
import { MAX_MESSAGE_FRAGMENTS, DEFAULT_CONNECTION_SETTINGS, type ConnectionSettings } from './connection-settings.ts';
import { RawWebSocket } from './raw-websocket.ts';

type OfTheDoor = 'limits' | 'gate' | 'counts' | 'outboxes' | 'protocol' | 'onGone';

export interface GraphqlWebSocketServerOptions extends Omit<ConnectionOptions, OfTheDoor> {
  readonly pipeline: Pipeline;
  readonly operations: OperationRecorder;
  readonly allowedOrigins: AllowedOrigins;
  readonly resolveClientAddress: ClientAddressResolver;
  readonly rates: RateLimiter;
  readonly refusals: RejectionCounters;
  /** How many sockets there may be. */
  readonly socketLimits: SocketCountLimits;
  readonly settings?: Partial<ConnectionSettings> | undefined;
}

/** What the server reads from and writes to, with the WebSocket over it. */
interface Carrier extends Duplex {
  [OVER]?: RawWebSocket;
}

const OVER = Symbol('over');

export class GraphqlWebSocketServer {
  /** How many there are. */
  readonly socketLimiter: SocketLimiter;
  readonly #options: GraphqlWebSocketServerOptions;
  readonly #limits: ConnectionSettings;
  /** The same for every socket. */
  readonly #ofConnections: ConnectionOptions;
  readonly #server: InstanceType<typeof WebSocketServer<typeof RawWebSocket>>;
  readonly #connections = new Set<Connection>();
  /** Called when the last one is gone. */
  #onNone: (() => void) | null = null;
  readonly #sweeper: NodeJS.Timeout;
  #closing = false;

  constructor(options: GraphqlWebSocketServerOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_CONNECTION_SETTINGS, ...options.settings };
    this.socketLimiter = new SocketLimiter(options.socketLimits);
    this.#ofConnections = {
      ...options,
      settings: this.#limits,
      socketLimiter: this.socketLimiter,
      admissionQueue: new AdmissionQueue(this.#limits),
      flushScheduler: new FlushScheduler(options.figures),
      protocol: new GraphqlTransportWs(
        options.pipeline,
        options.operations,
        new FanoutScheduler(),
        this.#limits.maxOperations,
        options.refusals,
      ),
      onConnectionClosed: (connection) => {
        this.#connections.delete(connection);
        this.socketLimiter.removeSocket(connection);
        if (this.#connections.size === 0) this.#onNone?.();
      },
    };
    this.#server = new WebSocketServer<typeof RawWebSocket>({
      noServer: true,
      WebSocket: RawWebSocket,
      clientTracking: false,
      // More as soon as it is known who sends it.
      maxPayload: MAX_UNAUTHENTICATED_PAYLOAD_BYTES,
      // Compression costs 110 KiB a socket.
      perMessageDeflate: false,
      handleProtocols,
      // A pong goes out after what was sent before it.
      autoPong: false,
      // The types do not know these yet. Without an answer to our close the socket is cut off.
      ...{
        closeTimeout: this.#limits.closeTimeoutMs,
        maxFragments: MAX_MESSAGE_FRAGMENTS,
        maxBufferedChunks: MAX_MESSAGE_FRAGMENTS,
      },
    });
    this.#sweeper = setInterval(() => {
      for (const connection of this.#connections) connection.pingOrTerminate();
    }, this.#limits.pingIntervalMs);
    this.#sweeper.unref();
  }

  /** How many sockets there are, until everybody knows of their end. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** For the 'upgrade' event of an HTTP server. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { allowedOrigins, resolveClientAddress } = this.#options;
    socket.on('error', this.#gone);
    const [path] = (request.url ?? '').split('?', 1);
    if (this.#closing) return this.#refuse(socket, 503);
    if (path !== GRAPHQL_PATH) return this.#refuse(socket, 404);
    if (!isSocketOriginAllowed(request, allowedOrigins)) return this.#refuse(socket, 403);
    const ipAddress = resolveClientAddress(request);
    const network = networkPrefix(ipAddress);
    if (!this.#hasPlace(socket, network)) return;
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      // The library listens from now on.
      socket.off('error', this.#gone);
      const connection = new Connection(ws, socket, ipAddress, network, this.#ofConnections);
      this.#connections.add(connection);
      this.socketLimiter.addSocket(connection);
      ws.handler = connection;
      (socket as Carrier)[OVER] = ws;
      socket.on('end', clientLeaves);
      if (ws.protocol !== GRAPHQL_TRANSPORT_WS_PROTOCOL) {
        connection.closeForProtocolError(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
      }
    });
  }

  /** Takes no more sockets, closes those there are with 1012, and resolves when the last one is gone and told. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweeper);
    const gone = new Promise<void>((resolve) => {
      if (this.#connections.size === 0) resolve();
      else this.#onNone = resolve;
    });
    for (const connection of this.#connections) connection.closeForRestart();
    const bound = setTimeout(() => {
      for (const connection of this.#connections) connection.terminate();
    }, this.#limits.shutdownCloseTimeoutMs);
    await gone;
    clearTimeout(bound);
    this.#server.close();
  }

  #refuse(socket: Duplex, status: number, retryAfterMs?: number): void {
    this.#options.figures.rejectedUpgrades.increment(String(status));
    refuse(socket, status, retryAfterMs);
  }

  /**
   * False: it is refused before it is a socket, which costs least. No client of a WebSocket sees the status, but it
   * comes back later all the same; a proxy sees it.
   */
  #hasPlace(socket: Duplex, network: string): boolean {
    const { porchlight, rates, refusals } = this.#options;
    const full = this.socketLimiter.findExceededLimit(network);
    if (full !== null) {
      if (full === 'server') refusals.socketsPerServer++;
      else refusals.socketsPerAddress++;
      this.#refuse(socket, full === 'server' ? 503 : 429, RETRY_AFTER_MS);
      return false;
    }
    const waitMs = rates.chargeAddress(network, porchlight.store.now());
    if (waitMs === 0) return true;
    refusals.requestRate++;
    this.#refuse(socket, 429, waitMs);
    return false;
  }

  readonly #gone = (error: Error): void => {
    this.#options.log.debug({ err: error }, 'A client left during the upgrade.');
  };
}

function clientLeaves(this: Carrier): void {
  this[OVER]?.handler?.onPeerClosed();
}

/** @param retryAfterMs when to come again, if that helps. */
const refuse = (socket: Duplex, status: number, retryAfterMs?: number): void => {
  const retryAfter = retryAfterMs === undefined ? '' : `Retry-After: ${Math.ceil(retryAfterMs / 1_000)}\r\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${retryAfter}Connection: close\r\nContent-Length: 0\r\n\r\n`,
    () => socket.destroy(),
  );
};
