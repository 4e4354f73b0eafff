/**
 * The short way for what nearly every request is: a query or mutation, posted as plain JSON and answered
 * as such. It spares the fetch layer, nothing else: the pipeline is the same. Whatever it does not know
 * at sight (bad JSON, odd parameters, streams, other media types) is yoga's.
 */
import type { IncomingMessage } from 'node:http';
import type { ExecutionResult } from 'graphql';
import { decodeUtf8 } from './read-body.ts';
import { authenticateRequest, type GraphqlHandlerOptions, type RequestContext } from './request-context.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import { JSON_CONTENT_TYPE, selectJsonMediaType, type JsonMediaType } from './media-types.ts';
import { isSubscription } from '../graphql/operation.ts';
import type { OperationResult } from '../graphql/pipeline.ts';

export interface JsonPostParams {
  readonly query: string;
  readonly operationName: string | null | undefined;
  readonly variables: Readonly<Record<string, unknown>> | null | undefined;
}

const PARAMS: readonly string[] = ['query', 'operationName', 'variables', 'extensions'];

/** Told from its headers alone. @returns how the answer is called; null when the request is not for this way. */
export const jsonPostMediaType = ({ method, url, headers }: IncomingMessage): JsonMediaType | null =>
  method === 'POST' &&
  url?.includes('?') === false &&
  JSON_CONTENT_TYPE.test(headers['content-type'] ?? '') &&
  headers['content-encoding'] === undefined &&
  Number(headers['content-length'] ?? Infinity) <= MAX_PAYLOAD_BYTES
    ? selectJsonMediaType(headers.accept)
    : null;

/** What is asked; null when the body is not what it should be. */
export const parseJsonPostParams = (body: Buffer): JsonPostParams | null => {
  const parsed = parsedJson(body);
  if (!isObject(parsed)) return null;
  for (const name of Object.keys(parsed)) if (!PARAMS.includes(name)) return null;
  const { query, operationName, variables, extensions } = parsed;
  if (typeof query !== 'string') return null;
  if (operationName != null && typeof operationName !== 'string') return null;
  if (variables != null && !isObject(variables)) return null;
  if (extensions != null && !isObject(extensions)) return null;
  return { query, operationName, variables };
};

const parsedJson = (body: Buffer): unknown => {
  const text = decodeUtf8(body);
  if (text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    // No JSON: what is to be said of it, yoga says.
    return undefined;
  }
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @returns null for a subscription, of which nothing has been begun. Never throws: what is wrong is in the result. */
export const executeJsonPost = async (
  options: GraphqlHandlerOptions,
  { query, operationName, variables }: JsonPostParams,
  request: IncomingMessage,
  passage: RequestContext,
): Promise<ExecutionResult | null> => {
  const { pipeline } = options;
  try {
    const context = await authenticateRequest(options, request, passage);
    const prepared = pipeline.prepareOperation(query, operationName);
    if ('errors' in prepared) return prepared;
    passage.operation = prepared.operation;
    if (isSubscription(prepared.operation)) return null;
    return single(await pipeline.runOperation(prepared, { variables, context }));
  } catch (error) {
    return pipeline.toErrorResult(error);
  }
};

const single = (result: OperationResult): ExecutionResult => {
  if (Symbol.asyncIterator in result) throw new Error('A query or mutation answered with a stream.');
  return result;
};
