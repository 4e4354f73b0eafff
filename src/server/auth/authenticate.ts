/** Authenticates callers, for both transports. */
import { hash, timingSafeEqual } from 'node:crypto';
import { BACKEND_CALLER, UNAUTHENTICATED_CALLER, type Caller } from '../../app/auth/caller.ts';
import type { PresenceStore } from '../../app/ports/presence-store.ts';
import { findRevocationError } from '../../app/auth/token-revocations.ts';
import { sessionEndedError } from '../../app/presence/tracker.ts';
import type { UserToken, UserTokenVerifier } from '../../app/ports/user-token.ts';
import { unauthenticatedError, type DomainError } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import { findSession, createUnknownUser, type UserRecord } from '../../core/records.ts';
import { formatKib, MAX_TOKEN_LENGTH } from '../limits/unauthenticated-limits.ts';
import { JwtVerifier, type JwtSettings } from './jwt.ts';
import { constantTimeEqual } from './constant-time-equal.ts';
import { hasSessionTokenPrefix, parseSessionToken } from './session-token.ts';

export interface AuthSettings extends JwtSettings {
  /** SHA-256 of each key's UTF-8 bytes. */
  readonly apiKeys: readonly Buffer[];
  /** Verifiers of user tokens other than JWTs. Omitted: JWTs only. */
  readonly userTokens?: readonly UserTokenVerifier[];
}

/** Identifies the caller by the `Authorization` header or its equivalent in `connection_init`. */
export type Authenticator = (authorization: string | undefined) => Promise<Caller>;

/** The scheme is case-insensitive (RFC 9110); the credential is not. */
const BEARER = /^Bearer +([^\s]+)$/i;

/**
 * Returns an authenticator. Without a credential the caller is unauthenticated, which is not an error. It throws
 * SESSION_ENDED, UNAUTHENTICATED (an `OutdatedTokenError` when only the times of a user token are wrong), or OVERLOADED
 * when the keys of JWTs are unavailable.
 */
export const createAuthenticator = (
  store: PresenceStore,
  settings: AuthSettings,
  onKeysUnavailable: (error: unknown) => void,
): Authenticator => {
  const verifier = new JwtVerifier(settings, onKeysUnavailable);
  return async (authorization) => {
    if (authorization === undefined) return UNAUTHENTICATED_CALLER;
    const token = parseBearerToken(authorization);
    if (token === null) throw unauthenticatedError('Authorization must be `Bearer …`.');
    if (token.length > MAX_TOKEN_LENGTH) throw tokenTooLongError(token.length);
    // Session tokens are the most frequent, so they come first. An API key may have the format of a session token.
    const sessionCaller = hasSessionTokenPrefix(token) ? await findSessionCaller(store, token) : null;
    if (sessionCaller !== null) return sessionCaller;
    if (matchesAnyDigest(token, settings.apiKeys)) return BACKEND_CALLER;
    if (hasSessionTokenPrefix(token)) throw unauthenticatedError('The session token is not valid.');
    const userTokenVerifier = settings.userTokens?.find((each) => each.matchesFormat(token));
    const now = store.now();
    const userToken =
      userTokenVerifier === undefined
        ? await verifier.verifyToken(token, now)
        : userTokenVerifier.verifyToken(token, now);
    return createUserCaller(store, userToken);
  };
};

/** Returns the credential of a Bearer header, however long it is; null when there is none. */
export const parseBearerToken = (authorization: string | undefined): string | null => {
  const [, token] = BEARER.exec(authorization ?? '') ?? [];
  return token ?? null;
};

/** Fits into the reason of a close frame. */
const tokenTooLongError = (length: number): DomainError =>
  unauthenticatedError(
    `The token has ${length} characters, at most ${MAX_TOKEN_LENGTH} (${formatKib(MAX_TOKEN_LENGTH)}) are allowed: shorten its claim watch.`,
  );

/** Whether the credential is an API key. Reads neither the store nor the keys of JWTs. */
export const hasApiKey = (authorization: string | undefined, apiKeys: readonly Buffer[]): boolean => {
  const token = parseBearerToken(authorization);
  return token !== null && matchesAnyDigest(token, apiKeys);
};

/** Compares with every SHA-256 digest in constant time, so that the duration reveals nothing about the keys. */
export const matchesAnyDigest = (token: string, digests: readonly Buffer[]): boolean => {
  const tokenDigest = hash('sha256', token, 'buffer');
  let isMatch = false;
  for (const digest of digests) if (timingSafeEqual(tokenDigest, digest)) isMatch = true;
  return isMatch;
};

/**
 * @returns null when the token belongs to no session, neither a live one nor an ended one that is still kept.
 * @throws SESSION_ENDED
 */
const findSessionCaller = async (store: PresenceStore, token: string): Promise<Caller | null> => {
  const parsed = parseSessionToken(token);
  if (parsed === null) return null;
  const { userId, sessionId, tokenHash } = parsed;
  const session = findSession(await readUserRecord(store, userId), sessionId);
  if (session !== undefined && constantTimeEqual(session.tokenHash, tokenHash)) {
    return { kind: 'app', userId, watchScope: session.watchScope, jwt: null, sessionId };
  }
  const ended = session === undefined ? await store.findEndedSession(userId, sessionId) : null;
  if (ended !== null && constantTimeEqual(ended.session.tokenHash, tokenHash)) throw sessionEndedError(ended);
  return null;
};

/** @throws UNAUTHENTICATED for a revoked token. */
const createUserCaller = async (store: PresenceStore, token: UserToken): Promise<Caller> => {
  const { userId, watchScope, issuedAt, clockToleranceMs, expiresAt } = token;
  const user = await readUserRecord(store, userId);
  const revocation = findRevocationError(token, user.tokensRevokedBefore);
  if (revocation !== null) throw revocation;
  return { kind: 'app', userId, watchScope, jwt: { issuedAt, clockToleranceMs, expiresAt }, sessionId: null };
};

/** Returns an empty record, with version 0, for a user who has never logged in. */
export const readUserRecord = async (store: PresenceStore, id: UserId): Promise<UserRecord> => {
  const [user] = await store.readUsers([id]);
  return user ?? createUnknownUser(id, 0);
};
