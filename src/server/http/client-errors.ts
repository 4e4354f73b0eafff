/**
 * Answers what arrives at the HTTP port and is not an HTTP/1.1 request, or one that exceeds a limit. Mostly a proxy is
 * configured for a protocol that this server does not have, so the answer and the log name that protocol.
 */
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { formatKib, MAX_HEADER_BYTES, MAX_HEADER_FIELDS } from '../limits/unauthenticated-limits.ts';
import { createErrorBody, sendJson } from './router.ts';

/** What node reports about a connection whose bytes it cannot parse. */
export interface ClientError extends Error {
  readonly code?: string;
  /** The bytes that were read last. They are the start of the connection if that was a different protocol. */
  readonly rawPacket?: Buffer;
}

/** A connection of node's HTTP server. The type definitions lack the response that is being sent. */
interface AnsweringSocket extends Duplex {
  readonly _httpMessage?: { readonly headersSent: boolean } | null;
}

interface OtherProtocol {
  readonly name: string;
  /** The bytes with which a connection of this protocol begins; one of them. */
  readonly starts: readonly Buffer[];
  /** What to change in the proxy. */
  readonly advice: string;
}

const OTHER_PROTOCOLS: readonly OtherProtocol[] = [
  {
    name: 'the PROXY protocol',
    starts: [Buffer.from('PROXY '), Buffer.from('\r\n\r\n\0\r\nQUIT\n')],
    advice: 'Turn it off in the proxy, for example send-proxy in HAProxy, and send X-Forwarded-For instead.',
  },
  {
    name: 'TLS',
    starts: [Buffer.of(0x16, 0x03)],
    advice: 'This port speaks HTTP without TLS: use http:// in the proxy, which terminates TLS.',
  },
  {
    name: 'HTTP/2',
    starts: [Buffer.from('PRI * HTTP/2.0\r\n')],
    advice: 'Use HTTP/1.1 between the proxy and this server. Clients may use HTTP/2 up to the proxy.',
  },
];

interface ClientErrorAnswer {
  readonly status: number;
  readonly message: string;
}

/** By the code that node reports. */
const ANSWERS: Readonly<Record<string, ClientErrorAnswer>> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    message:
      `The URL and the headers have more than ${formatKib(MAX_HEADER_BYTES)} together. Send long queries by POST. ` +
      'A long token needs a shorter claim watch.',
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { status: 413, message: 'The extensions of a chunk are longer than 16 KiB.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, message: 'The request did not arrive completely in time.' },
};

const TOO_MANY_HEADERS: ClientErrorAnswer = {
  status: 431,
  message: `The request has more than ${MAX_HEADER_FIELDS} header fields.`,
};

const OTHER_ANSWER: ClientErrorAnswer = { status: 400, message: 'This is not a valid HTTP/1.1 request.' };

const findOtherProtocol = ({ rawPacket }: ClientError): OtherProtocol | null =>
  OTHER_PROTOCOLS.find(({ starts }) => starts.some((start) => rawPacket?.subarray(0, start.length).equals(start))) ??
  null;

/**
 * Returns the listener of node's event `clientError`. It answers and closes the connection.
 * @param onAnswer is called with the status of each answer.
 */
export const createClientErrorHandler = (
  log: Logger,
  onAnswer: (status: number) => void,
): ((error: ClientError, socket: AnsweringSocket) => void) => {
  // Port scanners send these protocols too, so only the first connection of each protocol is a warning.
  const logged = new Set<OtherProtocol>();
  return (error, socket) => {
    const protocol = findOtherProtocol(error);
    if (protocol !== null) {
      const level = logged.has(protocol) ? 'debug' : 'warn';
      logged.add(protocol);
      log[level](
        { protocol: protocol.name, advice: protocol.advice },
        'A connection does not speak HTTP/1.1; it was answered with 400 and closed',
      );
    }
    // A response that has begun cannot be replaced.
    if (!socket.writable || socket._httpMessage?.headersSent === true) return void socket.destroy();
    const answer =
      protocol === null
        ? (ANSWERS[error.code ?? ''] ?? OTHER_ANSWER)
        : { status: 400, message: `This is ${protocol.name}. ${protocol.advice}` };
    onAnswer(answer.status);
    writeErrorResponse(socket, answer);
  };
};

/** Whether node has dropped header fields. It must be configured to keep one more than `MAX_HEADER_FIELDS`. */
export const hasTooManyHeaders = ({ rawHeaders }: IncomingMessage): boolean =>
  rawHeaders.length > 2 * MAX_HEADER_FIELDS;

/** Answers a request, or an upgrade by its socket, that has too many header fields. The connection is closed. */
export const rejectTooManyHeaders = (target: ServerResponse | Duplex): void => {
  if (!('writeHead' in target)) {
    // Without a listener, a reset of the connection would end the process. The client is gone then.
    target.on('error', () => target.destroy());
    return writeErrorResponse(target, TOO_MANY_HEADERS);
  }
  target.setHeader('Connection', 'close');
  sendJson(target, TOO_MANY_HEADERS.status, createErrorBody('BAD_REQUEST', TOO_MANY_HEADERS.message));
};

const writeErrorResponse = (socket: Duplex, { status, message }: ClientErrorAnswer): void => {
  const body = JSON.stringify(createErrorBody('BAD_REQUEST', message));
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n` +
      `Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
};
