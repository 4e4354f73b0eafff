/**
 * Checks the claims of a JWT whose signature is valid, and reads a user token from them. The rules are the same for HS256
 * and for the keys of a JWKS.
 */
import type { JWTPayload } from 'jose';
import type { UserToken } from '../../app/ports/user-token.ts';
import { DomainError, unauthenticatedError } from '../../core/errors.ts';
import { addMs, parseUserId, toMillis, type Millis, type UserId } from '../../core/ids.ts';
import type { WatchScope } from '../../core/records.ts';

export interface JwtClaimRules {
  /** The required `iss`; null: `iss` is not checked. */
  readonly issuer: string | null;
  /** A required member of `aud`; null: `aud` is not checked. */
  readonly audience: string | null;
  /** How far the clock of a backend may be ahead of this server's or behind it, in ms. */
  readonly clockToleranceMs: number;
}

/** Units that backends confuse with seconds. */
const WRONG_UNITS = [
  { name: 'milliseconds', perSecond: 1e3 },
  { name: 'microseconds', perSecond: 1e6 },
  { name: 'nanoseconds', perSecond: 1e9 },
] as const;
/**
 * A time is in a wrong unit if it is in this range after the conversion, in seconds: from 2001 to 2223. The ranges do not
 * overlap, and no number that people write for "never" is in them: the end of 9999 in seconds, or the maximum of a type.
 */
const PLAUSIBLE_SECONDS = { from: 1e9, until: 8e9 } as const;

/** The latest moment that a Date can hold. */
const MAX_DATE_MS = 8.64e15;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Decodes the payload of a token. @throws UNAUTHENTICATED unless it is a JSON object in UTF-8. */
export const parseClaims = (payload: Uint8Array): JWTPayload => {
  let claims: unknown;
  try {
    claims = JSON.parse(utf8.decode(payload));
  } catch {
    // Every defect of a token has the same error.
    throw invalidTokenError();
  }
  if (!isJsonObject(claims)) throw invalidTokenError();
  return claims;
};

const isJsonObject = (value: unknown): value is JWTPayload =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Checks the claims and reads the user token. An expired token passes: `expiresAt` must be checked after everything else.
 * @throws UNAUTHENTICATED, with the name of the claim: for a registered claim that is missing or has a wrong type, for
 *   another `iss` or `aud`, for a time that is not in seconds, for an `nbf` after `now` by more than the clock tolerance,
 *   and for a `sub` or `watch` without valid user ids.
 */
export const readUserToken = (claims: JWTPayload, rules: JwtClaimRules, now: Millis): UserToken => {
  const { issuer, audience, clockToleranceMs } = rules;
  if (!Object.hasOwn(claims, 'sub')) throw invalidClaimError('sub');
  const expiresAt = readTime(claims, 'exp');
  if (expiresAt === null) throw invalidClaimError('exp');
  if (issuer !== null && claims.iss !== issuer) throw invalidClaimError('iss');
  if (audience !== null && !hasAudience(claims.aud, audience)) throw invalidClaimError('aud');
  const issuedAt = readTime(claims, 'iat');
  const notBefore = readTime(claims, 'nbf');
  if (notBefore !== null && notBefore > now + clockToleranceMs) {
    throw unauthenticatedError(
      `The token’s claim nbf is ${Math.ceil((notBefore - now) / 1_000)} s in the future. ` +
        `PORCHLIGHT_JWT_CLOCK_TOLERANCE allows ${clockToleranceMs / 1_000} s.`,
    );
  }
  return {
    userId: parseClaimedUserId(claims.sub, 'sub'),
    watchScope: parseWatchClaim(claims['watch']),
    issuedAt,
    clockToleranceMs,
    expiresAt: addMs(expiresAt, clockToleranceMs),
  };
};

const hasAudience = (claim: unknown, audience: string): boolean =>
  claim === audience || (Array.isArray(claim) && claim.includes(audience));

const invalidClaimError = (claim: string): DomainError =>
  unauthenticatedError(`The token’s claim ${claim} is missing or wrong.`);

export const invalidTokenError = (): DomainError => unauthenticatedError('The token is not valid.');

/** @returns null if the token has no such claim. @throws UNAUTHENTICATED unless it is a number of seconds. */
const readTime = (claims: JWTPayload, name: 'exp' | 'iat' | 'nbf'): Millis | null => {
  const seconds: unknown = claims[name];
  if (seconds === undefined) return null;
  if (typeof seconds !== 'number') throw invalidClaimError(name);
  const unit = WRONG_UNITS.find(
    ({ perSecond }) => seconds >= PLAUSIBLE_SECONDS.from * perSecond && seconds < PLAUSIBLE_SECONDS.until * perSecond,
  );
  if (unit === undefined) return toMoment(seconds);
  throw unauthenticatedError(
    `The token’s claim ${name} is ${seconds}, in ${unit.name}. It must be in seconds: ${Math.floor(seconds / unit.perSecond)}.`,
  );
};

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
