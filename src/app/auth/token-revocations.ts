/**
 * Notifies open sockets and streams that were authenticated with a user's JWT when it is revoked. The store's commits
 * are not enough: a revocation that ends no session causes no event.
 */
import { unauthenticatedError, type DomainError } from '../../core/errors.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import { OutdatedTokenError, type UserToken } from '../ports/user-token.ts';

type IssuedToken = Pick<UserToken, 'issuedAt' | 'clockToleranceMs'>;

/**
 * Returns an error if the token may have been issued before the revocation, and null otherwise. It is an
 * `OutdatedTokenError` if the token is newer, but not by enough. The clock of the backend
 * may be ahead, so a token whose time of issue lies less than the clock tolerance after the revocation counts as older.
 * So does a token without a time of issue. `iat` has whole seconds, so without a tolerance a token from the second of the
 * revocation counts as older.
 * @param revokedBefore null: no token of the user was revoked.
 */
export const findRevocationError = (
  { issuedAt, clockToleranceMs }: IssuedToken,
  revokedBefore: Millis | null,
): DomainError | null => {
  if (revokedBefore === null) return null;
  if (issuedAt === null || issuedAt < revokedBefore) return unauthenticatedError('The token has been revoked.');
  const elapsedMs = issuedAt - revokedBefore;
  if (elapsedMs >= clockToleranceMs) return null;
  return new OutdatedTokenError(
    `The token was issued ${Math.floor(elapsedMs / 1_000)} s after a revocation, but at least ` +
      `${clockToleranceMs / 1_000} s are needed (PORCHLIGHT_JWT_CLOCK_TOLERANCE).`,
  );
};

/** @param revokedBefore JWTs that can have been issued before this time are rejected. */
type TokenRevocationListener = (revokedBefore: Millis) => void;

export class TokenRevocationNotifier {
  readonly #listeners = new Map<UserId, Set<TokenRevocationListener>>();

  /** The number of users with at least one listener. */
  get listenedUserCount(): number {
    return this.#listeners.size;
  }

  /** Calls `listener` for each revocation of the user's tokens. @returns a function that removes the listener. */
  onTokensRevoked(userId: UserId, listener: TokenRevocationListener): () => void {
    const listeners = this.#listeners.get(userId) ?? new Set();
    this.#listeners.set(userId, listeners.add(listener));
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#listeners.delete(userId);
    };
  }

  notifyTokensRevoked(userId: UserId, revokedBefore: Millis): void {
    const listeners = this.#listeners.get(userId);
    if (listeners) for (const listener of [...listeners]) listener(revokedBefore);
  }
}
