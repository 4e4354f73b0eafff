/** What a client is told of an error: all of it when the request is at fault, nothing when we are. */
import { GraphQLError, type GraphQLErrorOptions } from 'graphql';
import { formatIsoTimestamp } from '../app/shared/iso-timestamp.ts';
import { DomainError, type ErrorDetails } from '../core/errors.ts';

export const INTERNAL_SERVER_ERROR = 'INTERNAL_SERVER_ERROR';

/** Told of every error that is our own fault, as it was thrown. */
export type OnInternalError = (error: unknown) => void;

/**
 * Any error of executing or subscribing, or of a stream of events, as the client may see it: with an
 * `extensions.code`, and without an original error, which might tell of our insides.
 */
export const toClientError = (error: unknown, onFault: OnInternalError): GraphQLError => {
  const cause = rootOf(error);
  if (cause instanceof DomainError) return told(error, extensionsOf(cause.details));
  if (cause instanceof GraphQLError) {
    if (typeof cause.extensions.code === 'string') return told(error, cause.extensions);
    if (isOfTheRequest(error, cause)) return told(error, { ...cause.extensions, code: 'BAD_USER_INPUT' });
  }
  onFault(cause);
  return new GraphQLError('Internal server error.', {
    ...placeOf(error),
    extensions: { code: INTERNAL_SERVER_ERROR },
  });
};

/** What was thrown first: graphql wraps it, once to name the variable and once to name the field. */
const rootOf = (error: unknown): unknown => {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError !== undefined) cause = cause.originalError;
  return cause;
};

/**
 * Before any field is reached, graphql complains of variables and operation names; of a field's
 * arguments it complains pointing at the document. About a value of ours that fits no type it does neither.
 */
const isOfTheRequest = (error: unknown, cause: GraphQLError): boolean =>
  error instanceof GraphQLError && (error.path === undefined || cause.nodes !== undefined);

const told = (error: unknown, extensions: GraphQLError['extensions']): GraphQLError =>
  new GraphQLError(error instanceof Error ? error.message : String(error), { ...placeOf(error), extensions });

const placeOf = (error: unknown): GraphQLErrorOptions =>
  error instanceof GraphQLError
    ? {
        nodes: error.nodes ?? null,
        source: error.source ?? null,
        positions: error.positions ?? null,
        path: error.path ?? null,
      }
    : {};

const extensionsOf = (fault: ErrorDetails): GraphQLError['extensions'] =>
  fault.code === 'SESSION_ENDED' ? { ...fault, endedAt: formatIsoTimestamp(fault.endedAt) } : { ...fault };
