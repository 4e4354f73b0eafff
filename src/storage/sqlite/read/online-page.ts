/** Pages of who is online: the file knows the order of the ids, memory knows the users. */
import type { OnlinePage, OnlineQuery } from '../../../app/ports/presence-store.ts';
import type { UserRecord } from '../../../core/records.ts';
import type { Present } from '../../memory/active-users.ts';
import type { Reader } from './reader.ts';
import { turn } from '../../yield-to-event-loop.ts';

const LOOKED_AT_ONCE = 512;

/** @param checkOpen throws once the store is closed; asked again after every pause. */
export const onlinePage = async (
  query: OnlineQuery,
  reader: Reader,
  present: Present,
  checkOpen: () => void,
): Promise<OnlinePage> => {
  const { status, platform, limit } = query;
  const users: UserRecord[] = [];
  // A filter that few pass may mean looking at everybody: others get their turn in between.
  for (let after = query.after; ; await turn()) {
    checkOpen();
    const ids = reader.presentIds(after, LOOKED_AT_ONCE, status, platform);
    for (const id of ids) {
      // The file may be ahead of what was told; what memory has is what holds.
      const user = present.get(id);
      if (user === undefined || !matches(user, query)) continue;
      if (users.length >= limit) return { users, hasMore: true };
      users.push(user);
    }
    const last = ids.at(-1);
    if (last === undefined || ids.length < LOOKED_AT_ONCE) return { users, hasMore: false };
    after = last;
  }
};

const matches = (user: UserRecord, { status, platform }: OnlineQuery): boolean =>
  (status === undefined || user.status === status) &&
  (platform === undefined || user.sessions.some((session) => session.platform === platform));
