/**
 * Tells who holds a user's JWT open (a socket, a stream) that it is refused from now on. The store's
 * commits cannot: a revocation that ends no session is no event.
 */
import { unauthenticated, type DomainError } from '../../core/errors.ts';
import type { Millis, UserId } from '../../core/ids.ts';

/**
 * `iat` counts whole seconds: a token made within the second of the revocation is taken for an older
 * one. A token that does not say when it was issued is older than any revocation.
 */
export const isRevoked = (issuedAt: Millis | null, revokedBefore: Millis | null): boolean =>
  revokedBefore !== null && (issuedAt === null || issuedAt < revokedBefore);

export const revoked = (): DomainError => unauthenticated('The token has been revoked.');

/** JWTs issued before this moment are refused. */
type Listener = (revokedBefore: Millis) => void;

export class Revocations {
  readonly #listeners = new Map<UserId, Set<Listener>>();

  /** How many users have somebody who listens. */
  get listenedTo(): number {
    return this.#listeners.size;
  }

  /** Returns the function that takes it back. */
  onRevoke(userId: UserId, listener: Listener): () => void {
    const listeners = this.#listeners.get(userId) ?? new Set();
    this.#listeners.set(userId, listeners.add(listener));
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#listeners.delete(userId);
    };
  }

  tell(userId: UserId, revokedBefore: Millis): void {
    const listeners = this.#listeners.get(userId);
    if (listeners) for (const listener of [...listeners]) listener(revokedBefore);
  }
}
