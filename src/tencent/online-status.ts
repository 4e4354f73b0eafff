/** The status query: `query_online_status`, and the older `querystate`. */
import { checkUserCount } from '../app/auth/caller.ts';
import type { ExternalApiResponse } from '../app/ports/external-api.ts';
import type { PresenceStore } from '../app/ports/presence-store.ts';
import type { UserId } from '../core/ids.ts';
import { computeUserStatus, type SessionRecord, type UserRecord } from '../core/records.ts';
import type { Status } from '../core/enums.ts';
import { parseAccount } from './account.ts';
import { TENCENT_ERROR_CODE, createBadParameterError, createSuccessResponse } from './errors.ts';
import { tencentPlatformName, type PlatformNameSetting } from './platforms.ts';

/** The names of statuses in Tencent’s API. */
const TENCENT_STATUS: Readonly<Record<Status, string>> = {
  ONLINE: 'Online',
  PUSH_ONLINE: 'PushOnline',
  OFFLINE: 'Offline',
};

/**
 * The status is sent in two fields: Tencent's English page names it State, the Chinese one Status, and libraries read
 * one or the other on both paths. A response to `querystate` that a library quotes has both.
 */
export const queryOnlineStatus = async (
  store: PresenceStore,
  request: Readonly<Record<string, unknown>>,
  names: PlatformNameSetting,
): Promise<ExternalApiResponse> => {
  const { To_Account: accounts } = request;
  // Libraries send null for omitted parameters.
  const detail = request['IsNeedDetail'] ?? 0;
  if (!isStringArray(accounts) || accounts.length === 0) {
    throw createBadParameterError('To_Account must be a list of at least one account; each account is a string.');
  }
  if (detail !== 0 && detail !== 1) throw createBadParameterError('IsNeedDetail must be 0 or 1.');
  checkUserCount(accounts.length);
  const userIds: UserId[] = [];
  const errors: object[] = [];
  for (const account of accounts) {
    const id = parseAccount(account);
    if (id !== null) userIds.push(id);
    else errors.push({ To_Account: account, ErrorCode: TENCENT_ERROR_CODE.UNKNOWN_ACCOUNT });
  }
  const users = await store.readUsers(userIds);
  return createSuccessResponse({
    QueryResult: users.map((user) => ({
      To_Account: user.id,
      State: TENCENT_STATUS[user.status],
      Status: TENCENT_STATUS[user.status],
      ...(detail === 1 && user.sessions.length > 0 ? { Detail: listPlatformStatuses(user, names) } : {}),
    })),
    ErrorList: errors,
  });
};

/** One entry for each platform name, ordered by login, with the highest status of its sessions. */
const listPlatformStatuses = ({ sessions }: UserRecord, names: PlatformNameSetting): object[] => {
  const sessionsByName = new Map<string, SessionRecord[]>();
  for (const session of sessions) {
    const name = tencentPlatformName(session.platform, 'QUERY', names);
    sessionsByName.set(name, [...(sessionsByName.get(name) ?? []), session]);
  }
  return Array.from(sessionsByName, ([name, sessionsOnPlatform]) => ({
    Platform: name,
    Status: TENCENT_STATUS[computeUserStatus(sessionsOnPlatform)],
  }));
};

const isStringArray = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === 'string');
