/**
 * Handles requests while the store is still loading. Most starts are short, so GraphQL requests and upgrades first wait
 * up to 2 s. After that they are rejected without authentication and asked to retry.
 *
 * A WebSocket is accepted and closed with 1013: a browser client sees neither the status nor the headers of a rejected
 * upgrade, and graphql-ws would treat that rejection as fatal.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { ExternalApi, ExternalApiResponse } from '../app/ports/external-api.ts';
import { DomainError } from '../core/errors.ts';
import { OriginPolicy, type AllowedOrigins } from './auth/allowed-origins.ts';
import { computeRetryAfterMs } from './graphql/load-shedding.ts';
import type { ConnectionHandler } from './http/listener.ts';
import { splitRequestUrl } from './http/request-url.ts';
import { createRouter, GRAPHQL_PATH, sendJson, type PageHandler, type RequestHandler } from './http/router.ts';
import { MAX_UNAUTHENTICATED_PAYLOAD_BYTES } from './limits/unauthenticated-limits.ts';
import { DEFAULT_CONNECTION_SETTINGS } from './websocket/connection-settings.ts';
import { selectSubprotocol } from './websocket/subprotocols.ts';
import { SERVER_CLOSE_CODES } from './wire/close-codes.ts';

/** A guess of the remaining start time, from which `Retry-After` is derived. A million sessions load in 4 s. */
const EXPECTED_START_MS = 1_000;

/** How long requests are held before they are rejected. */
const HOLD_MS = 2_000;

/** Passes a held request to the given handler. */
type ReleaseRequest = (handler: ConnectionHandler) => void;

export interface StartupHandlerOptions {
  readonly allowedOrigins: AllowedOrigins;
  readonly graphiql: PageHandler | undefined;
  /** Another product's API. Undefined: no such API is served. */
  readonly externalApi?: Pick<ExternalApi, 'pathPrefix' | 'createErrorResponse'> | undefined;
  readonly log: Logger;
  /** Override of the default, for tests. */
  readonly holdMs?: number | undefined;
}

export class StartupHandler implements ConnectionHandler {
  /** Null: requests are no longer held. */
  #held: Set<ReleaseRequest> | null = new Set();
  /** Requests whose path starts with one of these are held. */
  readonly #heldPrefixes: readonly string[];
  readonly #holdTimer: NodeJS.Timeout;
  readonly #route: RequestListener;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_UNAUTHENTICATED_PAYLOAD_BYTES,
    perMessageDeflate: false,
    // Clients of other subprotocols learn later that these are not acceptable, from the server that is ready.
    handleProtocols: selectSubprotocol,
    // @types/ws lacks this option. A socket whose client does not answer the close frame is terminated after it.
    ...{ closeTimeout: DEFAULT_CONNECTION_SETTINGS.unacknowledgedCloseTimeoutMs },
  });

  constructor({ allowedOrigins, graphiql, externalApi, log, holdMs = HOLD_MS }: StartupHandlerOptions) {
    this.#heldPrefixes = externalApi === undefined ? [GRAPHQL_PATH] : [GRAPHQL_PATH, externalApi.pathPrefix];
    this.#holdTimer = setTimeout(() => this.onReplaced(this), holdMs);
    this.#route = createRouter({
      graphql: respondStarting(createGraphqlErrorResponse),
      // Refused origins are logged by the server, whose log must have each only once.
      originPolicy: new OriginPolicy({ allowedOrigins, trustProxy: false, log: null }),
      state: () => 'starting',
      graphiql,
      metrics: respondStarting(createGraphqlErrorResponse),
      externalApi:
        externalApi === undefined
          ? undefined
          : { prefix: externalApi.pathPrefix, handle: respondStarting(externalApi.createErrorResponse) },
      log,
    });
  }

  handleRequest(request: IncomingMessage, response: ServerResponse): void {
    const { path } = splitRequestUrl(request);
    // Health checks are answered at once: they ask whether the server is ready.
    const isHeld = this.#held !== null && this.#heldPrefixes.some((prefix) => path.startsWith(prefix));
    if (isHeld) this.#hold(request.socket, (handler) => handler.handleRequest(request, response));
    else this.#route(request, response);
  }

  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#held === null) this.#rejectUpgrade(request, socket, head);
    else this.#hold(socket, (handler) => handler.handleUpgrade(request, socket, head));
  }

  /** Passes all held requests to `handler`, and holds no more. */
  onReplaced(handler: ConnectionHandler): void {
    clearTimeout(this.#holdTimer);
    const held = this.#held;
    this.#held = null;
    for (const release of held ?? []) release(handler);
  }

  #hold(socket: Duplex, pass: ReleaseRequest): void {
    const discard = (): void => void this.#held?.delete(release);
    const release: ReleaseRequest = (handler) => {
      socket.off('close', discard).off('error', discard);
      pass(handler);
    };
    // The peer may reset a held connection; without an `error` listener that would end the process.
    socket.on('close', discard).on('error', discard);
    this.#held?.add(release);
  }

  /** The connection limiter still counts the connection, and may close it in favour of another one. */
  #rejectUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      // The client is gone, or it sent data that is not a WebSocket frame.
      ws.on('error', () => ws.terminate());
      ws.close(SERVER_CLOSE_CODES.TRY_AGAIN_LATER, 'Starting');
    });
  }

  /** Rejects the held requests, and terminates sockets whose clients have not answered the close frame. */
  close(): void {
    this.onReplaced(this);
    for (const ws of this.#server.clients) ws.terminate();
    this.#server.close();
  }
}

/** @param createResponse in the format of the requested API: clients may treat an unknown format as success. */
const respondStarting =
  (createResponse: (error: DomainError) => ExternalApiResponse): RequestHandler =>
  (_request, response) => {
    const retryAfterMs = computeRetryAfterMs(EXPECTED_START_MS, Math.random());
    response.setHeader('Retry-After', Math.ceil(retryAfterMs / 1_000));
    const { status, body } = createResponse(
      new DomainError({ code: 'OVERLOADED', retryAfterMs }, 'The server is starting. Try again later.'),
    );
    sendJson(response, status, body);
    return Promise.resolve();
  };

/** The status is 503 for every accepted media type, because the operation was not read and proxies must see that. */
const createGraphqlErrorResponse = ({ message, details: fault }: DomainError): ExternalApiResponse => ({
  status: 503,
  body: { errors: [{ message, extensions: fault }] },
});
