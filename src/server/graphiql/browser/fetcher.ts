/** How GraphiQL reaches the server: operations by POST, subscriptions by WebSocket, the schema once someone may read it. */
import type { SchemaLoader } from './introspection.ts';
import { findAuthorization, type EditorHeaders, isSubscription, type GraphiqlOperation } from './operation.ts';
import { type ResultObservable, subscribeOverSocket } from './socket.ts';
import { hasPlaceholder } from './tabs.ts';

export type GraphiqlFetcher = (
  operation: GraphiqlOperation,
  options?: { readonly headers?: EditorHeaders },
) => Promise<unknown> | ResultObservable;

const PASTE_FIRST = {
  errors: [{ message: 'Nothing was sent: first replace the <…> in "Headers" of this tab by what it asks for.' }],
};

/** @param endpoint the absolute URL of GraphQL over HTTP; its socket has the same one. */
export const createFetcher = (endpoint: string, introspection: SchemaLoader): GraphiqlFetcher => {
  const socketUrl = endpoint.replace(/^http/, 'ws');
  return (operation, options) => {
    const headers = options?.headers;
    const authorization = findAuthorization(headers);
    const missing = authorization !== undefined && hasPlaceholder(authorization);
    if (authorization !== undefined && !missing) introspection.offerCredential(authorization);
    if (operation.operationName === 'IntrospectionQuery') {
      return introspection.loadSchema((credential) =>
        post(endpoint, operation, { ...headers, authorization: credential }),
      );
    }
    if (missing) return Promise.resolve(PASTE_FIRST);
    if (isSubscription(operation)) return subscribeOverSocket(socketUrl, operation, authorization);
    return post(endpoint, operation, headers);
  };
};

const post = async (
  endpoint: string,
  operation: GraphiqlOperation,
  headers: EditorHeaders | undefined,
): Promise<unknown> => {
  const all = new Map(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]));
  all.set('content-type', 'application/json');
  all.set('accept', 'application/graphql-response+json, application/json');
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: [...all],
    // Who asks is said by the headers of the tab alone.
    credentials: 'omit',
    body: JSON.stringify(operation),
  });
  const text = await response.text();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { errors: [{ message: `HTTP ${response.status} ${response.statusText}: ${text.slice(0, 1_000)}` }] };
  }
};
