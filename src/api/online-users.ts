/** Who is not OFFLINE, page by page. */
import { badUserInputError } from '../core/errors.ts';
import { MAX_ID_CODE_POINTS, parseUserId, type UserId } from '../core/ids.ts';
import type { UserRecord } from '../core/records.ts';
import { builder } from './builder.ts';
import { DEFAULT_PAGE, FIRST_DESCRIPTION, PageInfo, buildPage, checkPageSize, type Page } from './paging.ts';
import { UserStatus } from './user-status.ts';
import { PlatformEnum, StatusEnum } from './enums.ts';

// A position is the last user listed: lists are ordered by id, and stay so while users come and go.
const positionOf = (id: UserId): string => Buffer.from(id, 'utf8').toString('base64url');

const MAX_POSITION_LENGTH = Math.ceil((MAX_ID_CODE_POINTS * 4 * 4) / 3);

/** @throws BAD_USER_INPUT for what is no endCursor of this list. */
const userAt = (position: string): UserId => {
  if (position.length <= MAX_POSITION_LENGTH) {
    const id = Buffer.from(position, 'base64url').toString('utf8');
    try {
      // Decoding forgives much; what does not come out again the same was not ours.
      if (positionOf(parseUserId(id)) === position) return parseUserId(id);
    } catch {
      // Not even a user id: answered below, in words that fit what was given.
    }
  }
  throw badUserInputError('after is no endCursor of this list.');
};

const UserStatusConnection = builder.objectRef<Page<UserRecord>>('UserStatusConnection').implement({
  description: 'A page of users.',
  fields: (t) => ({
    nodes: t.expose('nodes', { type: [UserStatus], description: 'The users, by id.' }),
    pageInfo: t.expose('pageInfo', { type: PageInfo, description: 'Where the page ends.' }),
  }),
});

builder.queryField('onlineUsers', (t) =>
  t.field({
    type: UserStatusConnection,
    access: 'backend',
    description:
      'Users who are ONLINE or PUSH_ONLINE, by id. Each page is as of now: who comes or goes meanwhile may be missed or not, nobody is listed twice.',
    args: {
      first: t.arg.int({ defaultValue: DEFAULT_PAGE, description: FIRST_DESCRIPTION }),
      after: t.arg.string({ description: 'The `endCursor` of the page before; without it, the first page.' }),
      status: t.arg({
        type: StatusEnum,
        description: 'Only users of this status. OFFLINE is BAD_USER_INPUT: those users are not listed.',
      }),
      platform: t.arg({ type: PlatformEnum, description: 'Only users with a live session on this platform.' }),
    },
    resolve: async (_root, { first, after, status, platform }, { application: porchlight }) => {
      const limit = checkPageSize(first);
      if (status === 'OFFLINE') throw badUserInputError('status is OFFLINE; users who are OFFLINE are not listed.');
      const { users, hasMore } = await porchlight.store.listOnlineUsers({
        after: after == null ? null : userAt(after),
        limit,
        status: status ?? undefined,
        platform: platform ?? undefined,
      });
      return buildPage(users, hasMore, after ?? null, (user) => positionOf(user.id));
    },
  }),
);
