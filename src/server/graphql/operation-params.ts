/** Checks the parameters of a request. Every transport calls it, so that all of them accept the same requests. */
import { GraphQLError } from 'graphql';

/** The parameters of a request, as the pipeline takes them. */
export interface OperationParams {
  /** Not empty. */
  readonly query: string;
  /** Null when the request names no operation. */
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>> | null;
}

/** What clients of persisted queries look for. They then send the document itself. */
const NOT_SUPPORTED_MESSAGE = 'PersistedQueryNotSupported';

const BATCH_MESSAGE = 'A request must have one operation, but is a list. Send each operation in a request of its own.';

/**
 * Reads the parameters of a parsed request. For `operationName`, `variables` and `extensions`, null and an empty string
 * count as not given: many tools send them for an empty field. Other members are ignored.
 * @throws GraphQLError BAD_REQUEST, or PERSISTED_QUERY_NOT_SUPPORTED for a request with the hash of a document alone.
 */
export const readOperationParams = (request: unknown): OperationParams => {
  if (!isObject(request)) {
    throw badRequest(
      Array.isArray(request) ? BATCH_MESSAGE : `A request must be a JSON object, but is ${nameOf(request)}.`,
    );
  }
  const { operationName } = request;
  if (operationName != null && typeof operationName !== 'string') {
    throw badRequest(`"operationName" must be a string or null, but is ${nameOf(operationName)}.`);
  }
  const variables = readObject(request, 'variables');
  return { query: requireDocument(request), operationName: operationName || null, variables };
};

/** The text of the document. A document that a hash names would be looked up here. */
const requireDocument = (request: Readonly<Record<string, unknown>>): string => {
  const { query, documentId } = request;
  const extensions = readObject(request, 'extensions');
  if (typeof query === 'string' && query !== '') return query;
  if (query != null && query !== '') throw badRequest(`"query" must be a string, but is ${nameOf(query)}.`);
  if (extensions?.['persistedQuery'] != null || (documentId != null && documentId !== '')) {
    throw new GraphQLError(NOT_SUPPORTED_MESSAGE, { extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' } });
  }
  throw badRequest('"query" is missing. It must be a string with a GraphQL document.');
};

const readObject = (
  request: Readonly<Record<string, unknown>>,
  name: 'variables' | 'extensions',
): Readonly<Record<string, unknown>> | null => {
  const value = request[name];
  if (value == null || value === '') return null;
  if (isObject(value)) return value;
  throw badRequest(`"${name}" must be an object or null, but is ${nameOf(value)}.`);
};

/** The values are not repeated: variables may contain secrets. */
const nameOf = (value: unknown): string => {
  if (value === null) return 'null';
  if (value === undefined) return 'missing';
  if (typeof value === 'object') return Array.isArray(value) ? 'a list' : 'an object';
  return `a ${typeof value}`;
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const badRequest = (message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { code: 'BAD_REQUEST' } });
