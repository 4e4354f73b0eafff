/**
 * Connects GraphiQL to the server: operations use POST, subscriptions a WebSocket. The schema is loaded when a credential
 * permits it.
 */
import type { SchemaLoader } from './introspection.ts';
import { findAuthorization, type EditorHeaders, isSubscriptionOperation, type GraphiqlOperation } from './operation.ts';
import { type ResultObservable, subscribeOverSocket } from './socket.ts';
import { hasPlaceholder } from './tabs.ts';

export type GraphiqlFetcher = (
  operation: GraphiqlOperation,
  options?: { readonly headers?: EditorHeaders },
) => Promise<unknown> | ResultObservable;

const PLACEHOLDER_ERROR = {
  errors: [{ message: 'Nothing was sent: first replace the <…> in "Headers" of this tab with a credential.' }],
};

/** @param endpoint the absolute URL of GraphQL over HTTP. The WebSocket has the same host and path. */
export const createGraphiqlFetcher = (endpoint: string, schemaLoader: SchemaLoader): GraphiqlFetcher => {
  const socketUrl = endpoint.replace(/^http/, 'ws');
  return (operation, options) => {
    const headers = options?.headers;
    const authorization = findAuthorization(headers);
    const isIncomplete = authorization !== undefined && hasPlaceholder(authorization);
    if (authorization !== undefined && !isIncomplete) schemaLoader.offerCredential(authorization);
    if (operation.operationName === 'IntrospectionQuery') {
      return schemaLoader.loadSchema((credential) =>
        post(endpoint, operation, { ...headers, authorization: credential }),
      );
    }
    if (isIncomplete) return Promise.resolve(PLACEHOLDER_ERROR);
    if (isSubscriptionOperation(operation)) return subscribeOverSocket(socketUrl, operation, authorization);
    return post(endpoint, operation, headers);
  };
};

const post = async (
  endpoint: string,
  operation: GraphiqlOperation,
  headers: EditorHeaders | undefined,
): Promise<unknown> => {
  const allHeaders = new Map(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]));
  allHeaders.set('content-type', 'application/json');
  allHeaders.set('accept', 'application/graphql-response+json, application/json');
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: [...allHeaders],
    // Only the headers of the tab identify the caller.
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
