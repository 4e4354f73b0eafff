/**
 * Executes the most frequent kind of request without yoga: a query or mutation in a plain JSON POST that is answered as
 * JSON. It saves the fetch layer and uses the same pipeline. yoga handles everything else: invalid JSON, unknown
 * parameters, streams and other media types.
 */
import type { IncomingMessage } from 'node:http';
import type { ExecutionResult } from 'graphql';
import { decodeUtf8 } from './read-body.ts';
import { authenticateRequest, type GraphqlHandlerOptions, type RequestContext } from './request-context.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import { JSON_CONTENT_TYPE_PATTERN, selectJsonMediaType, type JsonMediaType } from './media-types.ts';
import { isSubscription } from '../graphql/operation.ts';
import type { OperationResult } from '../graphql/pipeline.ts';

export interface JsonPostParams {
  readonly query: string;
  readonly operationName: string | null | undefined;
  readonly variables: Readonly<Record<string, unknown>> | null | undefined;
}

const PARAM_NAMES: readonly string[] = ['query', 'operationName', 'variables', 'extensions'];

/** Returns the media type of the response; null when yoga must handle the request. Reads only the headers. */
export const selectJsonPostMediaType = ({ method, url, headers }: IncomingMessage): JsonMediaType | null =>
  method === 'POST' &&
  url?.includes('?') === false &&
  JSON_CONTENT_TYPE_PATTERN.test(headers['content-type'] ?? '') &&
  headers['content-encoding'] === undefined &&
  Number(headers['content-length'] ?? Infinity) <= MAX_PAYLOAD_BYTES
    ? selectJsonMediaType(headers.accept)
    : null;

/** Returns null for an invalid body, which yoga rejects with a detailed error. */
export const parseJsonPostParams = (body: Buffer): JsonPostParams | null => {
  const parsed = parseJson(body);
  if (!isObject(parsed)) return null;
  for (const name of Object.keys(parsed)) if (!PARAM_NAMES.includes(name)) return null;
  const { query, operationName, variables, extensions } = parsed;
  if (typeof query !== 'string') return null;
  if (operationName != null && typeof operationName !== 'string') return null;
  if (variables != null && !isObject(variables)) return null;
  if (extensions != null && !isObject(extensions)) return null;
  return { query, operationName, variables };
};

const parseJson = (body: Buffer): unknown => {
  const text = decodeUtf8(body);
  if (text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // yoga reports the error.
    return undefined;
  }
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Resolves to null for a subscription, which it does not start. Never rejects: errors are in the result. */
export const executeJsonPost = async (
  options: GraphqlHandlerOptions,
  { query, operationName, variables }: JsonPostParams,
  request: IncomingMessage,
  requestContext: RequestContext,
): Promise<ExecutionResult | null> => {
  const { pipeline } = options;
  try {
    const context = await authenticateRequest(options, request, requestContext);
    const prepared = pipeline.prepareOperation(query, operationName);
    if ('errors' in prepared) return prepared;
    requestContext.operation = prepared.operation;
    if (isSubscription(prepared.operation)) return null;
    return requireSingleResult(await pipeline.runOperation(prepared, { variables, context }));
  } catch (error) {
    return pipeline.toErrorResult(error);
  }
};

const requireSingleResult = (result: OperationResult): ExecutionResult => {
  if (Symbol.asyncIterator in result) throw new Error('A query or mutation returned a stream.');
  return result;
};
