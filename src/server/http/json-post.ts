/**
 * Executes the most frequent kind of request without yoga: a query or mutation in a plain JSON POST that is answered as
 * JSON. It saves the fetch layer and uses the same pipeline. yoga handles everything else: invalid JSON, streams and
 * other media types.
 */
import type { IncomingMessage } from 'node:http';
import type { ExecutionResult } from 'graphql';
import { decodeUtf8 } from './read-body.ts';
import { EVENT_STREAM_TOKEN_HEADER } from './request-parsing.ts';
import { authenticateRequest, type GraphqlHandlerOptions, type RequestContext } from './request-context.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import { JSON_CONTENT_TYPE_PATTERN, selectJsonMediaType, type JsonMediaType } from './media-types.ts';
import { isSubscription } from '../graphql/operation.ts';
import type { OperationParams } from '../graphql/operation-params.ts';
import type { OperationResult } from '../graphql/pipeline.ts';

/** Returns the media type of the response; null when yoga must handle the request. Reads only the headers. */
export const selectJsonPostMediaType = ({ method, url, headers }: IncomingMessage): JsonMediaType | null =>
  method === 'POST' &&
  url?.includes('?') === false &&
  JSON_CONTENT_TYPE_PATTERN.test(headers['content-type'] ?? '') &&
  headers['content-encoding'] === undefined &&
  headers[EVENT_STREAM_TOKEN_HEADER] === undefined &&
  Number(headers['content-length'] ?? Infinity) <= MAX_PAYLOAD_BYTES
    ? selectJsonMediaType(headers.accept)
    : null;

/** Returns undefined for a body that is not JSON in UTF-8. */
export const parseJsonBody = (body: Buffer): unknown => {
  const text = decodeUtf8(body);
  if (text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // yoga reports the error.
    return undefined;
  }
};

/** A longer list of errors would be a large answer to a small request. */
const MAX_BATCH_LENGTH = 100;

/**
 * Clients that send several operations as a list read only a list with as many results.
 * @param request as the client sent it.
 * @returns null for a request that is not a list of objects, or a list of more than 100.
 */
export const repeatForBatch = (result: ExecutionResult, request: unknown): readonly ExecutionResult[] | null =>
  isBatch(request) && request.length <= MAX_BATCH_LENGTH ? request.map(() => result) : null;

const isBatch = (request: unknown): request is readonly object[] =>
  Array.isArray(request) &&
  request.length > 0 &&
  request.every((each) => typeof each === 'object' && each !== null && !Array.isArray(each));

/** Resolves to null for a subscription, which it does not start. Never rejects: errors are in the result. */
export const executeJsonPost = async (
  options: GraphqlHandlerOptions,
  { query, operationName, variables }: OperationParams,
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
