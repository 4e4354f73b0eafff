/** Content negotiation of JSON requests and responses. */
import { LRUCache } from 'lru-cache';
import Negotiator from 'negotiator';

/** The media types in which a result can be sent as JSON. */
export type JsonMediaType = 'application/json' | 'application/graphql-response+json';

/**
 * Matches the only content type that requests may have. Browsers let foreign pages post forms and plain text without a
 * CORS preflight, so those are rejected.
 */
export const JSON_CONTENT_TYPE_PATTERN = /^application\/json\s*(;|$)/i;

/** In the server's order of preference. The charset makes ranges with another charset not match. */
const AVAILABLE = new Map<string, JsonMediaType>([
  ['application/json; charset=utf-8', 'application/json'],
  ['application/graphql-response+json; charset=utf-8', 'application/graphql-response+json'],
]);

/** Parsing costs some 10 µs, and clients send few different headers. */
const selections = new LRUCache<string, { readonly mediaType: JsonMediaType | null }>({ max: 100 });

/**
 * @param accept the `Accept` header; undefined accepts everything.
 * @returns the type with the highest weight; null when the client accepts no JSON.
 */
export const selectJsonMediaType = (accept: string | undefined): JsonMediaType | null => {
  if (accept === undefined) return 'application/json';
  let selection = selections.get(accept);
  if (selection === undefined) {
    const selected = new Negotiator({ headers: { accept } }).mediaType([...AVAILABLE.keys()]);
    selection = { mediaType: AVAILABLE.get(selected ?? '') ?? null };
    selections.set(accept, selection);
  }
  return selection.mediaType;
};

/**
 * Orders the ranges of an `Accept` header by weight, for yoga, which takes the first one that it can serve. A header
 * without weights, or without any acceptable range, is returned as it is.
 */
export const orderAcceptByWeight = (accept: string): string => {
  if (!/;\s*q=/i.test(accept)) return accept;
  return new Negotiator({ headers: { accept } }).mediaTypes().join(', ') || accept;
};

/** JSON, an event stream, or `multipart/mixed`, in which yoga writes a result for a client that accepts nothing else. */
const RESULT_RANGE_PATTERN =
  /^(\*\/\*|application\/(\*|json|graphql-response\+json)|text\/(\*|event-stream)|multipart\/(\*|mixed))$/;

/** Whether any result can be sent to a client. False: the operation must not be executed. */
export const acceptsAnyResult = (accept: string | undefined): boolean =>
  !accept ||
  accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const charset = parameters.find((parameter) => parameter.startsWith('charset='));
    return RESULT_RANGE_PATTERN.test(type) && (charset === undefined || charset === 'charset=utf-8');
  });
