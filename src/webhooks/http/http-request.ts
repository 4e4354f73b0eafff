/** One request and its answer. */
import { request as httpRequest, type Agent, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Outgoing } from '../../app/ports/webhook-format.ts';
import { failureOf, Failure } from './request-error.ts';
import { retryAfterMs } from './retry-after.ts';
import { hostOf } from './url-policy.ts';

/** Of the body of an answer, which nobody looks at: read to the end, its connection can be used again. */
const MAX_BODY_BYTES = 4_096;
const MAX_HEADER_BYTES = 16_384;
/** Answers like 103 that come before the answer. */
const MAX_INTERIM_ANSWERS = 10;

export interface Answer {
  readonly status: number;
  readonly retryAfterMs: number | null;
}

export interface Means {
  readonly agent: Agent;
  readonly userAgent: string;
  readonly wallClock: () => number;
}

/** The connection had been used before, and was closed without a byte of an answer: its end had not been seen yet. */
export class StaleConnection extends Failure {}

/**
 * An answer is its status: once that is there, it counts, even if its body is too long, broken off or never ends.
 * @param signal breaks the request off, with its reason; the connection is closed then.
 * @throws Failure for a request without an answer; anything else for one that could not even be begun.
 */
export const exchange = (
  outgoing: Outgoing,
  { agent, userAgent, wallClock }: Means,
  signal: AbortSignal,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(failureOf(signal.reason));
      return;
    }
    const { url, headers, body } = outgoing;
    const start = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const host = hostOf(url);
    const request = start({
      agent,
      method: 'POST',
      protocol: url.protocol,
      // With the dot of the root, which says that the name is whole.
      host: isIP(host) === 0 ? url.hostname : host,
      port: url.port === '' ? null : url.port,
      path: `${url.pathname}${url.search}`,
      headers: {
        host: url.host,
        'user-agent': userAgent,
        'content-length': Buffer.byteLength(body, 'utf8'),
        ...headers,
      },
      // The name that its certificate must be for.
      servername: isIP(host) === 0 ? host : '',
      maxHeaderSize: MAX_HEADER_BYTES,
      insecureHTTPParser: false,
    });

    let answer: Answer | null = null;
    let failure: Failure | null = null;
    let interim = 0;
    let isSilent = true;
    const heard = (): void => {
      isSilent = false;
    };
    const settle = (): void => {
      signal.removeEventListener('abort', onAbort);
      if (answer !== null) resolve(answer);
      else if (failure instanceof Failure) reject(failure);
      else reject(failureOf(null));
    };
    // Not left to the end of the request: one that waits for a socket hears of its own end when it gets one.
    const onAbort = (): void => {
      failure ??= failureOf(signal.reason);
      request.destroy(failure);
      settle();
    };
    signal.addEventListener('abort', onAbort);

    request.on('socket', (socket: Socket) => {
      socket.once('data', heard);
      request.once('close', () => socket.off('data', heard));
    });
    request.on('information', () => {
      if (++interim <= MAX_INTERIM_ANSWERS) return;
      failure ??= new Failure('Interim answers came, and no end of them.');
      request.destroy(failure);
    });
    request.on('response', (response: IncomingMessage) => {
      // It came with the same bytes as what the request has been ended for.
      if (failure !== null) return;
      answer = { status: response.statusCode ?? 0, retryAfterMs: retryAfterMs(response.headers, wallClock()) };
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MAX_BODY_BYTES) request.destroy();
      });
      // The body was broken off. What was to be known is known.
      response.on('error', () => undefined);
    });
    request.on('error', (error) => {
      const isStale = request.reusedSocket && isSilent && isClosing(error) && !signal.aborted;
      failure ??= isStale ? new StaleConnection(failureOf(error).message) : failureOf(error);
    });
    // After all the others, and right before the connection can be used again.
    request.on('close', settle);
    request.end(body);
  });

const isClosing = (error: Error): boolean => 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
