/**
 * Verifies HS256 signatures synchronously. node's HMAC takes about 2 µs; jose uses Web Crypto and its thread pool, which
 * takes about 20 µs.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import { base64url, type JWTPayload, type ProtectedHeaderParameters } from 'jose';
import { constantTimeEqual } from './constant-time-equal.ts';
import { invalidTokenError, parseClaims } from './jwt-claims.ts';

/**
 * Returns the claims of a token with a valid signature. The claims themselves are not checked.
 * @param header the decoded header of the token. A header with `crit` is rejected: it lists extensions that must be
 *   understood, and this server understands none.
 * @throws UNAUTHENTICATED for another algorithm, a wrong signature, or a payload that is not a JSON object.
 */
export const verifyHs256 = (secret: KeyObject, token: string, header: ProtectedHeaderParameters): JWTPayload => {
  if (header.alg !== 'HS256' || header.crit !== undefined) throw invalidTokenError();
  const [headerPart, payload, signature, ...rest] = token.split('.');
  if (payload === undefined || signature === undefined || rest.length > 0) throw invalidTokenError();
  const expected = createHmac('sha256', secret).update(`${headerPart}.${payload}`).digest('base64url');
  if (!constantTimeEqual(signature, expected)) throw invalidTokenError();
  return parseClaims(decodeBase64url(payload));
};

const decodeBase64url = (text: string): Uint8Array => {
  try {
    return base64url.decode(text);
  } catch {
    // Every defect of a token has the same error.
    throw invalidTokenError();
  }
};
