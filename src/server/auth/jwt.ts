/** Verifies the JWTs with which an app's backend vouches for its users. */
import type { KeyObject } from 'node:crypto';
import {
  compactVerify,
  decodeProtectedHeader,
  errors,
  type CompactVerifyGetKey,
  type JWTPayload,
  type ProtectedHeaderParameters,
} from 'jose';
import { ExpiredTokenError, type UserToken } from '../../app/ports/user-token.ts';
import type { Millis } from '../../core/ids.ts';
import { verifyHs256 } from './hs256.ts';
import { createRemoteKeySet } from './jwks.ts';
import { invalidTokenError, parseClaims, readUserToken, type JwtClaimRules } from './jwt-claims.ts';

export interface JwtSettings {
  readonly jwtSecret: KeyObject | null;
  readonly jwksUrl: URL | null;
  readonly jwtIssuer: string | null;
  readonly jwtAudience: string | null;
  /** How far the clock of a backend may be ahead of this server's or behind it, in ms. It holds for `exp`, `nbf`, `iat`. */
  readonly jwtClockToleranceMs: number;
}

/**
 * The kinds of private-key signatures. The JWKS says which one a key is for. HS256 is not among them: a public key must
 * never be used as a shared secret.
 */
const PUBLIC_KEY_ALGORITHMS = [
  ...['RS', 'PS', 'ES'].flatMap((kind) => [256, 384, 512].map((bits) => `${kind}${bits}`)),
  'EdDSA',
  'Ed25519',
];

/** How many keys are tried for a token that names none. */
const MAX_CANDIDATE_KEYS = 16;

export class JwtVerifier {
  readonly #secret: KeyObject | null;
  readonly #keySet: CompactVerifyGetKey | null;
  readonly #claimRules: JwtClaimRules;

  /** @param onKeysUnavailable is called with the reason when fetching the JWKS fails. */
  constructor(settings: JwtSettings, onKeysUnavailable: (error: unknown) => void) {
    const { jwtSecret, jwksUrl, jwtIssuer, jwtAudience, jwtClockToleranceMs } = settings;
    this.#secret = jwtSecret;
    this.#keySet = jwksUrl === null ? null : createRemoteKeySet(jwksUrl, onKeysUnavailable);
    this.#claimRules = { issuer: jwtIssuer, audience: jwtAudience, clockToleranceMs: jwtClockToleranceMs };
  }

  /**
   * @throws UNAUTHENTICATED for an invalid token, as `ExpiredTokenError` when only its time is over. OVERLOADED when the
   *   keys are unavailable, so that the token cannot be judged.
   */
  async verifyToken(token: string, now: Millis): Promise<UserToken> {
    const verified = readUserToken(await this.#readClaims(token), this.#claimRules, now);
    // Checked last: a client with an otherwise valid token is asked to come back with a new one.
    if (verified.expiresAt <= now) throw new ExpiredTokenError();
    return verified;
  }

  /** Returns the claims of a token with a valid signature. The claims themselves are not checked. */
  async #readClaims(token: string): Promise<JWTPayload> {
    const header = decodeHeader(token);
    if (this.#secret !== null && header?.alg === 'HS256') return verifyHs256(this.#secret, token, header);
    if (this.#keySet !== null && PUBLIC_KEY_ALGORITHMS.includes(header?.alg ?? '')) {
      return verifyWithKeySet(this.#keySet, token, header);
    }
    throw invalidTokenError();
  }
}

const decodeHeader = (token: string): ProtectedHeaderParameters | null => {
  try {
    return decodeProtectedHeader(token);
  } catch {
    // Not a JWT.
    return null;
  }
};

/** Like `verifyHs256`, but with jose, for signatures by a private key. */
const verifyWithKeySet = async (
  keySet: CompactVerifyGetKey,
  token: string,
  header: ProtectedHeaderParameters | null,
): Promise<JWTPayload> => {
  if (header?.crit !== undefined) throw invalidTokenError();
  try {
    return parseClaims(await verifySignature(keySet, token));
  } catch (error) {
    if (error instanceof errors.JOSEError) throw invalidTokenError();
    throw error;
  }
};

const VERIFY_OPTIONS = { algorithms: PUBLIC_KEY_ALGORITHMS };

/** @returns the payload. @throws errors of jose. */
const verifySignature = async (keySet: CompactVerifyGetKey, token: string): Promise<Uint8Array> => {
  try {
    return (await compactVerify(token, keySet, VERIFY_OPTIONS)).payload;
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return verifyWithCandidates(error, token);
    throw error;
  }
};

/** Tries the keys that match a token which names none. */
const verifyWithCandidates = async (
  candidates: errors.JWKSMultipleMatchingKeys,
  token: string,
): Promise<Uint8Array> => {
  let tried = 0;
  for await (const candidate of candidates) {
    if (++tried > MAX_CANDIDATE_KEYS) break;
    try {
      return (await compactVerify(token, candidate, VERIFY_OPTIONS)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw invalidTokenError();
};
