/** Subscriptions of GraphiQL: each has a WebSocket of its own, for as long as it runs. */
import type { Client, ClientOptions } from 'graphql-ws';
import type { GraphiqlOperation } from './operation.ts';

/** From graphql-ws's script, which the page loads before this one. */
declare const graphqlWs: { createClient(options: ClientOptions): Client };

/** As much of an observable as GraphiQL uses. */
export interface ResultObservable {
  subscribe(sink: ResultObserver): { unsubscribe(): void };
}

interface ResultObserver {
  next(value: unknown): void;
  error(error: unknown): void;
  complete(): void;
}

/** How many messages stay on the screen. */
const SHOWN = 50;

/**
 * GraphiQL shows the last value only; a feed is understood by what came before. So each value that it is given
 * holds the last messages, the newest on top.
 */
export const subscribeOverSocket = (
  url: string,
  operation: GraphiqlOperation,
  authorization: string | undefined,
): ResultObservable => ({
  subscribe: (sink) => {
    const messages: unknown[] = [];
    let received = 0;
    const show = (message: unknown): void => {
      messages.unshift(message);
      if (messages.length > SHOWN) messages.pop();
      sink.next({ received, newestFirst: messages });
    };
    const client = graphqlWs.createClient({
      url,
      connectionParams: authorization === undefined ? {} : { authorization },
      lazyCloseTimeout: 0,
      // The close of a socket says something here (kicked, timed out, too slow): it is shown, not hidden by a new one.
      retryAttempts: 0,
      // What an app would do: a session that a subscription attaches stays ONLINE while it runs.
      keepAlive: 15_000,
    });
    const payload = {
      query: operation.query,
      variables: operation.variables ?? null,
      operationName: operation.operationName ?? null,
    };
    client.subscribe(payload, {
      next: (message) => {
        received++;
        show(message);
      },
      error: (error) => {
        show(describe(error));
        sink.complete();
      },
      complete: () => sink.complete(),
    });
    // Disposing closes the socket at once, also one that is still connecting.
    return { unsubscribe: () => void client.dispose() };
  },
});

/** GraphQL errors, the close of the socket, or an Error of the browser. */
const describe = (error: unknown): unknown => {
  if (Array.isArray(error)) return { errors: error as unknown[] };
  if (typeof error === 'object' && error !== null && 'code' in error) {
    return { socketClosed: { code: error.code, reason: 'reason' in error ? error.reason : '' } };
  }
  return { errors: [{ message: error instanceof Error ? error.message : 'The socket could not be opened.' }] };
};
