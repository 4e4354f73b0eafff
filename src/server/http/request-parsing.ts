/** Reads the parameters of the requests that yoga handles, and rejects those that are not GraphQL requests. */
import type { IncomingMessage } from 'node:http';
import { GraphQLError } from 'graphql';
import type { GraphQLParams } from 'graphql-yoga';
import { quoteText } from '../../core/quote.ts';
import { readOperationParams, type OperationParams } from '../graphql/operation-params.ts';
import { addHttpStatus, badRequestError } from './error-status.ts';
import { JSON_CONTENT_TYPE_PATTERN } from './media-types.ts';
import { decodeUtf8, isCompressedEncoding } from './read-body.ts';
import { splitRequestUrl } from './request-url.ts';

/** Reads a body that yoga has limited in size. */
type BodyParser = (request: Request) => unknown;

/** graphql-sse sends it in its single connection mode, or the URL parameter `token` instead. */
export const EVENT_STREAM_TOKEN_HEADER = 'x-graphql-event-stream-token';

export const SINGLE_CONNECTION_MESSAGE =
  'The single connection mode of graphql-sse is not supported. Set singleConnection to false, or use a WebSocket.';

const MAX_QUOTED_LENGTH = 100;

/** @throws GraphQLError BAD_REQUEST with an HTTP status. */
export const checkRequestHead = ({ method, url = '', headers }: IncomingMessage): void => {
  const contentType = headers['content-type'];
  if (method === 'POST' && !JSON_CONTENT_TYPE_PATTERN.test(contentType ?? '')) {
    const given = contentType ? `is ${quoteHeader(contentType)}` : 'is missing';
    throw badRequestError(`The header Content-Type must be application/json, but ${given}.`, 415);
  }
  const encoding = headers['content-encoding'];
  if (isCompressedEncoding(encoding)) {
    const given = `Content-Encoding is ${quoteHeader(encoding ?? '')}`;
    throw badRequestError(`The body must not be compressed, but ${given}.`, 415);
  }
  if (!isValidUrl(url)) throw badRequestError('The URL must be percent-encoded UTF-8.', 400);
  if (headers[EVENT_STREAM_TOKEN_HEADER] !== undefined) throw badRequestError(SINGLE_CONNECTION_MESSAGE, 400);
};

/** For a client that accepts no type of result. The status is 406. */
export const notAcceptableError = (accept = ''): GraphQLError =>
  new GraphQLError(
    `The header Accept must allow application/json or text/event-stream, but is ${quoteHeader(accept)}.`,
    { extensions: { code: 'BAD_REQUEST' } },
  );

const quoteHeader = (value: string): string => quoteText(value.slice(0, MAX_QUOTED_LENGTH));

/** Whether a URL has only characters that RFC 3986 allows, and its percent-encoded bytes are UTF-8. */
const isValidUrl = (url: string): boolean => {
  if (!/^[\x21-\x7e]*$/.test(url)) return false;
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    // The error has no more details.
    return false;
  }
};

/** Reads the parameters of a GET. @throws GraphQLError with an HTTP status. */
export const parseUrlParams = (request: Pick<IncomingMessage, 'url'>): GraphQLParams => {
  const params = new URLSearchParams(splitRequestUrl(request).query);
  if (params.has('token') && !params.get('query')) throw badRequestError(SINGLE_CONNECTION_MESSAGE, 400);
  return toYogaParams({
    query: params.get('query'),
    documentId: params.get('documentId'),
    operationName: params.get('operationName'),
    variables: parseJsonParam(params, 'variables'),
    extensions: parseJsonParam(params, 'extensions'),
  });
};

const parseJsonParam = (params: URLSearchParams, name: string): unknown => {
  const text = params.get(name);
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    // The position in the text would not help: the client did not write it by hand.
    throw badRequestError(`The URL parameter "${name}" is not valid JSON.`, 400);
  }
};

/** Reads the parameters of a POST. @throws GraphQLError with an HTTP status. */
export const parseBodyParams = async (request: Request, parseBody: BodyParser): Promise<GraphQLParams> => {
  let body: unknown;
  try {
    body = await parseBody(await requireUtf8Body(request));
  } catch (error) {
    if (error instanceof GraphQLError && error.extensions['originalError'] === undefined) throw error;
    throw badRequestError('The body is not valid JSON.', 400);
  }
  return toYogaParams(body);
};

/** Returns the same request with a body that has been read and checked. */
const requireUtf8Body = async (request: Request): Promise<Request> => {
  const body = decodeUtf8(Buffer.from(await request.arrayBuffer()));
  if (body === null) throw badRequestError('The body is not UTF-8.', 400);
  return new Request(request.url, { method: request.method, body });
};

const toYogaParams = (request: unknown): GraphQLParams => {
  let params: OperationParams;
  try {
    params = readOperationParams(request);
  } catch (error) {
    throw error instanceof GraphQLError ? addHttpStatus(error) : error;
  }
  const { query, operationName, variables } = params;
  return {
    query,
    ...(operationName === null ? {} : { operationName }),
    ...(variables === null ? {} : { variables: { ...variables } }),
  };
};
