/** The present status of users. */
import { canSeeSessions } from '../app/auth/caller.ts';
import { forbiddenError } from '../core/errors.ts';
import type { UserRecord } from '../core/records.ts';
import { checkRequestedUsers } from './access-plugin.ts';
import { builder } from './builder.ts';
import { viewLiveSession, Session } from './session.ts';
import { EventReasonEnum, StatusEnum } from './enums.ts';

export const UserStatus = builder.objectRef<UserRecord>('UserStatus').implement({
  description:
    'A user as of one instant. A user Porchlight has never seen is OFFLINE with version 0; that is no error, as Porchlight keeps no accounts.',
  fields: (t) => ({
    userId: t.exposeID('id', { description: 'The user, as she was asked for.' }),
    status: t.expose('status', {
      type: StatusEnum,
      description: 'How she can be reached: the highest of her sessions.',
    }),
    version: t.exposeInt('version', {
      description: '0 for a user never seen; one higher with every change of the status or the custom text.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the status or the custom text last changed; null for a user never seen.',
    }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The last sign of life of any of her sessions; null for a user never seen.',
    }),
    customStatus: t.exposeString('customStatus', {
      nullable: true,
      description: 'The text she has set; null without one.',
    }),
    reason: t.expose('reason', {
      type: EventReasonEnum,
      nullable: true,
      description: 'Reason of the last change; null for a user never seen.',
    }),
    sessions: t.field({
      type: [Session],
      nullable: true,
      description:
        'Her live sessions, in the order of their logins. Null and a FORBIDDEN error for anyone but the user and backends.',
      resolve: (user, _args, { caller }) => {
        if (!canSeeSessions(caller, user.id)) {
          throw forbiddenError('The sessions of a user are shown to that user and to backends.');
        }
        return user.sessions.map((session) => viewLiveSession(user.id, session));
      },
    }),
  }),
});

builder.queryFields((t) => ({
  userStatus: t.field({
    type: UserStatus,
    access: 'somebody',
    description: 'The present status of one user. FORBIDDEN for one the caller may not see, whether or not she exists.',
    args: { userId: t.arg.id({ required: true, description: 'The user: 1 to 128 characters.' }) },
    resolve: async (root, { userId }, context) => {
      const [user] = await context.application.store.readUsers(checkRequestedUsers(context, [userId], root));
      if (user === undefined) throw new Error('The store answered for no user.');
      return user;
    },
  }),
  userStatuses: t.field({
    type: [UserStatus],
    access: 'somebody',
    description:
      'The present status of at most 500 users, each as of one instant. The answer has the order and length of `userIds`, duplicates and all.',
    args: {
      userIds: t.arg.idList({
        required: true,
        description: 'At most 500, in all fields of a query together; more are TOO_MANY_USERS.',
      }),
    },
    resolve: (root, { userIds }, context) =>
      context.application.store.readUsers(checkRequestedUsers(context, userIds, root)),
  }),
}));
