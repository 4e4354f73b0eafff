/** Converts errors to what a client may see. A request error is shown; an internal error is masked. */
import { GraphQLError, type GraphQLErrorOptions } from 'graphql';
import { formatIsoTimestamp } from '../app/shared/iso-timestamp.ts';
import { DomainError, type ErrorDetails } from '../core/errors.ts';

export const INTERNAL_SERVER_ERROR = 'INTERNAL_SERVER_ERROR';

/** Receives every internal error as it was thrown. */
export type OnInternalError = (error: unknown) => void;

/**
 * Converts any error of executing, subscribing or streaming. The result has an `extensions.code`. It has no original
 * error, because that could reveal internals.
 */
export const toClientError = (error: unknown, onInternalError: OnInternalError): GraphQLError => {
  const cause = findRootCause(error);
  if (cause instanceof DomainError) return createClientError(error, detailsToExtensions(cause.details));
  if (cause instanceof GraphQLError) {
    if (typeof cause.extensions.code === 'string') return createClientError(error, cause.extensions);
    if (isRequestError(error, cause)) {
      return createClientError(error, { ...cause.extensions, code: 'BAD_USER_INPUT' });
    }
  }
  onInternalError(cause);
  return new GraphQLError('Internal server error.', {
    ...locationOf(error),
    extensions: { code: INTERNAL_SERVER_ERROR },
  });
};

/** graphql wraps an error up to two times: to name the variable, and to name the field. */
const findRootCause = (error: unknown): unknown => {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined) cause = cause.originalError;
  return cause;
};

/**
 * graphql reports wrong variables and operation names without a path, and wrong arguments with the nodes of the document.
 * An error about a result that does not fit its type has a path and no nodes, and is an internal error.
 */
const isRequestError = (error: unknown, cause: GraphQLError): boolean =>
  error instanceof GraphQLError && (error.path === undefined || cause.nodes !== undefined);

const createClientError = (error: unknown, extensions: GraphQLError['extensions']): GraphQLError =>
  new GraphQLError(error instanceof Error ? error.message : String(error), { ...locationOf(error), extensions });

const locationOf = (error: unknown): GraphQLErrorOptions =>
  error instanceof GraphQLError
    ? {
        nodes: error.nodes ?? null,
        source: error.source ?? null,
        positions: error.positions ?? null,
        path: error.path ?? null,
      }
    : {};

const detailsToExtensions = (details: ErrorDetails): GraphQLError['extensions'] =>
  details.code === 'SESSION_ENDED' ? { ...details, endedAt: formatIsoTimestamp(details.endedAt) } : { ...details };
