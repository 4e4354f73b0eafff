/** How an app's backend vouches for its user: with a JWT, or with another kind of token that says as much. */
import { DomainError } from '../../core/errors.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import type { WatchScope } from '../../core/records.ts';

export interface UserToken {
  readonly userId: UserId;
  readonly watchScope: WatchScope;
  /** Null: it does not say, and so is older than any revocation. */
  readonly issuedAt: Millis | null;
  readonly expiresAt: Millis;
}

/** A token with nothing wrong but its age: its holder may come back with a new one. */
export class ExpiredTokenError extends DomainError {
  constructor() {
    super({ code: 'UNAUTHENTICATED' }, 'The token has expired: come back with a new one.');
    this.name = 'ExpiredToken';
  }
}

/** A kind of token beside the JWT. */
export interface UserTokenVerifier {
  /** Told at sight, before anything is checked. No token may be of two kinds; a JWT has a dot. */
  matchesFormat(token: string): boolean;
  /** @throws UNAUTHENTICATED, as `ExpiredToken` when only its time is over. */
  verifyToken(token: string, now: Millis): UserToken;
}
