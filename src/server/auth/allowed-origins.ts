/**
 * Decides which pages of other origins a browser may give access. The server uses no cookies, so CORS is never allowed
 * with credentials.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { TrustedProxies } from '../limits/client-address.ts';
import { RefusedOriginLog } from './refused-origin-log.ts';
import { createRequestTargetResolver, isOwnOrigin, type RequestTargetResolver } from './request-target.ts';

/** Origins in lower case; `*` allows all. */
export type AllowedOrigins = readonly string[];

export interface OriginPolicyOptions {
  readonly allowedOrigins: AllowedOrigins;
  /** Proxies that report under which host and scheme they serve. */
  readonly trustProxy: TrustedProxies;
  /** Refused origins are logged, each once. Null: they are not. */
  readonly log: Logger | null;
}

export class OriginPolicy {
  readonly #allowed: AllowedOrigins;
  readonly #allowsAll: boolean;
  readonly #resolveTarget: RequestTargetResolver;
  readonly #refusedOrigins: RefusedOriginLog | null;

  constructor({ allowedOrigins, trustProxy, log }: OriginPolicyOptions) {
    this.#allowed = allowedOrigins;
    this.#allowsAll = allowedOrigins.includes('*');
    this.#resolveTarget = createRequestTargetResolver(trustProxy);
    this.#refusedOrigins = log === null ? null : new RefusedOriginLog(log);
  }

  /** Sets the CORS headers. A page of an origin that is not allowed receives none, so its browser denies access. */
  setCorsHeaders(request: IncomingMessage, response: ServerResponse): void {
    // Caches must know that the response depends on the origin, unless no or all origins are allowed.
    if (this.#allowed.length > 0 && !this.#allowsAll) response.setHeader('Vary', 'Origin');
    const { origin } = request.headers;
    if (origin === undefined) return;
    if (!this.#isListed(origin)) return this.#reportHttpRefusal(origin, request);
    response.setHeader('Access-Control-Allow-Origin', this.#allowsAll ? '*' : origin);
    response.setHeader('Access-Control-Expose-Headers', 'X-Request-Id, Retry-After');
    if (request.method !== 'OPTIONS') return;
    response.setHeader('Access-Control-Allow-Methods', 'GET, POST');
    // No header grants access by itself, so clients may send any (tracing, their name and version).
    const requested = request.headers['access-control-request-headers'];
    response.setHeader('Access-Control-Allow-Headers', requested ?? 'Authorization, Content-Type');
    response.setHeader('Access-Control-Max-Age', '7200');
  }

  /**
   * Whether an upgrade to WebSocket may come from its origin. Browsers do not restrict WebSockets, so the server must
   * check. Clients other than browsers send no `Origin` and are allowed, as is the server's own origin.
   */
  allowsSocket(request: IncomingMessage): boolean {
    const { origin } = request.headers;
    if (origin === undefined || this.#isListed(origin)) return true;
    const target = this.#resolveTarget(request);
    if (isOwnOrigin(origin, target)) return true;
    this.#refusedOrigins?.report('websocket', origin, target, request);
    return false;
  }

  #isListed(origin: string): boolean {
    return this.#allowsAll || this.#allowed.includes(origin.toLowerCase());
  }

  /** The browser gives a page of the own origin access without CORS headers, so that nothing is refused. */
  #reportHttpRefusal(origin: string, request: IncomingMessage): void {
    if (this.#refusedOrigins === null || request.headers['sec-fetch-site'] === 'same-origin') return;
    const target = this.#resolveTarget(request);
    if (!isOwnOrigin(origin, target)) this.#refusedOrigins.report('http', origin, target, request);
  }
}
