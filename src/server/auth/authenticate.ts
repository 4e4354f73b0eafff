/** Who is asking: the one place that answers it, for both doors. */
import { hash, timingSafeEqual } from 'node:crypto';
import { BACKEND, NOBODY, type Caller } from '../../app/auth/caller.ts';
import type { PresenceStore } from '../../app/ports/presence-store.ts';
import { isRevoked, revoked } from '../../app/auth/token-revocations.ts';
import { sessionEnded } from '../../app/presence/tracker.ts';
import type { UserToken, UserTokenKind } from '../../app/ports/user-token.ts';
import { unauthenticated } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import { findSession, unknownUser, type UserRecord } from '../../core/records.ts';
import { JwtVerifier, type JwtSettings } from './jwt.ts';
import { sameText } from './constant-time-equal.ts';
import { looksLikeSessionToken, readSessionToken } from './session-token.ts';

export interface AuthSettings extends JwtSettings {
  /** SHA-256 of each key's UTF-8 bytes. */
  readonly apiKeys: readonly Buffer[];
  /** What vouches for users beside JWTs; left out, nothing does. */
  readonly userTokens?: readonly UserTokenKind[];
}

export type Authenticate = (authorization: string | undefined) => Promise<Caller>;

/** The scheme's case is free (RFC 9110); the credential's is not. */
const BEARER = /^Bearer +([^\s]+)$/i;
const LONGEST = 8_192;

/**
 * @returns a function that knows the caller by the `authorization` she sent; none at all is NOBODY.
 * It throws SESSION_ENDED, UNAUTHENTICATED (an `ExpiredToken` when a user's token is merely too old), or
 * OVERLOADED when the keys of JWTs cannot be had.
 */
export const createAuthenticate = (
  store: PresenceStore,
  settings: AuthSettings,
  onKeysUnavailable: (error: unknown) => void,
): Authenticate => {
  const verifier = new JwtVerifier(settings, onKeysUnavailable);
  return async (authorization) => {
    if (authorization === undefined) return NOBODY;
    const token = bearerOf(authorization);
    if (token === null) throw unauthenticated('Authorization must be `Bearer …`.');
    // The most frequent ones first. Somebody's API key may look like a session token, down to the last letter.
    const session = looksLikeSessionToken(token) ? await sessionCaller(store, token) : null;
    if (session !== null) return session;
    if (isOneOf(token, settings.apiKeys)) return BACKEND;
    if (looksLikeSessionToken(token)) throw unauthenticated('The session token is not valid.');
    const kind = settings.userTokens?.find((each) => each.isOne(token));
    const now = store.now();
    return callerOf(store, kind === undefined ? await verifier.verify(token, now) : kind.verify(token, now));
  };
};

/** The credential; null when it is none, or too long to be one. */
export const bearerOf = (authorization: string | undefined): string | null => {
  const [, token] = BEARER.exec(authorization ?? '') ?? [];
  return token === undefined || token.length > LONGEST ? null : token;
};

/** Is it an API key? Told without a look at the store, or at what signs JWTs. */
export const isBackend = (authorization: string | undefined, apiKeys: readonly Buffer[]): boolean => {
  const token = bearerOf(authorization);
  return token !== null && isOneOf(token, apiKeys);
};

/** Compares with every digest (SHA-256), so that the time taken does not tell which one was nearly right. */
export const isOneOf = (token: string, digests: readonly Buffer[]): boolean => {
  const digest = hash('sha256', token, 'buffer');
  let found = false;
  for (const known of digests) if (timingSafeEqual(digest, known)) found = true;
  return found;
};

/** Null when it is no token of a session that is, or is remembered. */
const sessionCaller = async (store: PresenceStore, token: string): Promise<Caller | null> => {
  const claim = readSessionToken(token);
  if (claim === null) return null;
  const { userId, sessionId, tokenHash } = claim;
  const session = findSession(await readUser(store, userId), sessionId);
  if (session !== undefined && sameText(session.tokenHash, tokenHash)) {
    return { kind: 'app', userId, watch: session.watch, jwt: null, sessionId };
  }
  const ended = session === undefined ? await store.findEnded(userId, sessionId) : null;
  if (ended !== null && sameText(ended.session.tokenHash, tokenHash)) throw sessionEnded(ended);
  return null;
};

/** @throws UNAUTHENTICATED for a token that is revoked. */
const callerOf = async (store: PresenceStore, token: UserToken): Promise<Caller> => {
  const { userId, watch, issuedAt, expiresAt } = token;
  const user = await readUser(store, userId);
  if (isRevoked(issuedAt, user.tokensRevokedBefore)) throw revoked();
  return { kind: 'app', userId, watch, jwt: { issuedAt, expiresAt }, sessionId: null };
};

export const readUser = async (store: PresenceStore, id: UserId): Promise<UserRecord> => {
  const [user] = await store.read([id]);
  return user ?? unknownUser(id, 0);
};
