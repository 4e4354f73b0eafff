/**
 * Serves GraphQL over HTTP. Queries and mutations in plain JSON POSTs are executed directly (json-post.ts). yoga handles
 * all other requests. Both use the same pipeline.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { GraphQLError, type DocumentNode, type ExecutionArgs, type ExecutionResult } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { ApiContext } from '../../api/context.ts';
import { readBody } from './read-body.ts';
import { REQUEST_ID_HEADER } from './router.ts';
import {
  authenticateRequest,
  checkAddressRate,
  RequestContext,
  type GraphqlHandlerOptions,
} from './request-context.ts';
import {
  badRequestError,
  forceBadRequestStatus,
  selectHttpStatus,
  addHttpStatus,
  addHttpStatuses,
} from './error-status.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import { formatKib } from '../limits/unauthenticated-limits.ts';
import { acceptsAnyResult, orderAcceptByWeight, selectJsonMediaType, type JsonMediaType } from './media-types.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { createEventStreamPlugin } from './event-stream.ts';
import { executeJsonPost, parseJsonBody, repeatForBatch, selectJsonPostMediaType } from './json-post.ts';
import { checkRequestHead, notAcceptableError, parseBodyParams, parseUrlParams } from './request-parsing.ts';
import { ResponseStream } from '../graphql/response-stream.ts';

/**
 * Under overload, a rejected login is answered after this time. Clients that retry at once would otherwise keep the
 * server busy with rejections. They have to wait anyway, so the delay costs them nothing.
 */
const REJECTION_DELAY_MS = 1_000;

const SUBSCRIPTION_NOT_ACCEPTABLE =
  'Over HTTP, a subscription is answered as text/event-stream: allow it in the header Accept, or use a WebSocket.';

/** What yoga passes from one hook to the next. */
interface YogaServerContext extends Record<string, unknown> {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestContext: RequestContext;
  /** Set after authentication. */
  apiContext?: ApiContext;
}

/** The handler of /graphql. It resolves when the response is written, or when the client is gone. */
export const createGraphqlHandler = (
  options: GraphqlHandlerOptions,
): ((request: IncomingMessage, response: ServerResponse) => Promise<void>) => {
  const { application, pipeline, operationRecorder, isApiKeyRequest, resolveClientAddress } = options;
  const rejectionDelay = new SharedDelay(REJECTION_DELAY_MS);
  const yoga = createYoga<YogaServerContext>({
    schema: pipeline.schema,
    plugins: [createPipelinePlugin(options), createEventStreamPlugin(options.pingIntervalMs)],
    maxRequestBodySize: MAX_PAYLOAD_BYTES,
    maskedErrors: { maskError: (error) => maskError(pipeline, error), errorMessage: 'Internal server error.' },
    // The pipeline has a document cache of its own. The router serves pages, CORS and health checks.
    parserAndValidationCache: false,
    graphiql: false,
    landingPage: false,
    cors: false,
    // Batches would bypass limits per request; multipart bodies need no CORS preflight.
    batching: false,
    multipart: false,
    // The code that detects an error logs it.
    logging: false,
  });
  const createRequestContext = (request: IncomingMessage, response: ServerResponse): RequestContext => {
    const requestId = String(response.getHeader(REQUEST_ID_HEADER));
    return new RequestContext(request, requestId, operationRecorder.startTiming(), resolveClientAddress);
  };
  const passToYoga = async (
    request: IncomingMessage,
    response: ServerResponse,
    requestContext: RequestContext,
  ): Promise<void> => {
    const { accept } = request.headers;
    if (accept !== undefined) request.headers.accept = orderAcceptByWeight(accept);
    // yoga adds the request and the response itself.
    await yoga(request, response, { requestContext } as YogaServerContext);
  };
  return async (request, response) => {
    const mediaType = selectJsonPostMediaType(request);
    const context = createRequestContext(request, response);
    const respond = (result: ExecutionResult, type: JsonMediaType, batch: unknown = null): void => {
      const results = repeatForBatch(result, batch);
      if (results === null) writeResult(response, result, type);
      else writeJson(response, type === 'application/json' ? 200 : 400, type, results);
      operationRecorder.recordAnswer(context, context.startedAt, context.operation, result.errors);
    };
    try {
      checkAddressRate(options, context, application.store.now(), () => isApiKeyRequest(request.headers.authorization));
    } catch (error) {
      return respond(
        pipeline.toErrorResult(error),
        mediaType ?? selectJsonMediaType(request.headers.accept) ?? 'application/json',
      );
    }
    if (mediaType === null) {
      if (acceptsAnyResult(request.headers.accept)) return passToYoga(request, response, context);
      const result = pipeline.toErrorResult(notAcceptableError(request.headers.accept));
      writeJson(response, 406, 'application/json', result);
      return operationRecorder.recordAnswer(context, context.startedAt, null, result.errors);
    }
    const body = await readBody(request);
    if (body === null) return;
    context.startedAt = operationRecorder.startTiming();
    const parsed = parseJsonBody(body);
    if (parsed !== undefined) {
      const params = pipeline.readParams(parsed);
      if ('errors' in params) return respond(params, mediaType, parsed);
      const rejection = pipeline.rejectBeforeAuthentication(params.query, params.operationName);
      if (rejection !== null) {
        await rejectionDelay.wait();
        return respond(rejection, mediaType);
      }
      const result = await executeJsonPost(options, params, request, context);
      if (result !== null) return respond(result, mediaType);
    }
    // The body has been read. yoga takes it from the property that frameworks use for parsed bodies.
    await passToYoga(Object.assign(request, { body: Readable.from([body]) }), response, context);
  };
};

