/** Sends one HTTP request and reads the status of its response. */
import { request as httpRequest, type Agent, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { WebhookRequest } from '../../app/ports/webhook-format.ts';
import { toRequestError, RequestError } from './request-error.ts';
import { extractHost } from './url-policy.ts';

/** A response body up to this size is read and discarded, so that its connection can be reused. */
const MAX_BODY_BYTES = 4_096;
const MAX_HEADER_BYTES = 16_384;
/** Responses with a 1xx status, such as 103, before the final one. */
const MAX_INTERIM_RESPONSES = 10;

export interface WebhookResponse {
  readonly status: number;
  /** From the header `Retry-After`; null: there was none. */
  readonly retryAfterMs: number | null;
}

export interface SendRequestOptions {
  readonly agent: Agent;
  readonly userAgent: string;
  /** Returns ms since 1970. */
  readonly wallClockNow: () => number;
}

/** A reused connection was closed before the first byte of a response: the receiver had closed it before the request. */
export class StaleConnectionError extends RequestError {}

/**
 * A request succeeds when its status is received, even if the body is too long, incomplete or endless.
 * @param signal aborts the request with its reason, and closes the connection.
 * @throws RequestError for a request without a response; any other error for one that could not be started.
 */
export const sendRequest = (
  webhookRequest: WebhookRequest,
  options: SendRequestOptions,
  signal: AbortSignal,
): Promise<WebhookResponse> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(toRequestError(signal.reason));
      return;
    }
    const startRequest = webhookRequest.url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = startRequest(toRequestOptions(webhookRequest, options));

    let result: WebhookResponse | null = null;
    let failure: RequestError | null = null;
    let interimResponses = 0;
    let hasReceivedData = false;
    let isClosed = false;
    const onData = (): void => {
      hasReceivedData = true;
    };
    const settle = (): void => {
      signal.removeEventListener('abort', onAbort);
      if (result !== null) resolve(result);
      else reject(failure ?? toRequestError(null));
    };
    // Settles at once: a request that waits for a socket emits `close` only when it gets one.
    const onAbort = (): void => {
      failure ??= toRequestError(signal.reason);
      request.destroy(failure);
      settle();
    };
    signal.addEventListener('abort', onAbort);

    request.on('socket', (socket: Socket) => {
      socket.once('data', onData);
      request.once('close', () => socket.off('data', onData));
    });
    request.on('information', () => {
      if (++interimResponses <= MAX_INTERIM_RESPONSES) return;
      failure ??= new RequestError('The receiver sent too many 1xx responses.');
      request.destroy(failure);
    });
    request.on('response', (response: IncomingMessage) => {
      // A response that arrives together with the reason for a failure does not count.
      if (failure !== null) return;
      result = {
        status: response.statusCode ?? 0,
        retryAfterMs: parseRetryAfterMs(response.headers, options.wallClockNow()),
      };
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= MAX_BODY_BYTES) return;
        request.destroy();
        // Node 24 keeps the connection of a request whose whole response has arrived, although it is destroyed.
        if (!isClosed) response.socket.destroy();
      });
      // An incomplete body does not matter.
      response.on('error', () => undefined);
    });
    request.on('error', (error) => {
      const isStale = request.reusedSocket && !hasReceivedData && isConnectionClosedError(error) && !signal.aborted;
      failure ??= isStale ? new StaleConnectionError(toRequestError(error).message) : toRequestError(error);
    });
    // The last event of a request, right before its connection can be reused.
    request.on('close', () => {
      isClosed = true;
      settle();
    });
    request.end(webhookRequest.body);
  });

const toRequestOptions = (
  { url, headers, body }: WebhookRequest,
  { agent, userAgent }: SendRequestOptions,
): RequestOptions => {
  const host = extractHost(url);
  const isName = isIP(host) === 0;
  return {
    agent,
    method: 'POST',
    protocol: url.protocol,
    // Keeps a trailing dot, which marks the name as absolute.
    host: isName ? url.hostname : host,
    port: url.port === '' ? null : url.port,
    path: `${url.pathname}${url.search}`,
    headers: {
      host: url.host,
      'user-agent': userAgent,
      'content-length': Buffer.byteLength(body, 'utf8'),
      ...headers,
    },
    // The name that the certificate must contain.
    servername: isName ? host : '',
    maxHeaderSize: MAX_HEADER_BYTES,
    insecureHTTPParser: false,
  };
};

const isConnectionClosedError = (error: Error): boolean =>
  'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');

/** The only date format that HTTP senders may generate. `Date.parse` accepts more. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * Reads the header `Retry-After`. A date is compared with the response's own `Date`, because the receiver's clock may be
 * wrong.
 * @param now wall clock, in ms; used for a response without `Date`. @returns 0 or more, in ms; null: no valid header.
 */
const parseRetryAfterMs = (
  { 'retry-after': retryAfter, date }: Pick<IncomingHttpHeaders, 'retry-after' | 'date'>,
  now: number,
): number | null => {
  if (retryAfter === undefined) return null;
  if (/^\d+$/.test(retryAfter)) return Math.min(Number(retryAfter) * 1_000, Number.MAX_SAFE_INTEGER);
  const until = parseHttpDate(retryAfter);
  return until === null ? null : Math.max(0, until - (parseHttpDate(date) ?? now));
};

const parseHttpDate = (text: string | undefined): number | null => {
  if (text === undefined || !HTTP_DATE.test(text)) return null;
  const moment = Date.parse(text);
  return Number.isNaN(moment) ? null : moment;
};
