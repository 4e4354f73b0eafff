/** A UserSig in the place of a user's JWT. It says nothing of whom its user may see: the setting `visibility` does. */
import { ExpiredToken, type UserTokenKind } from '../app/ports/user-token.ts';
import { unauthenticated } from '../core/errors.ts';
import { looksLikeUserSig, readUserSig, type UserSigFlaw, type UserSigSettings } from './user-sig.ts';

export const userSigTokens = (settings: UserSigSettings): UserTokenKind => ({
  isOne: looksLikeUserSig,
  verify: (token, now) => {
    const sig = readUserSig(token, settings, now);
    if (sig === 'EXPIRED') throw new ExpiredToken();
    if (typeof sig === 'string') throw unauthenticated(WHY[sig]);
    return { ...sig, watch: null };
  },
});

const WHY: Readonly<Record<Exclude<UserSigFlaw, 'EXPIRED'>, string>> = {
  // It need not have been meant for one: whatever has no dot looks like it.
  MALFORMED: 'The token is not valid.',
  UNSIGNED: 'The token is not valid.',
  OTHER_APP: 'The UserSig is of another SDKAppID.',
  EARLY: 'The UserSig is of a time that is yet to come.',
};
