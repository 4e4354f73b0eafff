/** Reads pages of online users. The file provides the order of ids, memory the records. */
import type { OnlineUsersPage, OnlineUsersQuery } from '../../../app/ports/presence-store.ts';
import type { UserRecord } from '../../../core/records.ts';
import type { ActiveUsers } from '../../memory/active-users.ts';
import type { DatabaseReader } from './reader.ts';
import { yieldToEventLoop } from '../../yield-to-event-loop.ts';

const IDS_PER_READ = 512;

/** @param assertOpen throws after the store was closed. Called again after each pause. */
export const readOnlinePage = async (
  query: OnlineUsersQuery,
  reader: DatabaseReader,
  activeUsers: ActiveUsers,
  assertOpen: () => void,
): Promise<OnlineUsersPage> => {
  const { status, platform, limit } = query;
  const users: UserRecord[] = [];
  // A selective filter may require examining all users. Other work runs in between.
  for (let after = query.after; ; await yieldToEventLoop()) {
    assertOpen();
    const ids = reader.listActiveUserIds(after, IDS_PER_READ, status, platform);
    for (const id of ids) {
      // The file may be ahead of what is published. The record in memory is authoritative.
      const user = activeUsers.getUser(id);
      if (user === undefined || !matchesQuery(user, query)) continue;
      if (users.length >= limit) return { users, hasMore: true };
      users.push(user);
    }
    const last = ids.at(-1);
    if (last === undefined || ids.length < IDS_PER_READ) return { users, hasMore: false };
    after = last;
  }
};

const matchesQuery = (user: UserRecord, { status, platform }: OnlineUsersQuery): boolean =>
  (status === undefined || user.status === status) &&
  (platform === undefined || user.sessions.some((session) => session.platform === platform));
