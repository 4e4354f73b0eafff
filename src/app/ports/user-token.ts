/** Tokens with which an app's backend identifies its user: a JWT, or another kind of token with the same content. */
import { DomainError } from '../../core/errors.ts';
import type { Millis, UserId } from '../../core/ids.ts';
import type { WatchScope } from '../../core/records.ts';

export interface UserToken {
  readonly userId: UserId;
  readonly watchScope: WatchScope;
  /** By the clock of the backend. Null: the token does not contain it, and counts as older than any revocation. */
  readonly issuedAt: Millis | null;
  /** How far the clock of the backend may be ahead of this server's or behind it, in ms. */
  readonly clockToleranceMs: number;
  /** The token is accepted until then: its end of validity plus the clock tolerance. */
  readonly expiresAt: Millis;
}

/** A token that is valid except for its times. A client that comes back with a new one is accepted, perhaps later. */
export class OutdatedTokenError extends DomainError {
  constructor(message: string) {
    super({ code: 'UNAUTHENTICATED' }, message);
    this.name = 'OutdatedTokenError';
  }
}

/** A valid token whose time has passed. */
export class ExpiredTokenError extends OutdatedTokenError {
  constructor() {
    super('The token has expired. Send a new one.');
    this.name = 'ExpiredTokenError';
  }
}

/** Verifies one kind of token other than the JWT. */
export interface UserTokenVerifier {
  /** Decides by the form alone, without verification. No token may match two kinds; a JWT contains a dot. */
  matchesFormat(token: string): boolean;
  /** @throws UNAUTHENTICATED; as `ExpiredTokenError` when only the expiry time has passed. */
  verifyToken(token: string, now: Millis): UserToken;
}
