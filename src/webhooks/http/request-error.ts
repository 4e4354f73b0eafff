/** Describes why a request got no response. Messages are chosen by error code and never contain the original text. */

/** A failure outside this server. Its message may be shown to API callers. */
export class RequestError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RequestError';
  }
}

const CLOSED = 'The connection was closed before a response arrived.';
const UNREACHABLE = 'The receiver is unreachable.';

const MESSAGE_BY_CODE: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'The receiver’s host name could not be resolved.'],
  ['EAI_AGAIN', 'The receiver’s host name could not be resolved at the moment.'],
  ['ECONNREFUSED', 'The connection was refused.'],
  ['ECONNRESET', CLOSED],
  ['EPIPE', CLOSED],
  ['ETIMEDOUT', 'The connection timed out.'],
  ['EHOSTUNREACH', UNREACHABLE],
  ['ENETUNREACH', UNREACHABLE],
  ['EADDRNOTAVAIL', UNREACHABLE],
  ['HPE_HEADER_OVERFLOW', 'The response headers are too long.'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'The receiver’s certificate is for another host name.'],
  ['CERT_HAS_EXPIRED', 'The receiver’s certificate has expired.'],
]);

const CERTIFICATE_CODE = /CERT|UNABLE_TO|SELF_SIGNED|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH/;
const TLS_CODE = /^(?:EPROTO|ERR_SSL_|ERR_TLS_)/;
const ERROR_CODE = /^[A-Z][A-Z0-9_]{1,60}$/;

/** @param error any error of a request. */
export const toRequestError = (error: unknown): RequestError => {
  if (error instanceof RequestError) return error;
  const code = readErrorCode(error);
  const message = MESSAGE_BY_CODE.get(code);
  if (message !== undefined) return new RequestError(message);
  if (code.startsWith('HPE_')) return new RequestError('The response is not valid HTTP.');
  if (TLS_CODE.test(code)) return new RequestError('The TLS handshake with the receiver failed.');
  if (CERTIFICATE_CODE.test(code)) return new RequestError(`The receiver’s certificate is not trusted (${code}).`);
  return new RequestError(ERROR_CODE.test(code) ? `The request failed (${code}).` : 'The request failed.');
};

const readErrorCode = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';
