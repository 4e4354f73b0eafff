/** The WebSocket door: who may come in, and the graphql-transport-ws protocol on every socket. */
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import { clientAddress, networkOf } from '../limits/client-address.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { Gate } from './admission-queue.ts';
import { GRAPHQL_PATH } from '../http/router.ts';
import { MAX_STRANGER_PAYLOAD_BYTES, RETRY_AFTER_MS } from '../graphql/query-limits.ts';
import { maySocket, type AllowedOrigins } from '../auth/allowed-origins.ts';
import type { Operations } from '../metrics/operation-recorder.ts';
import { Outboxes } from '../wire/send-buffer.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { Protocol } from './graphql-transport-ws.ts';
import type { Rates } from '../limits/rate-limiter.ts';
import type { Refusals } from '../metrics/rejection-counters.ts';
import { Rounds } from '../graphql/fanout-scheduler.ts';
import { SocketCounts, type SocketCountLimits } from '../limits/socket-limiter.ts';
import { MAX_PIECES, SOCKET_LIMITS, type SocketLimits } from './connection-settings.ts';
import { Socket } from './raw-websocket.ts';

type OfTheDoor = 'limits' | 'gate' | 'counts' | 'outboxes' | 'protocol' | 'onGone';

export interface SocketDoorOptions extends Omit<ConnectionOptions, OfTheDoor> {
  readonly pipeline: Pipeline;
  readonly operations: Operations;
  readonly allowedOrigins: AllowedOrigins;
  readonly trustProxy: boolean;
  readonly rates: Rates;
  readonly refusals: Refusals;
  /** How many sockets there may be. */
  readonly places: SocketCountLimits;
  readonly limits?: Partial<SocketLimits> | undefined;
}

/** What the server reads from and writes to, with the WebSocket over it. */
interface Carrier extends Duplex {
  [OVER]?: Socket;
}

const OVER = Symbol('over');

export class SocketDoor {
  /** How many there are. */
  readonly counts: SocketCounts;
  readonly #options: SocketDoorOptions;
  readonly #limits: SocketLimits;
  /** The same for every socket. */
  readonly #ofConnections: ConnectionOptions;
  readonly #server: InstanceType<typeof WebSocketServer<typeof Socket>>;
  readonly #connections = new Set<Connection>();
  /** Called when the last one is gone. */
  #onNone: (() => void) | null = null;
  readonly #sweeper: NodeJS.Timeout;
  #closing = false;

  constructor(options: SocketDoorOptions) {
    this.#options = options;
    this.#limits = { ...SOCKET_LIMITS, ...options.limits };
    this.counts = new SocketCounts(options.places);
    this.#ofConnections = {
      ...options,
      limits: this.#limits,
      counts: this.counts,
      gate: new Gate(this.#limits),
      outboxes: new Outboxes(options.figures),
      protocol: new Protocol(
        options.pipeline,
        options.operations,
        new Rounds(),
        this.#limits.maxOperations,
        options.refusals,
      ),
      onGone: (connection) => {
        this.#connections.delete(connection);
        this.counts.remove(connection);
        if (this.#connections.size === 0) this.#onNone?.();
      },
    };
    this.#server = new WebSocketServer<typeof Socket>({
      noServer: true,
      WebSocket: Socket,
      clientTracking: false,
      // More as soon as it is known who sends it.
      maxPayload: MAX_STRANGER_PAYLOAD_BYTES,
      // Compression costs 110 KiB a socket.
      perMessageDeflate: false,
      handleProtocols,
      // A pong goes out after what was sent before it.
      autoPong: false,
      // The types do not know these yet. Without an answer to our close the socket is cut off.
      ...{ closeTimeout: this.#limits.closeMs, maxFragments: MAX_PIECES, maxBufferedChunks: MAX_PIECES },
    });
    this.#sweeper = setInterval(() => {
      for (const connection of this.#connections) connection.sweep();
    }, this.#limits.pingMs);
    this.#sweeper.unref();
  }

  /** How many sockets there are, until everybody knows of their end. */
  get count(): number {
    return this.#connections.size;
  }

  /** For the 'upgrade' event of an HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { allowedOrigins, trustProxy } = this.#options;
    socket.on('error', this.#gone);
    const [path] = (request.url ?? '').split('?', 1);
    if (this.#closing) return this.#refuse(socket, 503);
    if (path !== GRAPHQL_PATH) return this.#refuse(socket, 404);
    if (!maySocket(request, allowedOrigins)) return this.#refuse(socket, 403);
    const ipAddress = clientAddress(request, trustProxy);
    const network = networkOf(ipAddress);
    if (!this.#hasPlace(socket, network)) return;
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      // The library listens from now on.
      socket.off('error', this.#gone);
      const connection = new Connection(ws, socket, ipAddress, network, this.#ofConnections);
      this.#connections.add(connection);
      this.counts.add(connection);
      ws.owner = connection;
      (socket as Carrier)[OVER] = ws;
      socket.on('end', clientLeaves);
      if (ws.protocol !== GRAPHQL_TRANSPORT_WS_PROTOCOL) {
        connection.refuse(CloseCode.SubprotocolNotAcceptable, 'Subprotocol not acceptable');
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
    for (const connection of this.#connections) connection.restart();
    const bound = setTimeout(() => {
      for (const connection of this.#connections) connection.cutOff();
    }, this.#limits.lastCloseMs);
    await gone;
    clearTimeout(bound);
    this.#server.close();
  }

  #refuse(socket: Duplex, status: number, retryAfterMs?: number): void {
    this.#options.figures.refusedUpgrades.add(String(status));
    refuse(socket, status, retryAfterMs);
  }

  /**
   * False: it is refused before it is a socket, which costs least. No client of a WebSocket sees the status, but it
   * comes back later all the same; a proxy sees it.
   */
  #hasPlace(socket: Duplex, network: string): boolean {
    const { porchlight, rates, refusals } = this.#options;
    const full = this.counts.full(network);
    if (full !== null) {
      if (full === 'server') refusals.socketsInAll++;
      else refusals.socketsPerAddress++;
      this.#refuse(socket, full === 'server' ? 503 : 429, RETRY_AFTER_MS);
      return false;
    }
    const waitMs = rates.knock(network, porchlight.store.now());
    if (waitMs === 0) return true;
    refusals.requests++;
    this.#refuse(socket, 429, waitMs);
    return false;
  }

  readonly #gone = (error: Error): void => {
    this.#options.log.debug({ err: error }, 'A client left during the upgrade.');
  };
}

function clientLeaves(this: Carrier): void {
  this[OVER]?.owner?.clientLeaves();
}

/** @param retryAfterMs when to come again, if that helps. */
const refuse = (socket: Duplex, status: number, retryAfterMs?: number): void => {
  const retryAfter = retryAfterMs === undefined ? '' : `Retry-After: ${Math.ceil(retryAfterMs / 1_000)}\r\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${retryAfter}Connection: close\r\nContent-Length: 0\r\n\r\n`,
    () => socket.destroy(),
  );
};
