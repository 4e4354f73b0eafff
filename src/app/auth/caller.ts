/** Who is asking, and whom she may ask about: decided here, for every door. */
import { DomainError, forbiddenError, unauthenticatedError } from '../../core/errors.ts';
import { parseUserId, type Millis, type SessionId, type UserId } from '../../core/ids.ts';
import type { WatchScope } from '../../core/records.ts';
import { canWatchUser, type IntrospectionAccess, type Visibility } from '../../core/visibility.ts';

/** The app on a user's device: proven by a JWT or what is as good (it may log in), by a session's token, or, on a socket, both. */
export interface AppCaller {
  readonly kind: 'app';
  readonly userId: UserId;
  readonly watchScope: WatchScope;
  /** Present when a JWT was shown, or another token that vouches for the user. */
  readonly jwt: { readonly issuedAt: Millis | null; readonly expiresAt: Millis } | null;
  readonly sessionId: SessionId | null;
}

export type Caller = { readonly kind: 'unauthenticated' } | { readonly kind: 'backend' } | AppCaller;

export const UNAUTHENTICATED_CALLER: Caller = { kind: 'unauthenticated' };
export const BACKEND_CALLER: Caller = { kind: 'backend' };

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
export const parseUserIds = (values: readonly string[], before = 0): readonly UserId[] => {
  checkUserCount(before + values.length);
  return values.map(parseUserId);
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
export const requireAuthenticated = (caller: Caller): void => {
  if (caller.kind === 'unauthenticated') {
    throw unauthenticatedError('Send a user’s JWT, a session token or an API key as `Authorization: Bearer …`.');
  }
};

/** @throws UNAUTHENTICATED for nobody, FORBIDDEN for an app. */
export const requireBackend = (caller: Caller): void => {
  requireAuthenticated(caller);
  if (caller.kind !== 'backend') throw forbiddenError('Only a backend, with an API key, may do this.');
};

/** @throws UNAUTHENTICATED for nobody, FORBIDDEN for whoever the setting keeps out. */
export const requireIntrospectionAccess = (caller: Caller, introspection: IntrospectionAccess): void => {
  requireAuthenticated(caller);
  if (introspection === 'everyone') return;
  if (introspection === 'off') throw forbiddenError('This server tells its schema to nobody.');
  if (caller.kind !== 'backend') throw forbiddenError('Only a backend, with an API key, may ask for the schema.');
};

/** @throws UNAUTHENTICATED without a session; FORBIDDEN for a backend, which has none and can have none. */
export const requireSession = (caller: Caller): SessionRef => {
  if (caller.kind === 'backend') throw forbiddenError('Only a session, with its own token, may do this.');
  if (caller.kind === 'unauthenticated' || caller.sessionId === null) {
    throw unauthenticatedError('This needs the token of a session: `login` returns it.');
  }
  return { userId: caller.userId, sessionId: caller.sessionId };
};

/** @throws UNAUTHENTICATED for nobody, FORBIDDEN for whoever shows no user's JWT. */
export const requireJwtCaller = (caller: Caller): AppCaller => {
  requireAuthenticated(caller);
  if (caller.kind !== 'app' || caller.jwt === null) throw forbiddenError('Only a user’s JWT may log in.');
  return caller;
};

/** @throws FORBIDDEN, with the same words whether or not such a user exists. */
export const requireWatchAccess = (caller: Caller, asked: readonly UserId[], visibility: Visibility): void => {
  requireAuthenticated(caller);
  if (caller.kind !== 'app') return;
  for (const id of asked) {
    if (!canWatchUser(caller.userId, caller.watchScope, visibility, id)) {
      throw forbiddenError('You may not see every user you asked about.');
    }
  }
};

/** The devices of a user are for herself and for backends. */
export const canSeeSessions = (caller: Caller, of: UserId): boolean =>
  caller.kind === 'backend' || (caller.kind === 'app' && caller.userId === of);
