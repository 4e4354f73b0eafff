/** `onlineUsers`: a paginated list of users who are not OFFLINE. */
import { badUserInputError } from '../core/errors.ts';
import { parseUserId, type UserId } from '../core/ids.ts';
import type { UserRecord } from '../core/records.ts';
import { MAX_ID_CODE_POINTS } from '../core/texts.ts';
import { schemaBuilder } from './builder.ts';
import {
  DEFAULT_PAGE_SIZE,
  PAGE_SIZE_DESCRIPTION,
  PageInfoType,
  buildPage,
  checkPageSize,
  type Page,
} from './paging.ts';
import { UserStatusType } from './user-status.ts';
import { PlatformEnum, StatusEnum } from './enums.ts';

/** A cursor is the id of the last listed user. The list is ordered by id, so it stays valid while users change. */
const encodeCursor = (id: UserId): string => Buffer.from(id, 'utf8').toString('base64url');

const MAX_CURSOR_LENGTH = Math.ceil((MAX_ID_CODE_POINTS * 4 * 4) / 3);

/** @throws BAD_USER_INPUT when the text is not an `endCursor` of this list. */
const decodeCursor = (text: string): UserId => {
  if (text.length <= MAX_CURSOR_LENGTH) {
    const id = Buffer.from(text, 'base64url').toString('utf8');
    try {
      // The decoder accepts invalid characters. Only a text that encodes to itself was created by this server.
      if (encodeCursor(parseUserId(id)) === text) return parseUserId(id);
    } catch {
      // Not a user id. The error below names the argument.
    }
  }
  throw badUserInputError('after must be an endCursor of this list.');
};

const UserStatusConnection = schemaBuilder.objectRef<Page<UserRecord>>('UserStatusConnection').implement({
  description: 'A page of users.',
  fields: (t) => ({
    nodes: t.expose('nodes', { type: [UserStatusType], description: 'The users, ordered by id.' }),
    pageInfo: t.expose('pageInfo', { type: PageInfoType, description: 'The end of the page.' }),
  }),
});

schemaBuilder.queryField('onlineUsers', (t) =>
  t.field({
    type: UserStatusConnection,
    access: 'backend',
    description:
      'Users who are ONLINE or PUSH_ONLINE, ordered by id. Each page shows the current state, so users whose status changes between two pages may be missed. No user is listed twice. Requires an API key.',
    args: {
      first: t.arg.int({ defaultValue: DEFAULT_PAGE_SIZE, description: PAGE_SIZE_DESCRIPTION }),
      after: t.arg.string({ description: 'The `endCursor` of the previous page. Omitted: the first page.' }),
      status: t.arg({
        type: StatusEnum,
        description:
          'Only users with this status. OFFLINE is answered BAD_USER_INPUT, because these users are not listed.',
      }),
      platform: t.arg({ type: PlatformEnum, description: 'Only users with a live session on this platform.' }),
    },
    resolve: async (_root, { first, after, status, platform }, { application }) => {
      const limit = checkPageSize(first);
      if (status === 'OFFLINE') {
        throw badUserInputError('status is OFFLINE, but must be ONLINE or PUSH_ONLINE; other users are not listed.');
      }
      const { users, hasMore } = await application.store.listOnlineUsers({
        after: after == null ? null : decodeCursor(after),
        limit,
        status: status ?? undefined,
        platform: platform ?? undefined,
      });
      return buildPage(users, hasMore, after ?? null, (user) => encodeCursor(user.id));
    },
  }),
);
