/** The caller of an operation and its permissions. The rules are the same for all transports. */
import { DomainError, forbiddenError, unauthenticatedError } from '../../core/errors.ts';
import { parseUserId, type SessionId, type UserId } from '../../core/ids.ts';
import type { WatchScope } from '../../core/records.ts';
import { canWatchAllUsers, type IntrospectionAccess, type Visibility } from '../../core/visibility.ts';
import type { UserToken } from '../ports/user-token.ts';

/**
 * The app on a user's device. It authenticated with a user token (and may log in), with a session token, or, on a
 * socket, with both.
 */
export interface AppCaller {
  readonly kind: 'app';
  readonly userId: UserId;
  readonly watchScope: WatchScope;
  /** Set if the app sent a JWT or another user token. */
  readonly jwt: Pick<UserToken, 'issuedAt' | 'clockToleranceMs' | 'expiresAt'> | null;
  readonly sessionId: SessionId | null;
}

/** An app that authenticated with a user token. */
export type JwtCaller = AppCaller & { readonly jwt: NonNullable<AppCaller['jwt']> };

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
 * @param countBefore the number of users that other fields of the same query have named.
 * @throws TOO_MANY_USERS for more than 500 in total, BAD_USER_INPUT for an invalid user id.
 */
export const parseUserIds = (values: readonly string[], countBefore = 0): readonly UserId[] => {
  checkUserCount(countBefore + values.length);
  return values.map(parseUserId);
};

/** @throws TOO_MANY_USERS for more than 500. */
export const checkUserCount = (userCount: number): void => {
  if (userCount <= MAX_USERS_PER_CALL) return;
  throw new DomainError(
    { code: 'TOO_MANY_USERS' },
    `The call names ${userCount} users; the maximum is ${MAX_USERS_PER_CALL}.`,
  );
};

/** @throws UNAUTHENTICATED for an unauthenticated caller. */
export const requireAuthenticated = (caller: Caller): void => {
  if (caller.kind === 'unauthenticated') {
    throw unauthenticatedError('Send a user’s JWT, a session token or an API key as `Authorization: Bearer …`.');
  }
};

/** @throws UNAUTHENTICATED for an unauthenticated caller, FORBIDDEN for an app. */
export const requireBackend = (caller: Caller): void => {
  requireAuthenticated(caller);
  if (caller.kind !== 'backend') throw forbiddenError('Only a backend with an API key may do this.');
};

/** @throws UNAUTHENTICATED for an unauthenticated caller, FORBIDDEN for a caller that the setting excludes. */
export const requireIntrospectionAccess = (caller: Caller, introspection: IntrospectionAccess): void => {
  requireAuthenticated(caller);
  if (introspection === 'everyone') return;
  if (introspection === 'off') throw forbiddenError('Introspection is disabled on this server.');
  if (caller.kind !== 'backend') throw forbiddenError('Only a backend with an API key may read the schema.');
};

/** @throws UNAUTHENTICATED without a session, FORBIDDEN for a backend, which cannot have one. */
export const requireSession = (caller: Caller): SessionRef => {
  if (caller.kind === 'backend') throw forbiddenError('Only a session with its own token may do this.');
  if (caller.kind === 'unauthenticated' || caller.sessionId === null) {
    throw unauthenticatedError('This needs a session token: `login` returns it.');
  }
  return { userId: caller.userId, sessionId: caller.sessionId };
};

/** @throws UNAUTHENTICATED for an unauthenticated caller, FORBIDDEN for a caller without a user token. */
export const requireJwtCaller = (caller: Caller): JwtCaller => {
  requireAuthenticated(caller);
  if (!isJwtCaller(caller)) throw forbiddenError('Only a user’s JWT may log in.');
  return caller;
};

const isJwtCaller = (caller: Caller): caller is JwtCaller => caller.kind === 'app' && caller.jwt !== null;

/**
 * @throws UNAUTHENTICATED for an unauthenticated caller; FORBIDDEN if any of the users is not visible to the caller. The
 * message does not depend on whether the users exist.
 */
export const requireWatchAccess = (caller: Caller, userIds: readonly UserId[], visibility: Visibility): void => {
  requireAuthenticated(caller);
  if (caller.kind !== 'app') return;
  if (!canWatchAllUsers(caller.userId, caller.watchScope, visibility, userIds)) {
    throw forbiddenError('You may not see all of the users that you named.');
  }
};

/** Whether the caller may see the user's sessions and devices: the user themselves and backends may. */
export const canSeeSessions = (caller: Caller, userId: UserId): boolean =>
  caller.kind === 'backend' || (caller.kind === 'app' && caller.userId === userId);
