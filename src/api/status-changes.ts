/** `statusChanges`: watches users. */
import type { StatusChange as StatusChangeRecord } from '../core/records.ts';
import { authorizeRequestedUsers } from './access-plugin.ts';
import { schemaBuilder } from './builder.ts';
import { EventReasonEnum, PlatformEnum, StatusEnum } from './enums.ts';

const StatusChange = schemaBuilder.objectRef<StatusChangeRecord>('StatusChange').implement({
  description: 'The current status of a watched user, and the status that this watcher received before.',
  fields: (t) => ({
    userId: t.exposeID('userId', { description: 'The user.' }),
    status: t.expose('status', { type: StatusEnum, description: 'The current status.' }),
    version: t.exposeInt('version', {
      description:
        'Increases with every change of this user, and never decreases within a subscription. A slow watcher may not receive every version.',
    }),
    previousStatus: t.expose('previousStatus', {
      type: StatusEnum,
      nullable: true,
      description:
        'The status that this watcher received last. Equal to `status` if only the custom text changed. Null in the first message.',
    }),
    reason: t.expose('reason', {
      type: EventReasonEnum,
      nullable: true,
      description: 'The reason of the last change. Null for a user without any login.',
    }),
    platform: t.expose('platform', {
      type: PlatformEnum,
      nullable: true,
      description: 'The platform of the session that caused the change. Null in the first message.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the last change happened. Null for a user without any login.',
    }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The last activity of the user. Null for a user without any login.',
    }),
    customStatus: t.exposeString('customStatus', {
      nullable: true,
      description: 'The text that the user has set, or null.',
    }),
  }),
});

schemaBuilder.subscriptionField('statusChanges', (t) =>
  t.field({
    type: [StatusChange],
    access: 'authenticated',
    description:
      'Watches users. The first message is a list with the current status of all of them. Further messages contain changes. A slow watcher receives only the newest status of each user. FORBIDDEN for users that the caller may not see.',
    args: {
      userIds: t.arg.idList({
        required: true,
        description: 'At most 500 users. More are answered TOO_MANY_USERS. A user who is listed twice counts once.',
      }),
    },
    subscribe: (_root, { userIds }, context) =>
      context.application.statusWatchers.watchUsers(authorizeRequestedUsers(context, userIds), context.socket),
    resolve: (changes) => changes,
  }),
);
