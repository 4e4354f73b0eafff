/**
 * What is behind the port until the store is there. Most starts are over before anybody has become impatient, so whoever
 * comes first is kept waiting; a long one keeps nobody: nothing is authenticated, and all are asked to come back. A socket is let in and closed with 1013, for a client sees neither the status nor the headers of an
 * upgrade that is refused, and those of graphql-ws take it for the end.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { handleProtocols } from 'graphql-ws';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { ForeignAnswer, ForeignApi } from '../app/ports/external-api.ts';
import { DomainError } from '../core/errors.ts';
import { CLOSE } from './wire/close-codes.ts';
import { createHttpHandler, GRAPHQL_PATH, sendJson, type PageHandler, type RequestHandler } from './http/router.ts';
import { MAX_STRANGER_PAYLOAD_BYTES } from './graphql/query-limits.ts';
import type { AllowedOrigins } from './auth/allowed-origins.ts';
import { retryAfterMs } from './graphql/load-shedding.ts';
import type { Behind } from './http/listener.ts';
import { SOCKET_LIMITS } from './websocket/connection-settings.ts';

/** How long we take is not known; a million sessions are four seconds. */
const MOST_OF_IT_MS = 1_000;

/** So long nobody is sent away. */
const PATIENCE_MS = 2_000;

/** Somebody who waits, and may be led to what is behind the port by then. */
type Waiting = (behind: Behind) => void;

export interface StartingOptions {
  readonly allowedOrigins: AllowedOrigins;
  readonly graphiql: PageHandler | undefined;
  /** Another product's API; undefined: there is none. */
  readonly foreign?: Pick<ForeignApi, 'prefix' | 'refusal'> | undefined;
  readonly log: Logger;
  /** Other than the usual one, for tests. */
  readonly patienceMs?: number | undefined;
}

export class Starting implements Behind {
  /** Null: nobody is kept waiting any more. */
  #waiting: Set<Waiting> | null = new Set();
  /** Who asks for these is kept waiting. */
  readonly #awaited: readonly string[];
  readonly #patience: NodeJS.Timeout;
  readonly #answer: RequestListener;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_STRANGER_PAYLOAD_BYTES,
    perMessageDeflate: false,
    handleProtocols,
    // The types do not know it yet. Without an answer to our close the socket is cut off.
    ...{ closeTimeout: SOCKET_LIMITS.strangerCloseMs },
  });

  constructor({ allowedOrigins, graphiql, foreign, log, patienceMs = PATIENCE_MS }: StartingOptions) {
    this.#awaited = foreign === undefined ? [GRAPHQL_PATH] : [GRAPHQL_PATH, foreign.prefix];
    this.#patience = setTimeout(() => this.left(this), patienceMs);
    this.#answer = createHttpHandler({
      graphql: comeBack(inGraphql),
      allowedOrigins,
      state: () => 'starting',
      graphiql,
      metrics: comeBack(inGraphql),
      foreign: foreign === undefined ? undefined : { prefix: foreign.prefix, handle: comeBack(foreign.refusal) },
      log,
    });
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    // Health is asked for by those who want to know just this.
    const isAwaited = this.#awaited.some((path) => request.url?.startsWith(path));
    if (this.#waiting === null || !isAwaited) return this.#answer(request, response);
    this.#wait(request.socket, (behind) => behind.request(request, response));
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#waiting === null) this.#sendAway(request, socket, head);
    else this.#wait(socket, (behind) => behind.upgrade(request, socket, head));
  }

  /** Whoever waits is led to what is behind the port from now on, and nobody is kept waiting any more. */
  left(behind: Behind): void {
    clearTimeout(this.#patience);
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const lead of waiting ?? []) lead(behind);
  }

  #wait(socket: Duplex, lead: Waiting): void {
    const gone = (): void => void this.#waiting?.delete(waits);
    const waits: Waiting = (behind) => {
      socket.off('close', gone).off('error', gone);
      lead(behind);
    };
    // What is read from a socket by nobody yet may still be reset.
    socket.on('close', gone).on('error', gone);
    this.#waiting?.add(waits);
  }

  /** It stays one of the connections that are counted, and gives way like any other that nothing is asked for on. */
  #sendAway(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      // A client that is gone, or sends what is no WebSocket.
      ws.on('error', () => ws.terminate());
      ws.close(CLOSE.TRY_AGAIN_LATER, 'Starting');
    });
  }

  /** Sends away those who wait, and cuts off those who have not answered our close. */
  close(): void {
    this.left(this);
    for (const ws of this.#server.clients) ws.terminate();
    this.#server.close();
  }
}

/** @param tell in the words of the API that is asked: clients of another one may take what they cannot read for a success. */
const comeBack =
  (tell: (refusal: DomainError) => ForeignAnswer): RequestHandler =>
  (_request, response) => {
    const waitMs = retryAfterMs(MOST_OF_IT_MS, Math.random());
    response.setHeader('Retry-After', Math.ceil(waitMs / 1_000));
    const { status, body } = tell(
      new DomainError({ code: 'OVERLOADED', retryAfterMs: waitMs }, 'The server is starting. Try again later.'),
    );
    sendJson(response, status, body);
    return Promise.resolve();
  };

/** Whatever the client accepts: the operation was not looked at, and a proxy is to know it. */
const inGraphql = ({ message, fault }: DomainError): ForeignAnswer => ({
  status: 503,
  body: { errors: [{ message, extensions: fault }] },
});
