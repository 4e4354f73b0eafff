/** Pages of who is online: the file knows the order of the ids, memory knows the users. */
import type { OnlineUsersPage, OnlineUsersQuery } from '../../../app/ports/presence-store.ts';
import type { UserRecord } from '../../../core/records.ts';
import type { ActiveUsers } from '../../memory/active-users.ts';
import type { DatabaseReader } from './reader.ts';
import { yieldToEventLoop } from '../../yield-to-event-loop.ts';

const IDS_PER_READ = 512;

/** @param assertOpen throws once the store is closed; asked again after every pause. */
export const readOnlinePage = async (
  query: OnlineUsersQuery,
  reader: DatabaseReader,
  activeUsers: ActiveUsers,
  assertOpen: () => void,
): Promise<OnlineUsersPage> => {
  const { status, platform, limit } = query;
  const users: UserRecord[] = [];
  // A filter that few pass may mean looking at everybody: others get their turn in between.
  for (let after = query.after; ; await yieldToEventLoop()) {
    assertOpen();
    const ids = reader.listActiveUserIds(after, IDS_PER_READ, status, platform);
    for (const id of ids) {
      // The file may be ahead of what was told; what memory has is what holds.
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
