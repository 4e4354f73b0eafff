/**
 * Tells who holds a user's JWT open (a socket, a stream) that it is refused from now on. The store's
 * commits cannot: a revocation that ends no session is no event.
 */
import { unauthenticatedError, type DomainError } from '../../core/errors.ts';
import type { Millis, UserId } from '../../core/ids.ts';

/**
 * `iat` counts whole seconds: a token made within the second of the revocation is taken for an older
 * one. A token that does not say when it was issued is older than any revocation.
 */
export const isTokenRevoked = (issuedAt: Millis | null, revokedBefore: Millis | null): boolean =>
  revokedBefore !== null && (issuedAt === null || issuedAt < revokedBefore);

export const tokenRevokedError = (): DomainError => unauthenticatedError('The token has been revoked.');

/** JWTs issued before this moment are refused. */
type TokenRevocationListener = (revokedBefore: Millis) => void;

export class TokenRevocationNotifier {
  readonly #listeners = new Map<UserId, Set<TokenRevocationListener>>();

  /** How many users have somebody who listens. */
  get listenedUserCount(): number {
    return this.#listeners.size;
  }

  /** Returns the function that takes it back. */
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
