/**
 * HS256, checked right here: an HMAC takes 2 us, and the library's way through Web Crypto and its thread
 * pool 20. Nothing else is done by ourselves: the claims of what is signed are the library's to check.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, errors, UnsecuredJWT, type JWTClaimVerificationOptions, type JWTPayload } from 'jose';
import { sameText } from './constant-time-equal.ts';

/** What the library reads without asking for a signature. */
const UNSIGNED_HEADER = Buffer.from('{"alg":"none"}').toString('base64url');

/** @throws errors of the library: for another signature or form, and for claims that do not fit `options`. */
export const claimsSignedWith = (
  secret: KeyObject,
  token: string,
  options: JWTClaimVerificationOptions,
): JWTPayload => {
  const [header, payload, signature, more] = token.split('.');
  if (header === undefined || payload === undefined || signature === undefined || more !== undefined) {
    throw new errors.JWSInvalid('Not a signed token.');
  }
  // Extensions that must be understood: there is none that we do.
  const { alg, crit } = decodeProtectedHeader(token);
  if (alg !== 'HS256' || crit !== undefined) throw new errors.JOSENotSupported('Not HS256 as it is.');
  const expected = createHmac('sha256', secret).update(`${header}.${payload}`).digest('base64url');
  if (!sameText(signature, expected)) throw new errors.JWSSignatureVerificationFailed();
  return UnsecuredJWT.decode(`${UNSIGNED_HEADER}.${payload}.`, options).payload;
};
