/** Which pages of other origins a browser may let in. There are no cookies, so none of this takes credentials. */
import type { IncomingMessage, ServerResponse } from 'node:http';

export type AllowedOrigins = readonly string[];

const isAllowed = (origin: string, allowed: AllowedOrigins): boolean =>
  allowed.includes('*') || allowed.includes(origin.toLowerCase());

/**
 * Says to a browser whether the page that asks may read the answer. A page of an origin that is not
 * allowed is told nothing, which to its browser is a no.
 */
export const allowOrigin = (request: IncomingMessage, response: ServerResponse, allowed: AllowedOrigins): void => {
  // The answer differs by origin, unless none or all are allowed: caches must know.
  if (allowed.length > 0 && !allowed.includes('*')) response.setHeader('Vary', 'Origin');
  const { origin } = request.headers;
  if (origin === undefined || !isAllowed(origin, allowed)) return;
  response.setHeader('Access-Control-Allow-Origin', allowed.includes('*') ? '*' : origin);
  response.setHeader('Access-Control-Expose-Headers', 'X-Request-Id, Retry-After');
  if (request.method !== 'OPTIONS') return;
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST');
  // Nothing rides on a header by itself, so clients may send what they like (tracing, their name and version).
  const asked = request.headers['access-control-request-headers'];
  response.setHeader('Access-Control-Allow-Headers', asked ?? 'Authorization, Content-Type');
  response.setHeader('Access-Control-Max-Age', '7200');
};

/** A browser lets every page open a socket: it is the server that must look. Whatever is no browser sends no Origin. */
export const maySocket = (request: IncomingMessage, allowed: AllowedOrigins): boolean => {
  const { origin, host } = request.headers;
  if (origin === undefined || isAllowed(origin, allowed)) return true;
  return URL.canParse(origin) && host !== undefined && sameHost(new URL(origin), host);
};

/** The scheme is not compared: behind a proxy that ends TLS only the browser knows it. */
const sameHost = (origin: URL, host: string): boolean => {
  const own = `${origin.protocol}//${host}`;
  return origin.host !== '' && URL.canParse(own) && new URL(own).host === origin.host;
};
