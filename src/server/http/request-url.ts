/** Reads the URL of an HTTP request. */
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

const ABSOLUTE_FORM = /^https?:\/\/([^/?#]+)/i;

/**
 * Replaces a URL with scheme and host by its path, and the header `Host` by its host (RFC 9112, 3.2.2). Clients that take
 * the server for a forward proxy send such URLs, and HAProxy passes them on.
 */
export const toOriginForm = (request: Pick<IncomingMessage, 'url' | 'headers'>): void => {
  const { url = '/' } = request;
  if (url.startsWith('/')) return;
  const [prefix, host] = ABSOLUTE_FORM.exec(url) ?? [];
  if (prefix === undefined || host === undefined) return;
  const rest = url.slice(prefix.length);
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
  request.headers.host = host;
};
