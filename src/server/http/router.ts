/** Routes HTTP requests by path. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { OriginPolicy } from '../auth/allowed-origins.ts';
import { SINGLE_CONNECTION_MESSAGE } from './request-parsing.ts';
import { splitRequestUrl } from './request-url.ts';

/** Serves a page or one of its files. Returns false for other requests, which it leaves untouched. */
export type PageHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export const METRICS_PATH = '/metrics';
export const REQUEST_ID_HEADER = 'X-Request-Id';
export const GRAPHQL_PATH = '/graphql';

const KNOWN_PATHS: readonly string[] = ['/', GRAPHQL_PATH, METRICS_PATH, '/health/live', '/health/ready'];

/** What /health/ready reports. Load balancers send traffic only to `ready`. */
export type ServerState = 'starting' | 'ready' | 'stopping';

export interface RouterOptions {
  readonly graphql: RequestHandler;
  readonly originPolicy: OriginPolicy;
  readonly state: () => ServerState;
  /** Called for /graphql when a browser asks for a page, and for paths without another handler. */
  readonly graphiql: PageHandler | undefined;
  readonly metrics: RequestHandler | undefined;
  readonly externalApi: ExternalApiRoute | undefined;
  readonly log: Logger;
}

/** Routes the paths of another product's API. */
export interface ExternalApiRoute {
  /** All its paths start with this, and no path of this server does. */
  readonly prefix: string;
  readonly handle: RequestHandler;
}

export const createRouter = (options: RouterOptions): RequestListener => {
  const { log, externalApi } = options;
  return (request, response) => {
    const requestId = chooseRequestId(request);
    const { path } = splitRequestUrl(request);
    response.setHeader(REQUEST_ID_HEADER, requestId);
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (log.isLevelEnabled('debug')) {
      response.once('close', () => {
        log.debug(
          { requestId, method: request.method, path: redactPath(path, externalApi), status: response.statusCode },
          'request',
        );
      });
    }
    route(options, path, request, response).catch((error: unknown) => {
      log.error({ requestId, err: error }, 'Handling a request failed; the client received status 500 or a reset');
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, createErrorBody('INTERNAL_SERVER_ERROR', 'Internal server error.'));
    });
  };
};

const route = async (
  { graphql, originPolicy, state, graphiql, metrics, externalApi }: RouterOptions,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const isGet = request.method === 'GET' || request.method === 'HEAD';
  // HAProxy's `option httpchk` sends OPTIONS unless a method is configured, and OPTIONS / unless a path is. OPTIONS *
  // asks for the server as a whole.
  const isProbe = isGet || request.method === 'OPTIONS';
  switch (path) {
    case '/health/live':
      return isProbe ? sendJson(response, 200, { status: 'live' }) : rejectMethod(response, PROBE_METHODS);
    case '/health/ready':
      return isProbe ? sendReadiness(response, state()) : rejectMethod(response, PROBE_METHODS);
    case METRICS_PATH:
      if (metrics !== undefined) return isGet ? metrics(request, response) : rejectMethod(response, 'GET, HEAD');
      break;
    case GRAPHQL_PATH:
      if (isGet && request.headers['sec-websocket-key'] !== undefined) return rejectIncompleteUpgrade(response);
      if (isGet && acceptsHtml(request) && graphiql?.(request, response)) return;
      response.setHeader('Cache-Control', 'no-store');
      originPolicy.setCorsHeaders(request, response);
      if (request.method === 'OPTIONS') return void response.writeHead(204, { Allow: 'GET, POST, OPTIONS' }).end();
      if (request.method !== 'GET' && request.method !== 'POST') return rejectGraphqlMethod(request, response);
      return graphql(request, response);
    case '*':
    case '/':
      // The relative target also works behind a proxy that adds a path prefix.
      if (isGet && acceptsHtml(request)) {
        return void response.writeHead(302, { Location: 'graphql', 'Cache-Control': 'no-store' }).end();
      }
      if (isProbe && !isGet) return sendReadiness(response, state());
      break;
  }
  if (externalApi !== undefined && path.startsWith(externalApi.prefix)) return externalApi.handle(request, response);
  if (isGet && graphiql?.(request, response)) return;
  sendJson(response, 404, createErrorBody('NOT_FOUND', `There is nothing here: GraphQL is at ${GRAPHQL_PATH}.`));
};

/** A proxy that is not configured for WebSockets removes the headers `Upgrade` and `Connection`, and leaves the others. */
const rejectIncompleteUpgrade = (response: ServerResponse): void => {
  response.setHeader('Upgrade', 'websocket');
  response.setHeader('Connection', 'Upgrade');
  sendJson(
    response,
    426,
    createErrorBody(
      'BAD_REQUEST',
      'A WebSocket request arrived without its upgrade. The proxy must forward the headers Upgrade and Connection.',
    ),
  );
};

const acceptsHtml = (request: IncomingMessage): boolean => request.headers.accept?.includes('text/html') ?? false;

const sendReadiness = (response: ServerResponse, state: ServerState): void =>
  sendJson(response, state === 'ready' ? 200 : 503, { status: state });

const PROBE_METHODS = 'GET, HEAD, OPTIONS';

const rejectMethod = (response: ServerResponse, allowedMethods: string): void => {
  response.setHeader('Allow', allowedMethods);
  sendJson(response, 405, createErrorBody('BAD_REQUEST', `Only ${allowedMethods} are served here.`));
};

const rejectGraphqlMethod = ({ method = '' }: IncomingMessage, response: ServerResponse): void => {
  response.setHeader('Allow', 'GET, POST');
  if (method !== 'PUT') {
    const message = `${GRAPHQL_PATH} accepts GET and POST, but not ${method}.`;
    return sendJson(response, 405, createErrorBody('BAD_REQUEST', message));
  }
  // The client of graphql-sse shows the reason phrase alone.
  response.statusMessage = SINGLE_CONNECTION_MESSAGE;
  sendJson(response, 405, createErrorBody('BAD_REQUEST', SINGLE_CONNECTION_MESSAGE));
};

export const createErrorBody = (code: string, message: string): object => ({
  errors: [{ message, extensions: { code } }],
});

export const sendJson = (response: ServerResponse, status: number, body: object): void => {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
};

/** Returns what may be logged: an unknown path may contain a credential. */
const redactPath = (path: string, externalApi: ExternalApiRoute | undefined): string => {
  if (KNOWN_PATHS.includes(path)) return path;
  return externalApi !== undefined && path.startsWith(externalApi.prefix) ? externalApi.prefix : 'other';
};

/** Returns the caller's request id if it is well-formed, so that it can be traced through several servers. */
const chooseRequestId = (request: IncomingMessage): string => {
  const sentId = request.headers['x-request-id'];
  return typeof sentId === 'string' && /^[\w.:-]{1,64}$/.test(sentId) ? sentId : randomUUID();
};
