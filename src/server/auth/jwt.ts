/** Verifies the JWTs with which an app's backend vouches for its users. */
import type { KeyObject } from 'node:crypto';
import {
  decodeProtectedHeader,
  errors,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type ProtectedHeaderParameters,
} from 'jose';
import { ExpiredTokenError, type UserToken } from '../../app/ports/user-token.ts';
import type { Millis } from '../../core/ids.ts';
import { verifyHs256 } from './hs256.ts';
import { createRemoteKeySet } from './jwks.ts';
import {
  checkJwtClaims,
  createUserToken,
  invalidClaimError,
  invalidTokenError,
  NOT_BEFORE_TOLERANCE_S,
  type JwtClaimRules,
} from './jwt-claims.ts';

export interface JwtSettings {
  readonly jwtSecret: KeyObject | null;
  readonly jwksUrl: URL | null;
  readonly jwtIssuer: string | null;
  readonly jwtAudience: string | null;
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
  readonly #keySet: JWTVerifyGetKey | null;
  readonly #claimRules: JwtClaimRules;

  /** @param onKeysUnavailable is called with the reason when fetching the JWKS fails. */
  constructor(settings: JwtSettings, onKeysUnavailable: (error: unknown) => void) {
    const { jwtSecret, jwksUrl, jwtIssuer, jwtAudience } = settings;
    this.#secret = jwtSecret;
    this.#keySet = jwksUrl === null ? null : createRemoteKeySet(jwksUrl, onKeysUnavailable);
    this.#claimRules = { issuer: jwtIssuer, audience: jwtAudience };
  }

  /**
   * @throws UNAUTHENTICATED for an invalid token, as `ExpiredTokenError` when only its time is over. OVERLOADED when the
   *   keys are unavailable, so that the token cannot be judged.
   */
  async verifyToken(token: string, now: Millis): Promise<UserToken> {
    const verified = createUserToken(await this.#readClaims(token, now));
    // Checked last: a client with an otherwise valid token is asked to come back with a new one.
    if (verified.expiresAt <= now) throw new ExpiredTokenError();
    return verified;
  }

  /** Returns the claims of a token that is signed and already valid. It may have expired. */
  async #readClaims(token: string, now: Millis): Promise<JWTPayload> {
    const header = decodeHeader(token);
    if (this.#secret !== null && header?.alg === 'HS256') {
      const claims = verifyHs256(this.#secret, token, header);
      checkJwtClaims(claims, this.#claimRules, now);
      return claims;
    }
    if (this.#keySet !== null && PUBLIC_KEY_ALGORITHMS.includes(header?.alg ?? '')) {
      return verifyWithKeySet(this.#keySet, token, this.#claimRules, now);
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

/** Like `verifyHs256` and `checkJwtClaims`, but with jose, for signatures by a private key. */
const verifyWithKeySet = async (
  keySet: JWTVerifyGetKey,
  token: string,
  { issuer, audience }: JwtClaimRules,
  now: Millis,
): Promise<JWTPayload> => {
  const options: JWTVerifyOptions = {
    algorithms: PUBLIC_KEY_ALGORITHMS,
    requiredClaims: ['sub', 'exp'],
    clockTolerance: NOT_BEFORE_TOLERANCE_S,
    currentDate: new Date(now),
    ...(issuer === null ? {} : { issuer }),
    ...(audience === null ? {} : { audience }),
  };
  try {
    return await verifySignature(keySet, token, options);
  } catch (error) {
    // jose checks the expiry last, so everything else about the token is right.
    if (error instanceof errors.JWTExpired) return error.payload;
    if (error instanceof errors.JWTClaimValidationFailed) throw invalidClaimError(error.claim);
    if (error instanceof errors.JOSEError) throw invalidTokenError();
    throw error;
  }
};

/** @throws errors of jose. */
const verifySignature = async (
  keySet: JWTVerifyGetKey,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTPayload> => {
  try {
    return (await jwtVerify(token, keySet, options)).payload;
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return verifyWithCandidates(error, token, options);
    throw error;
  }
};

/** Tries the keys that match a token which names none. */
const verifyWithCandidates = async (
  candidates: errors.JWKSMultipleMatchingKeys,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTPayload> => {
  let tried = 0;
  for await (const candidate of candidates) {
    if (++tried > MAX_CANDIDATE_KEYS) break;
    try {
      return (await jwtVerify(token, candidate, options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw invalidTokenError();
};
