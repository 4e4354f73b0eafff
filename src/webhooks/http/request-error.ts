/** Why there was no answer, in words that may be shown: made from what kind of error it was, never from its text. */

/** What went wrong with a request outside of this program. Its message may be shown. */
export class Failure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Failure';
  }
}

const CLOSED = 'The connection was closed before there was an answer.';
const UNREACHABLE = 'The receiver cannot be reached.';

const BY_CODE: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'The receiver’s name could not be resolved.'],
  ['EAI_AGAIN', 'The receiver’s name could not be resolved at the moment.'],
  ['ECONNREFUSED', 'The connection was refused.'],
  ['ECONNRESET', CLOSED],
  ['EPIPE', CLOSED],
  ['ETIMEDOUT', 'The connection could not be made in time.'],
  ['EHOSTUNREACH', UNREACHABLE],
  ['ENETUNREACH', UNREACHABLE],
  ['EADDRNOTAVAIL', UNREACHABLE],
  ['HPE_HEADER_OVERFLOW', 'The headers of the answer are too long.'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'The receiver’s certificate is for another name.'],
  ['CERT_HAS_EXPIRED', 'The receiver’s certificate has expired.'],
]);

const CERTIFICATE = /CERT|UNABLE_TO|SELF_SIGNED|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH/;
const TLS = /^(?:EPROTO|ERR_SSL_|ERR_TLS_)/;

/** @param error what a request was ended with. */
export const failureOf = (error: unknown): Failure => {
  if (error instanceof Failure) return error;
  const code = codeOf(error);
  const known = BY_CODE.get(code);
  if (known !== undefined) return new Failure(known);
  if (code.startsWith('HPE_')) return new Failure('The answer is not HTTP.');
  if (TLS.test(code)) return new Failure('TLS could not be agreed on with the receiver.');
  if (CERTIFICATE.test(code)) return new Failure(`The receiver’s certificate cannot be trusted (${code}).`);
  return new Failure(/^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? `The request failed (${code}).` : 'The request failed.');
};

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string' ? error.code : '';
