/** The end of a login state: of every session, and of the tokens issued until now. */
import type { ForeignAnswer } from '../app/ports/external-api.ts';
import type { Tracker } from '../app/presence/tracker.ts';
import { accountOf } from './account.ts';
import { CODE, TencentError, badParameter, success } from './errors.ts';

export const kick = async (tracker: Tracker, request: Readonly<Record<string, unknown>>): Promise<ForeignAnswer> => {
  // The older documents, and most libraries to this day, call it Identifier.
  const account = request['UserID'] ?? request['Identifier'];
  if (typeof account !== 'string') throw badParameter('UserID must be the name of an account.');
  const id = accountOf(account);
  if (id === null) throw new TencentError(CODE.NO_ACCOUNT, 'BAD_USER_INPUT', 'UserID is no account here.');
  await tracker.endSessions(id, { platform: null, sessionId: null }, true);
  return success();
};
