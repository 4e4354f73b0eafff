/** Checks the claims of a JWT whose signature is valid, and reads a user token from them. */
import type { JWTPayload } from 'jose';
import type { UserToken } from '../../app/ports/user-token.ts';
import { DomainError, unauthenticatedError } from '../../core/errors.ts';
import { parseUserId, toMillis, type Millis, type UserId } from '../../core/ids.ts';
import type { WatchScope } from '../../core/records.ts';

export interface JwtClaimRules {
  /** The required `iss`; null: `iss` is not checked. */
  readonly issuer: string | null;
  /** A required member of `aud`; null: `aud` is not checked. */
  readonly audience: string | null;
}

/** The clocks of backends differ, so `nbf` may be this far in the future. `exp` has no tolerance. */
export const NOT_BEFORE_TOLERANCE_S = 5;
/** The latest moment that a Date can hold. */
const MAX_DATE_MS = 8.64e15;

/**
 * Checks presence and type of the registered claims, `iss`, `aud` and `nbf`. An expired token passes: `expiresAt` of
 * the user token must be checked after everything else.
 * @throws UNAUTHENTICATED, with the name of the claim.
 */
export const checkJwtClaims = (claims: JWTPayload, { issuer, audience }: JwtClaimRules, now: Millis): void => {
  if (!Object.hasOwn(claims, 'sub')) throw invalidClaimError('sub');
  if (typeof claims.exp !== 'number') throw invalidClaimError('exp');
  if (issuer !== null && claims.iss !== issuer) throw invalidClaimError('iss');
  if (audience !== null && !hasAudience(claims.aud, audience)) throw invalidClaimError('aud');
  if (claims.iat !== undefined && typeof claims.iat !== 'number') throw invalidClaimError('iat');
  if (claims.nbf === undefined) return;
  const latestNotBefore = Math.floor(now / 1_000) + NOT_BEFORE_TOLERANCE_S;
  if (typeof claims.nbf !== 'number' || claims.nbf > latestNotBefore) throw invalidClaimError('nbf');
};

const hasAudience = (claim: unknown, audience: string): boolean =>
  claim === audience || (Array.isArray(claim) && claim.includes(audience));

export const invalidClaimError = (claim: string): DomainError =>
  unauthenticatedError(`The token’s claim ${claim} is missing or wrong.`);

export const invalidTokenError = (): DomainError => unauthenticatedError('The token is not valid.');

/**
 * @param claims that passed `checkJwtClaims`.
 * @throws UNAUTHENTICATED for `sub` or `watch` without valid user ids.
 */
export const createUserToken = (claims: JWTPayload): UserToken => ({
  userId: parseClaimedUserId(claims.sub, 'sub'),
  watchScope: parseWatchClaim(claims['watch']),
  issuedAt: claims.iat === undefined ? null : toMoment(claims.iat),
  expiresAt: toMoment(claims.exp ?? 0),
});

const toMoment = (seconds: number): Millis =>
  toMillis(Math.floor(Math.max(-MAX_DATE_MS, Math.min(seconds * 1_000, MAX_DATE_MS))));

const parseWatchClaim = (claim: unknown): WatchScope => {
  if (claim === undefined) return null;
  if (claim === '*') return '*';
  if (!Array.isArray(claim)) throw unauthenticatedError('The token’s claim watch must be "*" or a list of user ids.');
  return claim.map((id) => parseClaimedUserId(id, 'watch'));
};

const parseClaimedUserId = (claim: unknown, name: 'sub' | 'watch'): UserId => {
  if (typeof claim !== 'string')
    throw unauthenticatedError(`The token’s claim ${name} has a value that is not a user id.`);
  try {
    return parseUserId(claim);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    throw unauthenticatedError(`The token’s claim ${name}: ${error.message}`);
  }
};
