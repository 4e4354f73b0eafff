/** The HTTP status of errors that are the whole answer. Errors beside data leave it at 200. */
import { GraphQLError, type ExecutionResult } from 'graphql';
import type { JsonMediaType } from './media-types.ts';

interface HttpExtension {
  readonly status: number;
  /** Clients that accept only application/json get 200 all the same: many of them read no other body. */
  readonly spec: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

const STATUS: Readonly<Record<string, number>> = {
  UNAUTHENTICATED: 401,
  SESSION_ENDED: 401,
  FORBIDDEN: 403,
  RATE_LIMITED: 429,
  OVERLOADED: 503,
  INTERNAL_SERVER_ERROR: 500,
};

/** A request that is no GraphQL request: it has its status whatever the client accepts. */
export const badRequest = (message: string, status: number): GraphQLError =>
  new GraphQLError(message, {
    extensions: { code: 'BAD_REQUEST', http: { status, spec: false } satisfies HttpExtension },
  });

/** What yoga calls a bad request is one to every client; of the others it leaves some at 200. */
export const malformed = (error: GraphQLError): GraphQLError => {
  const { code, http } = error.extensions as { readonly code?: unknown; readonly http: HttpExtension };
  if (code !== 'BAD_REQUEST' || !http.spec) return error;
  return new GraphQLError(error.message, { extensions: { code, http: { ...http, spec: false } } });
};

export interface ResultStatus {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

const OK: ResultStatus = { status: 200, headers: {} };

/** The status of a result as a client of this media type is told it. The gravest of several errors counts. */
export const statusOf = (result: ExecutionResult, mediaType: JsonMediaType): ResultStatus => {
  if (result.errors === undefined || 'data' in result) return OK;
  const parts = result.errors.map(httpOf);
  const gravest = Math.max(...parts.map(({ status }) => status));
  const headers = Object.assign({}, ...parts.map((part) => part.headers)) as Readonly<Record<string, string>>;
  return { status: mediaType === 'application/json' ? 200 : gravest, headers };
};

/** The result with a status, if it has no data. */
export const withStatuses = (result: ExecutionResult): ExecutionResult =>
  result.errors === undefined || 'data' in result ? result : { ...result, errors: result.errors.map(withHttp) };

/** The same error, for yoga, which takes `extensions.http` off again before it is sent. */
export const withHttp = (error: GraphQLError): GraphQLError =>
  new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    path: error.path ?? null,
    extensions: { ...error.extensions, http: httpOf(error) },
  });

const httpOf = ({ extensions }: GraphQLError): HttpExtension => {
  const { code, retryAfterMs } = extensions;
  const status = (typeof code === 'string' ? STATUS[code] : undefined) ?? 400;
  if (typeof retryAfterMs !== 'number') return { status, spec: true };
  return { status, spec: true, headers: { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) } };
};
