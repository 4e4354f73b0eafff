/**
 * Watches how long the JWT of an open socket or stream stays valid: until its `exp` plus the clock tolerance, or until it
 * is revoked. A new socket is accepted exactly as long, so that a client is never closed with a token that still works.
 */
import type { AppCaller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { findRevocationError } from '../../app/auth/token-revocations.ts';
import { ExpiredTokenError } from '../../app/ports/user-token.ts';
import type { DomainError } from '../../core/errors.ts';
import type { Millis } from '../../core/ids.ts';
import { readUserRecord } from './authenticate.ts';
import { setTimerAt } from './set-timer-at.ts';

/**
 * Calls `onInvalid` once, when the JWT is no longer valid. A revocation between authentication and this call is noticed
 * before the promise resolves. Resolves to the function that stops watching.
 */
export const watchJwtValidity = async (
  { store, tracker }: Application,
  userId: AppCaller['userId'],
  jwt: NonNullable<AppCaller['jwt']>,
  onInvalid: (reason: DomainError) => void,
): Promise<() => void> => {
  let isWatching = true;
  const stop = (): void => {
    isWatching = false;
    cancelTimer();
    unsubscribe();
  };
  const invalidate = (reason: DomainError): void => {
    if (!isWatching) return;
    stop();
    onInvalid(reason);
  };
  const checkRevocation = (revokedBefore: Millis | null): void => {
    const revocation = findRevocationError(jwt, revokedBefore);
    if (revocation !== null) invalidate(revocation);
  };
  const cancelTimer = setTimerAt(
    () => store.now(),
    jwt.expiresAt,
    () => invalidate(new ExpiredTokenError()),
  );
  const unsubscribe = tracker.tokenRevocations.onTokensRevoked(userId, (revokedBefore) => {
    checkRevocation(revokedBefore);
  });
  try {
    const { tokensRevokedBefore } = await readUserRecord(store, userId);
    checkRevocation(tokensRevokedBefore);
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
};
