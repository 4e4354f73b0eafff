/** Watches how long the JWT of an open socket or stream stays valid: until its `exp`, or until it is revoked. */
import type { AppCaller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { isTokenRevoked, tokenRevokedError } from '../../app/auth/token-revocations.ts';
import { ExpiredTokenError } from '../../app/ports/user-token.ts';
import type { DomainError } from '../../core/errors.ts';
import { readUserRecord } from './authenticate.ts';
import { setTimerAt } from './set-timer-at.ts';

/**
 * Calls `onInvalid` once, when the JWT is no longer valid. A revocation between authentication and this call is noticed
 * before the promise resolves. Resolves to the function that stops watching.
 */
export const watchJwtValidity = async (
  { store, tracker }: Application,
  userId: AppCaller['userId'],
  { issuedAt, expiresAt }: NonNullable<AppCaller['jwt']>,
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
  const cancelTimer = setTimerAt(
    () => store.now(),
    expiresAt,
    () => invalidate(new ExpiredTokenError()),
  );
  const unsubscribe = tracker.tokenRevocations.onTokensRevoked(userId, (revokedBefore) => {
    if (isTokenRevoked(issuedAt, revokedBefore)) invalidate(tokenRevokedError());
  });
  try {
    const { tokensRevokedBefore } = await readUserRecord(store, userId);
    if (isTokenRevoked(issuedAt, tokensRevokedBefore)) invalidate(tokenRevokedError());
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
};
