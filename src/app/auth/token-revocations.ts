/**
 * Notifies open sockets and streams that were authenticated with a user's JWT when it is revoked. The store's commits
 * are not enough: a revocation that ends no session causes no event.
 */
import { unauthenticatedError, type DomainError } from '../../core/errors.ts';
import type { Millis, UserId } from '../../core/ids.ts';

/**
 * Whether a token was issued before the revocation. `iat` has whole seconds, so a token from the second of the
 * revocation counts as older. A token without an issue time counts as older than any revocation.
 */
export const isTokenRevoked = (issuedAt: Millis | null, revokedBefore: Millis | null): boolean =>
  revokedBefore !== null && (issuedAt === null || issuedAt < revokedBefore);

export const tokenRevokedError = (): DomainError => unauthenticatedError('The token has been revoked.');

/** @param revokedBefore JWTs that were issued before this time are rejected. */
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
