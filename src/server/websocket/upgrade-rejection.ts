/**
 * HTTP responses to upgrades that are rejected. Browsers show a page only 1006, but proxies see the status, and clients
 * outside of browsers can read the body.
 */
import { STATUS_CODES } from 'node:http';

export interface UpgradeRejection {
  readonly status: number;
  /** `extensions.code` of the error in the body. */
  readonly code: string;
  readonly message: string;
  /** In ms. Undefined: the client should not retry. */
  readonly retryAfterMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Returns the complete response, after which the connection is to be closed. */
export const formatUpgradeRejection = (rejection: UpgradeRejection): string => {
  const { status, code, message, retryAfterMs, headers } = rejection;
  const body = JSON.stringify({ errors: [{ message, extensions: { code, retryAfterMs } }] });
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'Content-Type: application/json; charset=utf-8',
    'Cache-Control: no-store',
    ...(retryAfterMs === undefined ? [] : [`Retry-After: ${Math.ceil(retryAfterMs / 1_000)}`]),
    ...Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`),
    'Connection: close',
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
};

/** An upgrade that `ws` rejects. @param message its message. @param method of the request. */
export const createHandshakeRejection = (message: string, method: string | undefined): UpgradeRejection =>
  method === 'GET'
    ? // RFC 6455, 4.4: the response names the versions that the server supports.
      { status: 400, code: 'BAD_REQUEST', message: `${message}.`, headers: { 'Sec-WebSocket-Version': '13, 8' } }
    : { status: 405, code: 'BAD_REQUEST', message: 'An upgrade must be a GET request.', headers: { Allow: 'GET' } };
