/** The status query: `query_online_status`, and the older `querystate`. */
import { checkUserCount } from '../app/auth/caller.ts';
import type { ForeignAnswer } from '../app/ports/external-api.ts';
import type { PresenceStore } from '../app/ports/presence-store.ts';
import type { UserId } from '../core/ids.ts';
import { highestStatus, type SessionRecord, type UserRecord } from '../core/records.ts';
import type { Status } from '../core/enums.ts';
import { accountOf } from './account.ts';
import { CODE, badParameter, success } from './errors.ts';
import { platformName, type PlatformNames } from './platforms.ts';

/** What a status is called there. */
const STATE: Readonly<Record<Status, string>> = {
  ONLINE: 'Online',
  PUSH_ONLINE: 'PushOnline',
  OFFLINE: 'Offline',
};

/**
 * A user's status is in two fields: Tencent's English page says State, the Chinese one Status, and libraries read the one
 * or the other, whichever path they ask. An answer of theirs that one of those quotes, to `querystate`, has both.
 */
export const onlineStatus = async (
  store: PresenceStore,
  request: Readonly<Record<string, unknown>>,
  names: PlatformNames,
): Promise<ForeignAnswer> => {
  const { To_Account: accounts } = request;
  // Libraries write null for what their caller left out.
  const detail = request['IsNeedDetail'] ?? 0;
  if (!isTexts(accounts) || accounts.length === 0) {
    throw badParameter('To_Account must be a list of at least one account, each of them text.');
  }
  if (detail !== 0 && detail !== 1) throw badParameter('IsNeedDetail must be 0 or 1.');
  checkUserCount(accounts.length);
  const asked: UserId[] = [];
  const errors: object[] = [];
  for (const account of accounts) {
    const id = accountOf(account);
    if (id !== null) asked.push(id);
    else errors.push({ To_Account: account, ErrorCode: CODE.NO_ACCOUNT });
  }
  const users = await store.read(asked);
  return success({
    QueryResult: users.map((user) => ({
      To_Account: user.id,
      State: STATE[user.status],
      Status: STATE[user.status],
      ...(detail === 1 && user.sessions.length > 0 ? { Detail: detailOf(user, names) } : {}),
    })),
    ErrorList: errors,
  });
};

/** Each platform once, in the order of their logins; of several sessions on it the highest status. */
const detailOf = ({ sessions }: UserRecord, names: PlatformNames): object[] => {
  const byName = new Map<string, SessionRecord[]>();
  for (const session of sessions) {
    const name = platformName(session.platform, 'QUERY', names);
    byName.set(name, [...(byName.get(name) ?? []), session]);
  }
  return Array.from(byName, ([name, on]) => ({ Platform: name, Status: STATE[highestStatus(on)] }));
};

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');
