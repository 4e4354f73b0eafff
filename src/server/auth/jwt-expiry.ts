/** How long a JWT that holds something open stays good: until its `exp`, or until it is revoked. */
import type { AppCaller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { isRevoked, revoked } from '../../app/auth/token-revocations.ts';
import { ExpiredToken } from '../../app/ports/user-token.ts';
import type { DomainError } from '../../core/errors.ts';
import { atMoment } from './set-timer-at.ts';
import { readUser } from './authenticate.ts';

/**
 * Calls `over` once, when the JWT is good no more. Resolves to the function that ends the watch; a
 * revocation that came between the authentication and this call has been noticed by then.
 */
export const watchJwt = async (
  { store, tracker }: Application,
  userId: AppCaller['userId'],
  { issuedAt, expiresAt }: NonNullable<AppCaller['jwt']>,
  over: (why: DomainError) => void,
): Promise<() => void> => {
  let watching = true;
  const stop = (): void => {
    watching = false;
    cancelExpiry();
    forget();
  };
  const tell = (why: DomainError): void => {
    if (!watching) return;
    stop();
    over(why);
  };
  const cancelExpiry = atMoment(
    () => store.now(),
    expiresAt,
    () => tell(new ExpiredToken()),
  );
  const forget = tracker.revocations.onRevoke(userId, (before) => {
    if (isRevoked(issuedAt, before)) tell(revoked());
  });
  try {
    const { tokensRevokedBefore } = await readUser(store, userId);
    if (isRevoked(issuedAt, tokensRevokedBefore)) tell(revoked());
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
};