/** If the client is gone, node discards what is written. */
const writeResult = (response: ServerResponse, result: ExecutionResult, mediaType: JsonMediaType): void => {
  const { status, headers } = selectHttpStatus(result, mediaType);
  writeJson(response, status, mediaType, result, headers);
};

const writeJson = (
  response: ServerResponse,
  status: number,
  mediaType: JsonMediaType,
  value: object,
  headers: Readonly<Record<string, string>> = {},
): void => {
  const body = JSON.stringify(value);
  response.writeHead(status, {
    ...headers,
    'Content-Type': `${mediaType}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
};

/** Makes yoga authenticate, parse, validate and execute with this server's own functions. */
const createPipelinePlugin = (options: GraphqlHandlerOptions): Plugin<YogaServerContext, YogaServerContext> => {
  const { pipeline, operationRecorder } = options;

  const runOperation = async (args: ExecutionArgs): Promise<ExecutionResult | ResponseStream> => {
    const { apiContext, res, requestContext } = args.contextValue as YogaServerContext;
    if (apiContext === undefined) throw new Error('An operation was not authenticated.');
    const prepared = pipeline.selectOperation(args.document, args.operationName);
    requestContext.operation = prepared.operation;
    const result = await pipeline.runOperation(prepared, { variables: args.variableValues, context: apiContext });
    if (!(result instanceof ResponseStream)) return addHttpStatuses(result);
    // The client may disconnect at any time, even before yoga has a response that it could cancel.
    if (res.closed) void result.return();
    else res.once('close', () => void result.return());
    return result;
  };

  return {
    onRequestParse: ({ request, serverContext, requestParser, setRequestParser }) => {
      const { req } = serverContext;
      checkRequestHead(req);
      if (requestParser === undefined) return;
      setRequestParser((requestToParse) =>
        request.method === 'GET' ? parseUrlParams(req) : parseBodyParams(requestToParse, requestParser),
      );
    },
    onParams: async ({ context, setResult }) => {
      try {
        context.apiContext = await authenticateRequest(options, context.req, context.requestContext);
      } catch (error) {
        setResult(addHttpStatuses(pipeline.toErrorResult(error)));
      }
    },
    onParse: ({ setParseFn }) => {
      setParseFn((source: string) => {
        try {
          return pipeline.parseDocument(source);
        } catch (error) {
          throw error instanceof GraphQLError ? addHttpStatus(error) : error;
        }
      });
    },
    onValidate: ({ params, setValidationFn }) => {
      setValidationFn(() => pipeline.validateDocument(params.documentAST as DocumentNode).map(addHttpStatus));
    },
    onExecute: ({ setExecuteFn }) => setExecuteFn(runOperation),
    onSubscribe: ({ args, setSubscribeFn }) => {
      const { req } = args.contextValue as unknown as YogaServerContext;
      // Checked here, because yoga would detect it only after the subscription has started, and leave it open.
      if (acceptsEventStream(req.headers.accept)) setSubscribeFn(runOperation);
      else setSubscribeFn(() => ({ errors: [badRequestError(SUBSCRIPTION_NOT_ACCEPTABLE, 406)] }));
    },
    // Called for every result, and when a stream is about to start.
    onResultProcess: ({ result, serverContext: { requestContext } }) => {
      const errors = 'errors' in result ? result.errors : undefined;
      operationRecorder.recordAnswer(requestContext, requestContext.startedAt, requestContext.operation, errors);
    },
  };
};

const acceptsEventStream = (accept: string | undefined): boolean =>
  accept === undefined || /(^|,)\s*(text\/event-stream|text\/\*|\*\/\*)\s*(;|,|$)/i.test(accept);

/** Errors with an HTTP status have passed the pipeline, or are yoga's own protocol errors. */
const maskError = (pipeline: Pipeline, error: unknown): GraphQLError => {
  if (!(error instanceof GraphQLError) || error.extensions['http'] === undefined) return pipeline.toClientError(error);
  if (error.extensions['code'] !== 'REQUEST_ENTITY_TOO_LARGE') return forceBadRequestStatus(error);
  // yoga does not name the limit.
  const { extensions } = error;
  return new GraphQLError(`The body has more than ${formatKib(MAX_PAYLOAD_BYTES)}.`, { extensions });
};

/** A delay of fixed length for very many waiters: those that start in the same turn of the event loop share a timer. */
class SharedDelay {
  readonly #ms: number;
  #current: Promise<void> | null = null;

  constructor(ms: number) {
    this.#ms = ms;
  }

  /** Resolves after the full delay, counted from this call. */
  wait(): Promise<void> {
    this.#current ??= this.#start();
    return this.#current;
  }

  #start(): Promise<void> {
    setImmediate(() => (this.#current = null));
    return new Promise((resolve) => setTimeout(resolve, this.#ms));
  }
}
