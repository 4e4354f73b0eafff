/** Runs subscriptions of GraphiQL, each over a WebSocket of its own. */
import type { Client, ClientOptions } from 'graphql-ws';
import type { GraphiqlOperation } from './operation.ts';

/** Defined by the script of graphql-ws, which the page loads before this one. */
declare const graphqlWs: { createClient(options: ClientOptions): Client };

/** The part of an observable that GraphiQL uses. */
export interface ResultObservable {
  subscribe(sink: ResultObserver): { unsubscribe(): void };
}

interface ResultObserver {
  next(value: unknown): void;
  error(error: unknown): void;
  complete(): void;
}

/** The number of messages that stay visible. */
const MAX_SHOWN_MESSAGES = 50;

/** GraphiQL shows only the last value. Each value therefore holds the last messages, the newest first. */
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
      if (messages.length > MAX_SHOWN_MESSAGES) messages.pop();
      sink.next({ received, newestFirst: messages });
    };
    const client = graphqlWs.createClient({
      url,
      connectionParams: authorization === undefined ? {} : { authorization },
      lazyCloseTimeout: 0,
      // The close reason of a socket (kicked, timed out, too slow) is shown, so a new socket must not replace it.
      retryAttempts: 0,
      // Like an app: a session that is attached to the socket stays ONLINE while the subscription runs.
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
        show(describeError(error));
        sink.complete();
      },
      complete: () => sink.complete(),
    });
    // This closes the socket at once, even while it is connecting.
    return { unsubscribe: () => void client.dispose() };
  },
});

/** @param error GraphQL errors, a close event of the socket, or an Error of the browser. */
const describeError = (error: unknown): unknown => {
  if (Array.isArray(error)) return { errors: error as unknown[] };
  if (typeof error === 'object' && error !== null && 'code' in error) {
    return { socketClosed: { code: error.code, reason: 'reason' in error ? error.reason : '' } };
  }
  return { errors: [{ message: error instanceof Error ? error.message : 'The socket could not be opened.' }] };
};
