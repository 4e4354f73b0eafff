/** Chooses the HTTP status of results without data. A result with data has status 200, even with errors beside it. */
import { GraphQLError, type ExecutionResult } from 'graphql';
import type { JsonMediaType } from './media-types.ts';

interface HttpErrorExtension {
  readonly status: number;
  /** Whether the status is 200 for clients that accept only application/json; many of them read no other body. */
  readonly spec: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  UNAUTHENTICATED: 401,
  SESSION_ENDED: 401,
  FORBIDDEN: 403,
  RATE_LIMITED: 429,
  OVERLOADED: 503,
  INTERNAL_SERVER_ERROR: 500,
  // Clients of persisted queries read no other response.
  PERSISTED_QUERY_NOT_SUPPORTED: 200,
};

/** The code of what is not a GraphQL request. Its status applies whatever the client accepts. */
const BAD_REQUEST = 'BAD_REQUEST';

/** For a request that is not a GraphQL request. */
export const badRequestError = (message: string, status: number): GraphQLError =>
  new GraphQLError(message, {
    extensions: { code: BAD_REQUEST, http: { status, spec: false } satisfies HttpErrorExtension },
  });

/** Makes the status of yoga's own bad requests apply to all clients; yoga would answer some of them with 200. */
export const forceBadRequestStatus = (error: GraphQLError): GraphQLError => {
  const { code, http } = error.extensions as { readonly code?: unknown; readonly http: HttpErrorExtension };
  if (code !== BAD_REQUEST || !http.spec) return error;
  return new GraphQLError(error.message, { extensions: { code, http: { ...http, spec: false } } });
};

export interface HttpResponseHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

const OK: HttpResponseHead = { status: 200, headers: {} };

/** Returns status and headers of a result for a client of this media type. The highest status of several errors wins. */
export const selectHttpStatus = (result: ExecutionResult, mediaType: JsonMediaType): HttpResponseHead => {
  if (result.errors === undefined || 'data' in result) return OK;
  const extensions = result.errors.map(createHttpExtension);
  const isJson = mediaType === 'application/json';
  const highest = Math.max(...extensions.map(({ status, spec }) => (isJson && spec ? 200 : status)));
  const headers = Object.assign({}, ...extensions.map((each) => each.headers)) as Readonly<Record<string, string>>;
  return { status: highest, headers };
};

/** Adds statuses to the errors of a result without data, for yoga. */
export const addHttpStatuses = (result: ExecutionResult): ExecutionResult =>
  result.errors === undefined || 'data' in result ? result : { ...result, errors: result.errors.map(addHttpStatus) };

/** Adds the status to an error, for yoga, which removes `extensions.http` before it sends the error. */
export const addHttpStatus = (error: GraphQLError): GraphQLError =>
  new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    path: error.path ?? null,
    extensions: { ...error.extensions, http: createHttpExtension(error) },
  });

const createHttpExtension = ({ extensions }: GraphQLError): HttpErrorExtension => {
  const { code, retryAfterMs } = extensions;
  const status = (typeof code === 'string' ? STATUS_BY_CODE[code] : undefined) ?? 400;
  if (typeof retryAfterMs !== 'number') return { status, spec: code !== BAD_REQUEST };
  return { status, spec: true, headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) } };
};
