/**
 * What is behind the port until the store is there: nothing is authenticated, and nothing is asked of anybody but to
 * come back. A socket is let in and closed with 1013, for a client sees neither the status nor the headers of an
 * upgrade that is refused, and those of graphql-ws take it for the end.
 */
import type { IncomingMessage, RequestListener } from 'node:http';
import type { Duplex } from 'node:stream';
import { handleProtocols } from 'graphql-ws';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import { CLOSE } from './close-codes.ts';
import { createHttpHandler, sendJson, type PageHandler, type RequestHandler } from './http.ts';
import { MAX_STRANGER_PAYLOAD_BYTES } from './limits.ts';
import type { AllowedOrigins } from './origins.ts';
import { retryAfterMs } from './overload.ts';
import type { Behind } from './port.ts';
import { SOCKET_LIMITS } from './socket-limits.ts';

/** How long we take is not known; a million sessions are four seconds. */
const MOST_OF_IT_MS = 1_000;

export interface StartingOptions {
  readonly allowedOrigins: AllowedOrigins;
  readonly graphiql: PageHandler | undefined;
  readonly log: Logger;
}

export class Starting implements Behind {
  readonly request: RequestListener;
  readonly #server = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_STRANGER_PAYLOAD_BYTES,
    perMessageDeflate: false,
    handleProtocols,
    // The types do not know it yet. Without an answer to our close the socket is cut off.
    ...{ closeTimeout: SOCKET_LIMITS.strangerCloseMs },
  });

  constructor({ allowedOrigins, graphiql, log }: StartingOptions) {
    this.request = createHttpHandler({
      graphql: comeBack,
      allowedOrigins,
      state: () => 'starting',
      graphiql,
      metrics: comeBack,
      log,
    });
  }

  /** It stays one of the connections that are counted, and gives way like any other that nothing is asked for on. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      // A client that is gone, or sends what is no WebSocket.
      ws.on('error', () => ws.terminate());
      ws.close(CLOSE.TRY_AGAIN_LATER, 'Starting');
    });
  }

  /** Cuts off those who have not answered our close. */
  close(): void {
    for (const ws of this.#server.clients) ws.terminate();
    this.#server.close();
  }
}

const comeBack: RequestHandler = (_request, response) => {
  const waitMs = retryAfterMs(MOST_OF_IT_MS, Math.random());
  const extensions = { code: 'OVERLOADED', retryAfterMs: waitMs };
  response.setHeader('Retry-After', Math.ceil(waitMs / 1_000));
  // Whatever the client accepts: the operation was not looked at, and a proxy is to know it.
  sendJson(response, 503, { errors: [{ message: 'The server is starting. Try again later.', extensions }] });
  return Promise.resolve();
};
