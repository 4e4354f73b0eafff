/** What a JSON answer is called, by what its client accepts. */
export type JsonMediaType = 'application/json' | 'application/graphql-response+json';

/** Forms and plain text are what a foreign page may post without asking first: a body is this, or refused. */
export const JSON_TYPE = /^application\/json\s*(;|$)/i;

/**
 * The first of the accepted types that we have, in the client's order (weights are not looked at: the
 * ones there are in the field stand in order); null when an answer in JSON is not wanted.
 */
export const mediaTypeFor = (accept: string | undefined): JsonMediaType | null => {
  if (accept === undefined || accept === '*/*') return 'application/json';
  for (const range of accept.toLowerCase().split(',')) {
    const [type, ...params] = range.split(';').map((part) => part.trim());
    if (params.some((param) => param.startsWith('charset=') && param !== 'charset=utf-8')) continue;
    if (type === 'application/graphql-response+json') return type;
    if (type === 'application/json' || type === 'application/*' || type === '*/*') return 'application/json';
  }
  return null;
};
