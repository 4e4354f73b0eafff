/** Accepts a UserSig instead of a user's JWT. A UserSig has no watch scope, so the setting `visibility` decides. */
import { ExpiredTokenError, type UserTokenVerifier } from '../app/ports/user-token.ts';
import { unauthenticatedError } from '../core/errors.ts';
import { looksLikeUserSig, verifyUserSig, type UserSigDefect, type UserSigSettings } from './user-sig.ts';

export const createUserSigVerifier = (settings: UserSigSettings): UserTokenVerifier => ({
  matchesFormat: looksLikeUserSig,
  verifyToken: (token, now) => {
    const userSig = verifyUserSig(token, settings, now);
    if (userSig === 'EXPIRED') throw new ExpiredTokenError();
    if (typeof userSig === 'string') throw unauthenticatedError(MESSAGE_BY_DEFECT[userSig]);
    return { ...userSig, watchScope: null };
  },
});

const MESSAGE_BY_DEFECT: Readonly<Record<Exclude<UserSigDefect, 'EXPIRED'>, string>> = {
  // Any token without a dot looks like a UserSig, so these two do not mention it.
  MALFORMED: 'The token is not valid.',
  BAD_SIGNATURE: 'The token is not valid.',
  WRONG_APP: 'The UserSig belongs to another SDKAppID.',
  ISSUED_IN_FUTURE: 'The UserSig was issued in the future.',
};
