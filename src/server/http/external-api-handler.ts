/**
 * Serves another product's API over HTTP. Each call is counted, rate-limited, shed and logged like the equivalent
 * operation of this server's own API. The responses carry no CORS headers, so pages of other origins cannot read them.
 * The credentials are not in a header but in the URL.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { OperationTypeNode } from 'graphql';
import type { Logger } from 'pino';
import { BACKEND_CALLER } from '../../app/auth/caller.ts';
import type {
  ExternalApiResponse,
  ExternalApi,
  ExternalApiCall,
  ExternalApiRequestHead,
} from '../../app/ports/external-api.ts';
import { badUserInputError, DomainError } from '../../core/errors.ts';
import type { Millis } from '../../core/ids.ts';
import { readBody, isCompressedEncoding, decodeUtf8 } from './read-body.ts';
import type { ServerCounters } from '../metrics/counters.ts';
import { checkAddressRate, RequestContext, refundAddressRate } from './request-context.ts';
import { splitRequestUrl } from './request-url.ts';
import { REQUEST_ID_HEADER, sendJson, type RequestHandler } from './router.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import type { OperationRecorder } from '../metrics/operation-recorder.ts';
import type { LoadShedder } from '../graphql/load-shedding.ts';
import type { ClientAddressResolver } from '../limits/client-address.ts';
import type { RateLimiter } from '../limits/rate-limiter.ts';

export interface ExternalApiHandlerOptions {
  readonly api: ExternalApi;
  readonly operationRecorder: OperationRecorder;
  readonly loadShedder: LoadShedder;
  readonly rateLimiter: RateLimiter;
  readonly counters: ServerCounters;
  readonly resolveClientAddress: ClientAddressResolver;
  readonly log: Logger;
  readonly now: () => Millis;
}

const OPERATION_TYPES = { query: OperationTypeNode.QUERY, mutation: OperationTypeNode.MUTATION } as const;

/** The handler resolves when the response is written, or when the client is gone. */
export const createExternalApiHandler =
  (options: ExternalApiHandlerOptions): RequestHandler =>
  async (request, response) => {
    const { api, operationRecorder, counters, log, resolveClientAddress } = options;
    const requestId = String(response.getHeader(REQUEST_ID_HEADER));
    const context = new RequestContext(request, requestId, operationRecorder.startTiming(), resolveClientAddress);
    let answer: ExternalApiResponse | null;
    let code: string | null = null;
    try {
      answer = await executeCall(options, request, response, context);
    } catch (error) {
      const domainError = error instanceof DomainError ? error : null;
      if (domainError === null) {
        counters.internalErrors++;
        log.error({ requestId, err: error }, 'A request to the external API failed; the client received an error');
      }
      code = domainError?.details.code ?? 'INTERNAL_SERVER_ERROR';
      answer = api.createErrorResponse(domainError);
    }
    if (answer === null) return;
    sendJson(response, answer.status, answer.body);
    operationRecorder.recordAnswer(
      context,
      context.startedAt,
      context.operation,
      code === null ? undefined : [{ extensions: { code } }],
    );
  };

/**
 * @returns null when the client is gone.
 * @throws DomainError when the call is rejected or fails.
 */
const executeCall = async (
  options: ExternalApiHandlerOptions,
  request: IncomingMessage,
  response: ServerResponse,
  context: RequestContext,
): Promise<ExternalApiResponse | null> => {
  const call = await authorizeCall(options, request, context);
  const { kind, field } = call.equivalentOperation;
  context.caller = BACKEND_CALLER;
  context.operation = { node: { operation: OPERATION_TYPES[kind] }, rootFields: new Set([field]) };
  const rejection = options.loadShedder.getRejection(context.operation);
  if (rejection !== null) throw rejection;
  const body = await readTextBody(request, response);
  if (body === null) return null;
  context.startedAt = options.operationRecorder.startTiming();
  return call.execute(body);
};

/** Rate-limits by address before the credentials are checked, unless the caller is already known. */
const authorizeCall = async (
  { api, rateLimiter, counters: { rejections }, now }: ExternalApiHandlerOptions,
  request: IncomingMessage,
  context: RequestContext,
): Promise<ExternalApiCall> => {
  const head: ExternalApiRequestHead = { method: request.method ?? '', ...splitRequestUrl(request) };
  const deps = { rateLimiter, rejections };
  checkAddressRate(deps, context, now(), () => api.isKnownCaller(head));
  const call = await api.authorizeCall(head);
  refundAddressRate(deps, context, now());
  return call;
};

/**
 * @returns null when the client is gone.
 * @throws BAD_USER_INPUT for a body that is compressed, too long or not UTF-8.
 */
const readTextBody = async (request: IncomingMessage, response: ServerResponse): Promise<string | null> => {
  if (isCompressedEncoding(request.headers['content-encoding']))
    throw badUserInputError('The body must not be compressed.');
  let body: Buffer | null;
  try {
    body = await readBody(request, MAX_PAYLOAD_BYTES);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // Close the connection instead of waiting for the rest of the body.
    response.setHeader('Connection', 'close');
    throw badUserInputError(error.message);
  }
  if (body === null) return null;
  const text = decodeUtf8(body);
  if (text === null) throw badUserInputError('The body is not UTF-8.');
  return text;
};
