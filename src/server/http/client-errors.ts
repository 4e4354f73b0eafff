/**
 * Answers what arrives at the HTTP port and is not an HTTP/1.1 request. Mostly a proxy is configured for a protocol that
 * this server does not have, so the answer and the log name that protocol.
 */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import { createErrorBody } from './router.ts';

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

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

const findOtherProtocol = ({ rawPacket }: ClientError): OtherProtocol | null =>
  OTHER_PROTOCOLS.find(({ starts }) => starts.some((start) => rawPacket?.subarray(0, start.length).equals(start))) ??
  null;

/** Returns the listener of node's event `clientError`. It answers and closes the connection. */
export const createClientErrorHandler = (log: Logger): ((error: ClientError, socket: AnsweringSocket) => void) => {
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
    const status = STATUS_BY_CODE[error.code ?? ''] ?? 400;
    const body =
      protocol === null
        ? ''
        : JSON.stringify(createErrorBody('BAD_REQUEST', `This is ${protocol.name}. ${protocol.advice}`));
    const contentType = body === '' ? '' : 'Content-Type: application/json; charset=utf-8\r\n';
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n${contentType}` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      () => socket.destroy(),
    );
  };
};
