/** The JWT with which an app's backend vouches for its user: whose it is, and for how long. */
import type { KeyObject } from 'node:crypto';
import {
  decodeProtectedHeader,
  errors,
  jwtVerify,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from 'jose';
import { ExpiredToken, type UserToken } from '../../app/ports/user-token.ts';
import { DomainError, unauthenticated } from '../../core/errors.ts';
import { millis, userId, type Millis, type UserId } from '../../core/ids.ts';
import type { Watch } from '../../core/records.ts';
import { remoteKeys } from './jwks.ts';
import { claimsSignedWith } from './hs256.ts';

export interface JwtSettings {
  readonly jwtSecret: KeyObject | null;
  readonly jwksUrl: URL | null;
  readonly jwtIssuer: string | null;
  readonly jwtAudience: string | null;
}

/** A kind of key and the algorithms it serves: a public key must never be taken for a shared secret. */
interface KeySource {
  readonly algorithms: readonly string[];
  /** @throws errors of the library. */
  readonly claims: (token: string, options: JWTVerifyOptions) => JWTPayload | Promise<JWTPayload>;
}

/** Signatures by a private key, all of them: which one it is, the JWKS says. */
const PUBLIC_KEY_ALGORITHMS = [
  ...['RS', 'PS', 'ES'].flatMap((kind) => [256, 384, 512].map((bits) => `${kind}${bits}`)),
  'EdDSA',
  'Ed25519',
];

/** Backends' clocks differ: `nbf` may lie this far ahead. `exp` is exact. */
const NOT_BEFORE_TOLERANCE_S = 5;
/** Keys that fit a token which names none: each of them would have to be tried. */
const MAX_CANDIDATES = 16;
/** The last moment that a date can hold. */
const END_OF_TIME_MS = 8.64e15;

export class JwtVerifier {
  readonly #sources: readonly KeySource[];
  readonly #options: JWTVerifyOptions;

  /** @param onKeysUnavailable hears why the JWKS could not be had. */
  constructor(settings: JwtSettings, onKeysUnavailable: (error: unknown) => void) {
    const { jwtSecret, jwksUrl, jwtIssuer, jwtAudience } = settings;
    this.#sources = [
      ...(jwtSecret === null ? [] : [ofSecret(jwtSecret)]),
      ...(jwksUrl === null ? [] : [ofKeys(remoteKeys(jwksUrl, onKeysUnavailable))]),
    ];
    this.#options = {
      requiredClaims: ['sub', 'exp'],
      clockTolerance: NOT_BEFORE_TOLERANCE_S,
      ...(jwtIssuer === null ? {} : { issuer: jwtIssuer }),
      ...(jwtAudience === null ? {} : { audience: jwtAudience }),
    };
  }

  /**
   * @throws UNAUTHENTICATED (as `ExpiredToken` when only its time is over), OVERLOADED when the keys
   * cannot be had, which is no fault of the token.
   */
  async verify(token: string, now: Millis): Promise<UserToken> {
    const payload = await this.#signedPayload(token, now);
    const verified = tokenOf(payload);
    if (verified.expiresAt <= now) throw new ExpiredToken();
    return verified;
  }

  /** The claims of a token that is signed and not too early; it may have expired. */
  async #signedPayload(token: string, now: Millis): Promise<JWTPayload> {
    const source = this.#sourceFor(token);
    const options = { ...this.#options, algorithms: [...source.algorithms], currentDate: new Date(now) };
    try {
      return await source.claims(token, options);
    } catch (error) {
      // Thrown after everything else was found right.
      if (error instanceof errors.JWTExpired) return error.payload;
      if (error instanceof errors.JWTClaimValidationFailed) {
        throw unauthenticated(`The token’s claim ${error.claim} is missing or wrong.`);
      }
      if (error instanceof errors.JOSEError) throw unauthenticated('The token is not valid.');
      throw error;
    }
  }

  #sourceFor(token: string): KeySource {
    const source = this.#sources.find(({ algorithms }) => algorithms.includes(algorithmOf(token) ?? ''));
    if (source === undefined) throw unauthenticated('The token is not valid.');
    return source;
  }
}

const algorithmOf = (token: string): string | undefined => {
  try {
    return decodeProtectedHeader(token).alg;
  } catch {
    // Not a JWT at all, which is what no algorithm means too.
    return undefined;
  }
};

const ofSecret = (secret: KeyObject): KeySource => ({
  algorithms: ['HS256'],
  claims: (token, options) => claimsSignedWith(secret, token, options),
});

const ofKeys = (keys: JWTVerifyGetKey): KeySource => ({
  algorithms: PUBLIC_KEY_ALGORITHMS,
  claims: async (token, options) => {
    try {
      return (await jwtVerify(token, keys, options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
      return ofOneAmong(error, token, options);
    }
  },
});

/** The token names no key: one of those that fit must have signed it. */
const ofOneAmong = async (
  candidates: errors.JWKSMultipleMatchingKeys,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTPayload> => {
  let tried = 0;
  for await (const candidate of candidates) {
    if (++tried > MAX_CANDIDATES) break;
    try {
      return (await jwtVerify(token, candidate, options)).payload;
    } catch (failure) {
      if (!(failure instanceof errors.JWSSignatureVerificationFailed)) throw failure;
    }
  }
  throw unauthenticated('The token is not valid.');
};

const tokenOf = (payload: JWTPayload): UserToken => ({
  userId: claimedUser(payload.sub, 'sub'),
  watch: claimedWatch(payload['watch']),
  issuedAt: payload.iat === undefined ? null : momentOf(payload.iat),
  // Required, and a number: the library has seen to it.
  expiresAt: momentOf(payload.exp ?? 0),
});

const momentOf = (seconds: number): Millis =>
  millis(Math.floor(Math.max(-END_OF_TIME_MS, Math.min(seconds * 1_000, END_OF_TIME_MS))));

const claimedWatch = (claim: unknown): Watch => {
  if (claim === undefined) return null;
  if (claim === '*') return '*';
  if (!Array.isArray(claim)) throw unauthenticated('The token’s claim watch must be "*" or a list of user ids.');
  return claim.map((id) => claimedUser(id, 'watch'));
};

const claimedUser = (claim: unknown, name: 'sub' | 'watch'): UserId => {
  if (typeof claim !== 'string') throw unauthenticated(`The token’s claim ${name} has something that is no user id.`);
  try {
    return userId(claim);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    throw unauthenticated(`The token’s claim ${name}: ${error.message}`);
  }
};
