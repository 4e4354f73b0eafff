/** GraphQL over HTTP: plain POSTs go a short way, everything else is yoga's; the pipeline does the work of both. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { GraphQLError, type DocumentNode, type ExecutionArgs, type ExecutionResult } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { ApiContext } from '../../api/context.ts';
import { readBody, isCompressedEncoding, decodeUtf8 } from './read-body.ts';
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
import { JSON_CONTENT_TYPE, selectJsonMediaType, type JsonMediaType } from './media-types.ts';
import { SharedDelay } from './shared-delay.ts';
import type { Pipeline } from '../graphql/pipeline.ts';
import { executeJsonPost, parseJsonPostParams, jsonPostMediaType } from './json-post.ts';
import { ResponseStream } from '../graphql/response-stream.ts';

/**
 * While we are behind, a connection is refused one login in this time: whoever comes back at once would
 * have us do nothing but refuse. It costs them nothing: they are to wait anyway.
 */
const REFUSED_AFTER_MS = 1_000;

/** What yoga carries through a request. */
interface YogaServerContext extends Record<string, unknown> {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestContext: RequestContext;
  /** Set as soon as it is known who asks. */
  apiContext?: ApiContext;
}

/** Answers a request to /graphql. Resolves when the answer is written, or its reader is gone. */
export const createGraphqlHandler = (
  options: GraphqlHandlerOptions,
): ((request: IncomingMessage, response: ServerResponse) => Promise<void>) => {
  const {
    application: porchlight,
    pipeline,
    operationRecorder: operations,
    isApiKeyRequest: isBackend,
    resolveClientAddress,
  } = options;
  const pause = new SharedDelay(REFUSED_AFTER_MS);
  const yoga = createYoga<YogaServerContext>({
    schema: pipeline.schema,
    plugins: [throughPipeline(options)],
    maxRequestBodySize: MAX_PAYLOAD_BYTES,
    maskedErrors: { maskError: (error) => maskError(pipeline, error), errorMessage: 'Internal server error.' },
    // The pipeline has its own cache; pages, CORS and health checks belong to the server around this.
    parserAndValidationCache: false,
    graphiql: false,
    landingPage: false,
    cors: false,
    // Both are ways around a limit: many operations in one request, and bodies that need no CORS preflight.
    batching: false,
    multipart: false,
    // What must be logged is logged where it happens.
    logging: false,
  });
  const passageOf = (request: IncomingMessage, response: ServerResponse): RequestContext =>
    new RequestContext(request, String(response.getHeader(REQUEST_ID_HEADER)), operations.startTiming(), resolveClientAddress);
  const throughYoga = async (
    request: IncomingMessage,
    response: ServerResponse,
    passage: RequestContext,
  ): Promise<void> => {
    // What yoga carries is called so; the request and the response it adds itself.
    await yoga(request, response, { requestContext: passage } as YogaServerContext);
  };
  return async (request, response) => {
    const mediaType = jsonPostMediaType(request);
    const passage = passageOf(request, response);
    const answer = (result: ExecutionResult, type: JsonMediaType): void => {
      write(response, result, type);
      operations.recordAnswer(passage, passage.startedAt, passage.operation, result.errors);
    };
    try {
      checkAddressRate(options, passage, porchlight.store.now(), () => isBackend(request.headers.authorization));
    } catch (error) {
      return answer(
        pipeline.toErrorResult(error),
        mediaType ?? selectJsonMediaType(request.headers.accept) ?? 'application/json',
      );
    }
    if (mediaType === null) return throughYoga(request, response, passage);
    const body = await readBody(request);
    if (body === null) return;
    passage.startedAt = operations.startTiming();
    const params = parseJsonPostParams(body);
    const refused = params === null ? null : pipeline.rejectBeforeAuthentication(params.query, params.operationName);
    if (refused !== null) {
      await pause.wait();
      return answer(refused, mediaType);
    }
    const result = params === null ? null : await executeJsonPost(options, params, request, passage);
    if (result !== null) return answer(result, mediaType);
    // Read already: yoga takes the body from where frameworks leave one.
    await throughYoga(Object.assign(request, { body: Readable.from([body]) }), response, passage);
  };
};

