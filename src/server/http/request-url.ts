/** Splits the URL of an HTTP request. */
import type { IncomingMessage } from 'node:http';

export interface RequestUrl {
  /** As sent, up to the first `?`. */
  readonly path: string;
  /** As sent, behind the first `?`; empty when there is no query. */
  readonly query: string;
}

/** Never throws: `URL` is not used because it rejects some malformed queries. */
export const splitRequestUrl = ({ url = '/' }: Pick<IncomingMessage, 'url'>): RequestUrl => {
  const queryStart = url.indexOf('?');
  if (queryStart < 0) return { path: url, query: '' };
  return { path: url.slice(0, queryStart), query: url.slice(queryStart + 1) };
};
