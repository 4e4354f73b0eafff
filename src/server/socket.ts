/** The WebSocket door: who may come in, and the graphql-transport-ws protocol on every socket. */
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, GRAPHQL_TRANSPORT_WS_PROTOCOL, handleProtocols } from 'graphql-ws';
import { WebSocketServer } from 'ws';
import { clientAddress } from './client-address.ts';
import { Connection, type ConnectionOptions } from './connection.ts';
import { GRAPHQL_PATH } from './http.ts';
import { MAX_PAYLOAD_BYTES } from './limits.ts';
import { maySocket, type AllowedOrigins } from './origins.ts';
import { Outboxes } from './outbox.ts';
import type { Pipeline } from './pipeline.ts';
import { Protocol } from './protocol.ts';
import { Rounds } from './rounds.ts';
import { SOCKET_LIMITS, type SocketLimits } from './socket-limits.ts';
import { Socket } from './web-socket.ts';

export interface SocketDoorOptions extends Omit<ConnectionOptions, 'limits' | 'outboxes' | 'protocol' | 'onGone'> {
  readonly pipeline: Pipeline;
  readonly allowedOrigins: AllowedOrigins;
  readonly trustProxy: boolean;
  readonly limits?: Partial<SocketLimits> | undefined;
}

/** What the server reads from and writes to, with the WebSocket over it. */
interface Carrier extends Duplex {
  [OVER]?: Socket;
}

const OVER = Symbol('over');

export class SocketDoor {
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
    this.#ofConnections = {
      ...options,
      limits: this.#limits,
      outboxes: new Outboxes(),
      protocol: new Protocol(options.pipeline, new Rounds(), this.#limits.maxOperations),
      onGone: (connection) => {
        this.#connections.delete(connection);
        if (this.#connections.size === 0) this.#onNone?.();
      },
    };
    this.#server = new WebSocketServer<typeof Socket>({
      noServer: true,
      WebSocket: Socket,
      clientTracking: false,
      maxPayload: MAX_PAYLOAD_BYTES,
      // Compression costs 110 KiB a socket.
      perMessageDeflate: false,
      handleProtocols,
      // A pong goes out after what was sent before it.
      autoPong: false,
      // The types do not know this yet. Without an answer to our close the socket is cut off.
      ...{ closeTimeout: this.#limits.closeMs },
    });
    this.#sweeper = setInterval(() => {
      for (const connection of this.#connections) connection.sweep();
    }, this.#limits.pingMs);
    this.#sweeper.unref();
  }

  /** For the 'upgrade' event of an HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { allowedOrigins, trustProxy } = this.#options;
    socket.on('error', this.#gone);
    const [path] = (request.url ?? '').split('?', 1);
    if (this.#closing) return refuse(socket, 503);
    if (path !== GRAPHQL_PATH) return refuse(socket, 404);
    if (!maySocket(request, allowedOrigins)) return refuse(socket, 403);
    const ipAddress = clientAddress(request, trustProxy);
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      // The library listens from now on.
      socket.off('error', this.#gone);
      const connection = new Connection(ws, socket, ipAddress, this.#ofConnections);
      this.#connections.add(connection);
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

  readonly #gone = (error: Error): void => {
    this.#options.log.debug({ err: error }, 'A client left during the upgrade.');
  };
}

function clientLeaves(this: Carrier): void {
  this[OVER]?.owner?.clientLeaves();
}

const refuse = (socket: Duplex, status: number): void => {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
    socket.destroy(),
  );
};
