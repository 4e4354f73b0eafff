/** The WebSocket door: who may come in, and the graphql-transport-ws protocol on every socket. */
import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { GraphQLError, type ExecutionArgs } from 'graphql';
import { handleProtocols, makeServer } from 'graphql-ws';
import { WebSocket, WebSocketServer } from 'ws';
import { DomainError } from '../core/errors.ts';
import { clientAddress } from './client-address.ts';
import { Connection, type ConnectionOptions, type SocketContext } from './connection.ts';
import { GRAPHQL_PATH } from './http.ts';
import { MAX_PAYLOAD_BYTES } from './limits.ts';
import { maySocket, type AllowedOrigins } from './origins.ts';
import { Outboxes } from './outbox.ts';
import type { OperationResult, Pipeline } from './pipeline.ts';
import { Rounds } from './rounds.ts';
import { SOCKET_LIMITS, type SocketLimits } from './socket-limits.ts';

export interface SocketDoorOptions extends Omit<ConnectionOptions, 'limits' | 'outboxes' | 'rounds'> {
  readonly pipeline: Pipeline;
  readonly allowedOrigins: AllowedOrigins;
  readonly trustProxy: boolean;
  readonly limits?: Partial<SocketLimits> | undefined;
}

interface SocketArgs extends ExecutionArgs {
  readonly contextValue: SocketContext;
  /** The client's name for the operation. */
  readonly id: string;
}

const RETRY_AFTER_MS = 1_000;

/** Says when it begins to close; the library says when it has closed. */
class Socket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    this.emit('closing');
    super.close(code, reason);
  }
}

export class SocketDoor {
  readonly #options: SocketDoorOptions;
  readonly #limits: SocketLimits;
  /** The same for every socket. */
  readonly #ofConnections: ConnectionOptions;
  readonly #server: WebSocketServer;
  readonly #protocol: ReturnType<typeof makeServer<Record<string, unknown>, Connection>>;
  /** Every socket, with the promise of its end. */
  readonly #connections = new Map<Connection, Promise<void>>();
  readonly #sweeper: NodeJS.Timeout;
  #closing = false;

  constructor(options: SocketDoorOptions) {
    this.#options = options;
    this.#limits = { ...SOCKET_LIMITS, ...options.limits };
    this.#ofConnections = { ...options, limits: this.#limits, outboxes: new Outboxes(), rounds: new Rounds() };
    this.#server = new WebSocketServer({
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
    this.#protocol = this.#createProtocol();
    this.#sweeper = setInterval(() => {
      for (const connection of this.#connections.keys()) connection.sweep();
    }, this.#limits.pingMs);
    this.#sweeper.unref();
  }

  /** For the 'upgrade' event of an HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { allowedOrigins, trustProxy, log } = this.#options;
    const gone = (error: Error): void => log.debug({ err: error }, 'A client left during the upgrade.');
    socket.on('error', gone);
    const [path] = (request.url ?? '').split('?', 1);
    if (this.#closing) return refuse(socket, 503);
    if (path !== GRAPHQL_PATH) return refuse(socket, 404);
    if (!maySocket(request, allowedOrigins)) return refuse(socket, 403);
    const ipAddress = clientAddress(request, trustProxy);
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      // The library listens from now on.
      socket.off('error', gone);
      const connection = new Connection(ws, socket, ipAddress, this.#ofConnections);
      const ended = connection.serve((adapter) => this.#protocol.opened(adapter, connection));
      this.#connections.set(connection, ended);
      // Afterwards: what the library closes because of an error, it gives its reason for right then.
      ws.on('closing', () => {
        connection.closing();
        queueMicrotask(() => connection.clientLeaves());
      });
      socket.once('end', () => connection.clientLeaves());
      void ended.then(() => this.#connections.delete(connection));
    });
  }

  /** Takes no more sockets, closes those there are with 1012, and resolves when the last one is gone and told. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweeper);
    const ends = [...this.#connections.values()];
    for (const connection of this.#connections.keys()) connection.restart();
    const bound = setTimeout(() => {
      for (const connection of this.#connections.keys()) connection.cutOff();
    }, this.#limits.lastCloseMs);
    await Promise.all(ends);
    clearTimeout(bound);
    this.#server.close();
  }

  #createProtocol(): ReturnType<typeof makeServer<Record<string, unknown>, Connection>> {
    const { pipeline } = this.#options;
    const execute = async (args: SocketArgs): Promise<OperationResult> => {
      const { document, operationName, variableValues: variables, contextValue: context } = args;
      const result = await pipeline.run({ document, operationName, variables, context });
      if ('errors' in result) context.link.failed();
      return result;
    };
    const subscribe = (args: SocketArgs): Promise<OperationResult> => {
      const { document, operationName, variableValues: variables, contextValue: context, id } = args;
      return pipeline.run({ document, operationName, variables, context, outlet: context.link.outlet(id) });
    };
    return makeServer<Record<string, unknown>, Connection>({
      connectionInitWaitTimeout: this.#limits.initMs,
      onConnect: ({ connectionParams, extra }) =>
        extra.connect(connectionParams?.['authorization'] ?? connectionParams?.['Authorization']),
      onSubscribe: ({ extra }, id, payload) => this.#prepare(extra, id, payload),
      // They are given what `#prepare` has made.
      execute: (args) => execute(args as SocketArgs),
      subscribe: (args) => subscribe(args as SocketArgs),
    });
  }

  /** What is to be executed, or what is wrong with it. */
  #prepare(
    connection: Connection,
    id: string,
    payload: {
      readonly query: string;
      readonly operationName?: string | null | undefined;
      readonly variables?: Record<string, unknown> | null | undefined;
    },
  ): SocketArgs | readonly GraphQLError[] {
    const { pipeline } = this.#options;
    try {
      if (connection.operationsUnderWay >= this.#limits.maxOperations) {
        throw new DomainError(
          { code: 'RATE_LIMITED', retryAfterMs: RETRY_AFTER_MS },
          `At most ${this.#limits.maxOperations} operations may be under way on one socket.`,
        );
      }
      const document = pipeline.parse(payload.query);
      const errors = pipeline.validate(document);
      if (errors.length > 0) return errors;
      connection.begin(pipeline.operation(document, payload.operationName));
      return {
        schema: pipeline.schema,
        document,
        operationName: payload.operationName,
        variableValues: payload.variables,
        contextValue: connection.context,
        id,
      };
    } catch (error) {
      return [pipeline.tell(error)];
    }
  }
}

const refuse = (socket: Duplex, status: number): void => {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
    socket.destroy(),
  );
};
