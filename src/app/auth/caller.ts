/** Who is asking, and whom she may ask about: decided here, for every door. */
import { DomainError, forbidden, unauthenticated } from '../../core/errors.ts';
import { userId, type Millis, type SessionId, type UserId } from '../../core/ids.ts';
import type { Watch } from '../../core/records.ts';
import { mayWatch, type Introspection, type Visibility } from '../../core/visibility.ts';

/** The app on a user's device: proven by a JWT or what is as good (it may log in), by a session's token, or, on a socket, both. */
export interface AppCaller {
  readonly kind: 'app';
  readonly userId: UserId;
  readonly watch: Watch;
  /** Present when a JWT was shown, or another token that vouches for the user. */
  readonly jwt: { readonly issuedAt: Millis | null; readonly expiresAt: Millis } | null;
  readonly sessionId: SessionId | null;
}

export type Caller = { readonly kind: 'nobody' } | { readonly kind: 'backend' } | AppCaller;

export const NOBODY: Caller = { kind: 'nobody' };
export const BACKEND: Caller = { kind: 'backend' };

/** A live session of a user. */
export interface SessionRef {
  readonly userId: UserId;
  readonly sessionId: SessionId;
}

/** How many users one query or subscription may name. */
export const MAX_USERS_PER_CALL = 500;

/**
 * @param before how many the same query has asked about already: it could ask in any number of fields.
 * @throws TOO_MANY_USERS for more than 500, BAD_USER_INPUT for one that is no user id.
 */
export const checkedUserIds = (values: readonly string[], before = 0): readonly UserId[] => {
  checkUserCount(before + values.length);
  return values.map(userId);
};

/** @throws TOO_MANY_USERS for more than 500. */
export const checkUserCount = (asked: number): void => {
  if (asked <= MAX_USERS_PER_CALL) return;
  throw new DomainError(
    { code: 'TOO_MANY_USERS' },
    `${asked} users are asked for; at most ${MAX_USERS_PER_CALL} may be in one call.`,
  );
};

/** @throws UNAUTHENTICATED for nobody. */
export const requireSomebody = (caller: Caller): void => {
  if (caller.kind === 'nobody') {
    throw unauthenticated('Send a user’s JWT, a session token or an API key as `Authorization: Bearer …`.');
  }
};

/** @throws UNAUTHENTICATED for nobody, FORBIDDEN for an app. */
export const requireBackend = (caller: Caller): void => {
  requireSomebody(caller);
  if (caller.kind !== 'backend') throw forbidden('Only a backend, with an API key, may do this.');
};

/** @throws UNAUTHENTICATED for nobody, FORBIDDEN for whoever the setting keeps out. */
export const requireMayIntrospect = (caller: Caller, introspection: Introspection): void => {
  requireSomebody(caller);
  if (introspection === 'everyone') return;
  if (introspection === 'off') throw forbidden('This server tells its schema to nobody.');
  if (caller.kind !== 'backend') throw forbidden('Only a backend, with an API key, may ask for the schema.');
};

/** @throws UNAUTHENTICATED without a session; FORBIDDEN for a backend, which has none and can have none. */
export const requireSession = (caller: Caller): SessionRef => {
  if (caller.kind === 'backend') throw forbidden('Only a session, with its own token, may do this.');
  if (caller.kind === 'nobody' || caller.sessionId === null) {
    throw unauthenticated('This needs the token of a session: `login` returns it.');
  }
  return { userId: caller.userId, sessionId: caller.sessionId };
};

/** @throws UNAUTHENTICATED for nobody, FORBIDDEN for whoever shows no user's JWT. */
export const requireJwt = (caller: Caller): AppCaller => {
  requireSomebody(caller);
  if (caller.kind !== 'app' || caller.jwt === null) throw forbidden('Only a user’s JWT may log in.');
  return caller;
};

/** @throws FORBIDDEN, with the same words whether or not such a user exists. */
export const requireMayWatch = (caller: Caller, asked: readonly UserId[], visibility: Visibility): void => {
  requireSomebody(caller);
  if (caller.kind !== 'app') return;
  for (const id of asked) {
    if (!mayWatch(caller.userId, caller.watch, visibility, id)) {
      throw forbidden('You may not see every user you asked about.');
    }
  }
};

/** The devices of a user are for herself and for backends. */
export const maySeeSessions = (caller: Caller, of: UserId): boolean =>
  caller.kind === 'backend' || (caller.kind === 'app' && caller.userId === of);
