/** The HTTP door: which path leads where. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { allowOrigin, type AllowedOrigins } from '../auth/allowed-origins.ts';

/** Takes a request for a page or one of its files; false leaves it to others. */
export type PageHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export const METRICS_PATH = '/metrics';
export const REQUEST_ID = 'X-Request-Id';
export const GRAPHQL_PATH = '/graphql';

const KNOWN_PATHS: readonly string[] = ['/', GRAPHQL_PATH, METRICS_PATH, '/health/live', '/health/ready'];

/** What load balancers are told: only `ready` is to be sent anybody. */
export type ServerState = 'starting' | 'ready' | 'stopping';

export interface HttpOptions {
  readonly graphql: RequestHandler;
  readonly allowedOrigins: AllowedOrigins;
  readonly state: () => ServerState;
  /** Asked for /graphql when a browser wants a page, and for paths that nobody else knows. */
  readonly graphiql: PageHandler | undefined;
  readonly metrics: RequestHandler | undefined;
  readonly foreign: ForeignPaths | undefined;
  readonly log: Logger;
}

/** Paths of another product's API. */
export interface ForeignPaths {
  /** They begin so, and none of ours does. */
  readonly prefix: string;
  readonly handle: RequestHandler;
}

export const createHttpHandler = (options: HttpOptions): RequestListener => {
  const { log, foreign } = options;
  return (request, response) => {
    const requestId = idOf(request);
    const path = pathOf(request);
    response.setHeader(REQUEST_ID, requestId);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (log.isLevelEnabled('debug')) {
      response.once('close', () => {
        log.debug(
          { requestId, method: request.method, path: knownPath(path, foreign), status: response.statusCode },
          'request',
        );
      });
    }
    route(options, path, request, response).catch((error: unknown) => {
      log.error({ requestId, err: error }, 'A request failed.');
      if (!response.headersSent) sendJson(response, 500, failure('INTERNAL_SERVER_ERROR', 'Internal server error.'));
      else response.destroy();
    });
  };
};

const route = async (
  { graphql, allowedOrigins, state, graphiql, metrics, foreign }: HttpOptions,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const isGet = request.method === 'GET' || request.method === 'HEAD';
  switch (path) {
    case '/health/live':
      return isGet ? sendJson(response, 200, { status: 'live' }) : refuseMethod(response);
    case '/health/ready':
      if (!isGet) return refuseMethod(response);
      return sendJson(response, state() === 'ready' ? 200 : 503, { status: state() });
    case METRICS_PATH:
      if (metrics !== undefined) return isGet ? metrics(request, response) : refuseMethod(response);
      break;
    case GRAPHQL_PATH:
      if (isGet && wantsPage(request) && graphiql?.(request, response)) return;
      response.setHeader('Cache-Control', 'no-store');
      allowOrigin(request, response, allowedOrigins);
      if (request.method === 'OPTIONS') return void response.writeHead(204, { Allow: 'GET, POST, OPTIONS' }).end();
      return graphql(request, response);
    case '/':
      // Relative, so that it also leads there behind a proxy which adds a prefix.
      if (isGet && wantsPage(request)) return void response.writeHead(302, { Location: 'graphql' }).end();
      break;
  }
  if (foreign !== undefined && path.startsWith(foreign.prefix)) return foreign.handle(request, response);
  if (isGet && graphiql?.(request, response)) return;
  sendJson(response, 404, failure('NOT_FOUND', `There is nothing here: GraphQL is at ${GRAPHQL_PATH}.`));
};

const wantsPage = (request: IncomingMessage): boolean => request.headers.accept?.includes('text/html') ?? false;

const refuseMethod = (response: ServerResponse): void => {
  response.setHeader('Allow', 'GET, HEAD');
  sendJson(response, 405, failure('BAD_REQUEST', 'Only GET is served here.'));
};

const failure = (code: string, message: string): object => ({ errors: [{ message, extensions: { code } }] });

export const sendJson = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
};

/** Without the query, of which a malformed one may have anything. */
const pathOf = (request: IncomingMessage): string => {
  const [path] = (request.url ?? '/').split('?', 1);
  return path ?? '/';
};

/** A path that is none of ours may have anything in it, a credential too. */
const knownPath = (path: string, foreign: ForeignPaths | undefined): string => {
  if (KNOWN_PATHS.includes(path)) return path;
  return foreign !== undefined && path.startsWith(foreign.prefix) ? foreign.prefix : 'other';
};

/** A caller who follows requests through several servers gives them a name; others get one. */
const idOf = (request: IncomingMessage): string => {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,64}$/.test(given) ? given : randomUUID();
};