/** Nobody is there any more to write to? Then what is written is dropped. */
const write = (response: ServerResponse, result: ExecutionResult, mediaType: JsonMediaType): void => {
  const { status, headers } = selectHttpStatus(result, mediaType);
  const body = JSON.stringify(result);
  response.writeHead(status, {
    ...headers,
    'Content-Type': `${mediaType}; charset=utf-8`,
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
};

const throughPipeline = (options: GraphqlHandlerOptions): Plugin<YogaServerContext, YogaServerContext> => {
  const { pipeline, operationRecorder: operations } = options;

  const run = async (args: ExecutionArgs): Promise<ExecutionResult | ResponseStream> => {
    const { apiContext: api, res, requestContext: passage } = args.contextValue as YogaServerContext;
    if (api === undefined) throw new Error('An operation was not authenticated.');
    const prepared = pipeline.selectOperation(args.document, args.operationName);
    passage.operation = prepared.operation;
    const result = await pipeline.runOperation(prepared, { variables: args.variableValues, context: api });
    if (!(result instanceof ResponseStream)) return addHttpStatuses(result);
    // Its reader may be gone at any time, even before there is a response that could be cancelled.
    if (res.closed) void result.return();
    else res.once('close', () => void result.return());
    return result;
  };

  return {
    onRequestParse: ({ request, serverContext, requestParser, setRequestParser }) => {
      if (request.method === 'POST' && !JSON_CONTENT_TYPE.test(request.headers.get('content-type') ?? '')) {
        throw badRequestError('The body must be application/json.', 415);
      }
      if (!isText(serverContext.req.url ?? ''))
        throw badRequestError('The address is not UTF-8, percent-encoded.', 400);
      if (isCompressedEncoding(request.headers.get('content-encoding'))) {
        throw badRequestError('The body must not be compressed.', 415);
      }
      if (requestParser === undefined) return;
      setRequestParser(async (toParse) => {
        try {
          return await requestParser(toParse.method === 'POST' ? await inText(toParse) : toParse);
        } catch (error) {
          if (error instanceof GraphQLError && error.extensions['originalError'] === undefined) throw error;
          throw badRequestError('The request is not valid JSON.', 400);
        }
      });
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
    onExecute: ({ setExecuteFn }) => setExecuteFn(run),
    onSubscribe: ({ args, setSubscribeFn }) => {
      const { req } = args.contextValue as unknown as YogaServerContext;
      // Found out afterwards, it would leave a subscription without a reader.
      if (acceptsEvents(req.headers.accept)) setSubscribeFn(run);
      else
        setSubscribeFn(() => ({ errors: [badRequestError('A subscription is answered as text/event-stream.', 406)] }));
    },
    // Whatever came of it, this is what will be written; a stream is about to begin.
    onResultProcess: ({ result, serverContext: { requestContext: passage } }) => {
      const errors = 'errors' in result ? result.errors : undefined;
      operations.recordAnswer(passage, passage.startedAt, passage.operation, errors);
    },
  };
};

/** The same with its body, of which it is known then that it is text. */
const inText = async (request: Request): Promise<Request> => {
  const body = decodeUtf8(Buffer.from(await request.arrayBuffer()));
  if (body === null) throw badRequestError('The body is not UTF-8.', 400);
  return new Request(request.url, { method: request.method, body });
};

/** As a URL is to be written (RFC 3986), and what is percent-encoded in it is UTF-8. */
const isText = (url: string): boolean => {
  if (!/^[\x21-\x7e]*$/.test(url)) return false;
  try {
    decodeURIComponent(url);
    return true;
  } catch {
    // That is all it says.
    return false;
  }
};

const acceptsEvents = (accept: string | undefined): boolean =>
  accept === undefined || /(^|,)\s*(text\/event-stream|text\/\*|\*\/\*)\s*(;|,|$)/i.test(accept);

/** Errors that have a status have been here before, or are the protocol's own. */
const maskError = (pipeline: Pipeline, error: unknown): GraphQLError =>
  error instanceof GraphQLError && error.extensions['http'] !== undefined
    ? forceBadRequestStatus(error)
    : pipeline.toClientError(error);
