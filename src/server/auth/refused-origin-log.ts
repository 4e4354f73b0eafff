/** Logs origins whose pages are refused, so that an operator sees which setting is missing. */
import type { IncomingMessage } from 'node:http';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { getPeerAddress } from '../limits/client-address.ts';
import { createRequestTargetResolver, isOwnOrigin, type RequestTarget } from './request-target.ts';

/** Origins that are remembered, for each transport. A browser page can have any origin. */
const MAX_REMEMBERED = 1_000;
/** Lines in one period. Further origins of the period are counted only. */
const MAX_LINES = 100;
const PERIOD_MS = 3_600_000;
/** In characters. An origin is a host name of at most 253, with a scheme and a port. */
const MAX_VALUE_LENGTH = 300;

const MESSAGES = {
  websocket: 'A WebSocket from an origin that is not allowed was rejected with 403',
  http: 'A request from an origin that is not allowed received no CORS headers; its page cannot read the response',
} as const;

const HINTS = {
  opaque:
    'Sandboxed frames and files send this origin. Serve the page over http(s) or from an app scheme such as app://localhost, or set PORCHLIGHT_ALLOWED_ORIGINS=*.',
  untrustedProxy: 'A proxy reports this host, but is not trusted. Add its address to PORCHLIGHT_TRUST_PROXY.',
  scheme: 'The proxy reports https, but the page was loaded by http. Load it by https.',
  host: 'If a proxy serves the page under this origin, let it pass the header Host, or X-Forwarded-Host with PORCHLIGHT_TRUST_PROXY. Otherwise add the origin to PORCHLIGHT_ALLOWED_ORIGINS.',
} as const;

export class RefusedOriginLog {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #logged = new LRUCache<string, true>({ max: 2 * MAX_REMEMBERED });
  #periodEndsAt = -Infinity;
  #linesInPeriod = 0;

  /** @param now monotonic time in milliseconds. */
  constructor(log: Logger, now = () => performance.now()) {
    this.#log = log;
    this.#now = now;
  }

  /**
   * Logs the first refusal of an origin over a transport. Logs nothing further for it while it is remembered, and at most
   * `MAX_LINES` in an hour.
   * @param target where the request was sent, as far as trusted proxies report it.
   */
  report(transport: keyof typeof MESSAGES, origin: string, target: RequestTarget, request: IncomingMessage): void {
    const key = `${transport} ${origin.slice(0, MAX_VALUE_LENGTH)}`;
    if (this.#logged.get(key) === true) return;
    const now = this.#now();
    if (now >= this.#periodEndsAt) {
      this.#periodEndsAt = now + PERIOD_MS;
      this.#linesInPeriod = 0;
    }
    if (++this.#linesInPeriod > MAX_LINES) {
      if (this.#linesInPeriod === MAX_LINES + 1)
        this.#log.warn(
          { lines: MAX_LINES },
          'Many origins were refused; further ones are not logged for up to an hour',
        );
      return;
    }
    this.#logged.set(key, true);
    this.#log.warn(describeRefusal(origin, target, request), MESSAGES[transport]);
  }
}

/** What the headers of proxies say, whether or not the proxy is trusted. */
const readReportedTarget = createRequestTargetResolver(true);

const describeRefusal = (origin: string, target: RequestTarget, request: IncomingMessage): object => {
  const { headers, socket } = request;
  const reported = readReportedTarget(request);
  const hasProxy = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto'].some(
    (name) => name in headers,
  );
  const fields = {
    origin,
    host: headers.host ?? null,
    ...(hasProxy
      ? {
          forwardedHost: reported.host === headers.host ? null : (reported.host ?? null),
          forwardedScheme: reported.scheme,
          // Without a proxy, this would be the address of a user.
          proxy: getPeerAddress(socket),
        }
      : {}),
    hint: HINTS[chooseHint(origin, target, reported)],
  };
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, truncate(value)]));
};

const chooseHint = (origin: string, target: RequestTarget, reported: RequestTarget): keyof typeof HINTS => {
  if (origin === 'null' || origin.startsWith('file:')) return 'opaque';
  if (isOwnOrigin(origin, { ...target, scheme: null })) return 'scheme';
  return isOwnOrigin(origin, { ...reported, scheme: null }) ? 'untrustedProxy' : 'host';
};

const truncate = (value: string | null): string | null =>
  value !== null && value.length > MAX_VALUE_LENGTH ? `${value.slice(0, MAX_VALUE_LENGTH)}…` : value;
