/** The type `UserStatus`, `userStatus` and `userStatuses`. */
import { canSeeSessions } from '../app/auth/caller.ts';
import { forbiddenError } from '../core/errors.ts';
import type { UserRecord } from '../core/records.ts';
import { authorizeRequestedUsers } from './access-plugin.ts';
import { schemaBuilder } from './builder.ts';
import { toLiveSessionView, SessionType } from './session.ts';
import { EventReasonEnum, StatusEnum } from './enums.ts';

export const UserStatusType = schemaBuilder.objectRef<UserRecord>('UserStatus').implement({
  description:
    'The state of a user at one time. Porchlight keeps no accounts: a user without any login is OFFLINE with version 0, which is not an error.',
  fields: (t) => ({
    userId: t.exposeID('id', { description: 'The user, as requested.' }),
    status: t.expose('status', {
      type: StatusEnum,
      description: 'The highest status of the sessions of the user: ONLINE, then PUSH_ONLINE, then OFFLINE.',
    }),
    version: t.exposeInt('version', {
      description:
        '0 for a user without any login. It increases by one with every change of the status or the custom text.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the status or the custom text last changed. Null for a user without any login.',
    }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The last activity of any session of the user. Null for a user without any login.',
    }),
    customStatus: t.exposeString('customStatus', {
      nullable: true,
      description: 'The text that the user has set, or null.',
    }),
    reason: t.expose('reason', {
      type: EventReasonEnum,
      nullable: true,
      description: 'The reason of the last change. Null for a user without any login.',
    }),
    sessions: t.field({
      type: [SessionType],
      nullable: true,
      description:
        'The live sessions of the user, in the order of their logins. Visible to the user and to backends. For other callers it is null, with a FORBIDDEN error.',
      resolve: (user, _args, { caller }) => {
        if (!canSeeSessions(caller, user.id)) {
          throw forbiddenError('Only the user and backends may see the sessions of a user.');
        }
        return user.sessions.map((session) => toLiveSessionView(user.id, session));
      },
    }),
  }),
});

schemaBuilder.queryFields((t) => ({
  userStatus: t.field({
    type: UserStatusType,
    access: 'authenticated',
    description:
      'The current state of one user. FORBIDDEN for a user that the caller may not see, whether or not the user has ever logged in.',
    args: { userId: t.arg.id({ required: true, description: 'The user: 1 to 128 characters.' }) },
    resolve: async (root, { userId }, context) => {
      const [user] = await context.application.store.readUsers(authorizeRequestedUsers(context, [userId], root));
      if (user === undefined) throw new Error('The store returned no record for the user.');
      return user;
    },
  }),
  userStatuses: t.field({
    type: [UserStatusType],
    access: 'authenticated',
    description:
      'The current state of up to 500 users, each at one time. The result has the order and length of `userIds`, including duplicates. FORBIDDEN if the caller may not see one of them.',
    args: {
      userIds: t.arg.idList({
        required: true,
        description: 'At most 500 users in all fields of a query together. More are answered TOO_MANY_USERS.',
      }),
    },
    resolve: (root, { userIds }, context) =>
      context.application.store.readUsers(authorizeRequestedUsers(context, userIds, root)),
  }),
}));
