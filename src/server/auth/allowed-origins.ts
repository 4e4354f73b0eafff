/**
 * Decides which pages of other origins a browser may give access. The server uses no cookies, so CORS is never allowed
 * with credentials.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Origins in lower case; `*` allows all. */
export type AllowedOrigins = readonly string[];

const isAllowed = (origin: string, allowed: AllowedOrigins): boolean =>
  allowed.includes('*') || allowed.includes(origin.toLowerCase());

/** Sets the CORS headers. A page of an origin that is not allowed receives none, so its browser denies access. */
export const setCorsHeaders = (request: IncomingMessage, response: ServerResponse, allowed: AllowedOrigins): void => {
  // Caches must know that the response depends on the origin, unless no or all origins are allowed.
  if (allowed.length > 0 && !allowed.includes('*')) response.setHeader('Vary', 'Origin');
  const { origin } = request.headers;
  if (origin === undefined || !isAllowed(origin, allowed)) return;
  response.setHeader('Access-Control-Allow-Origin', allowed.includes('*') ? '*' : origin);
  response.setHeader('Access-Control-Expose-Headers', 'X-Request-Id, Retry-After');
  if (request.method !== 'OPTIONS') return;
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST');
  // No header grants access by itself, so clients may send any (tracing, their name and version).
  const requested = request.headers['access-control-request-headers'];
  response.setHeader('Access-Control-Allow-Headers', requested ?? 'Authorization, Content-Type');
  response.setHeader('Access-Control-Max-Age', '7200');
};

/**
 * Whether an upgrade to WebSocket may come from its origin. Browsers do not restrict WebSockets, so the server must
 * check. Clients other than browsers send no `Origin` and are allowed, as is the server's own origin.
 */
export const isSocketOriginAllowed = (request: IncomingMessage, allowed: AllowedOrigins): boolean => {
  const { origin, host } = request.headers;
  if (origin === undefined || isAllowed(origin, allowed)) return true;
  return URL.canParse(origin) && host !== undefined && hasHost(new URL(origin), host);
};

/** The scheme is not compared: behind a proxy that terminates TLS, only the browser knows it. */
const hasHost = (origin: URL, host: string): boolean => {
  const own = `${origin.protocol}//${host}`;
  return origin.host !== '' && URL.canParse(own) && new URL(own).host === origin.host;
};
