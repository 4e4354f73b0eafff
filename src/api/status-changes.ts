/** Watching users. */
import type { StatusChange as StatusChangeRecord } from '../core/records.ts';
import { checkRequestedUsers } from './access-plugin.ts';
import { builder } from './builder.ts';
import { EventReasonEnum, PlatformEnum, StatusEnum } from './enums.ts';

const StatusChange = builder.objectRef<StatusChangeRecord>('StatusChange').implement({
  description: 'What a watcher is told of a user: the status as it is now, and what it was when she was last told.',
  fields: (t) => ({
    userId: t.exposeID('userId', { description: 'The user.' }),
    status: t.expose('status', { type: StatusEnum, description: 'The status from now on.' }),
    version: t.exposeInt('version', {
      description:
        'Grows with every change of this user and never goes back within a subscription; a slow watcher may miss some.',
    }),
    previousStatus: t.expose('previousStatus', {
      type: StatusEnum,
      nullable: true,
      description:
        'What this watcher was last told. The same as `status` where only the custom text changed. Null in the first message, which is no change.',
    }),
    reason: t.expose('reason', {
      type: EventReasonEnum,
      nullable: true,
      description: 'Why the status is what it is; null for a user never seen.',
    }),
    platform: t.expose('platform', {
      type: PlatformEnum,
      nullable: true,
      description: 'The platform of the session that made the change; null in the first message.',
    }),
    changedAt: t.expose('changedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it changed; null for a user never seen.',
    }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description: 'The user’s last sign of life; null for a user never seen.',
    }),
    customStatus: t.exposeString('customStatus', { nullable: true, description: 'The text she has set, if any.' }),
  }),
});

builder.subscriptionField('statusChanges', (t) =>
  t.field({
    type: [StatusChange],
    access: 'somebody',
    description:
      'First the present status of all of them, in one list; then the changes, in lists, as they come. A slow watcher is told the newest status of each user.',
    args: {
      userIds: t.arg.idList({
        required: true,
        description: 'At most 500; more are TOO_MANY_USERS. Naming a user twice is naming her once.',
      }),
    },
    subscribe: (_root, { userIds }, context) =>
      context.application.statusWatchers.watchUsers(checkRequestedUsers(context, userIds), context.socket),
    resolve: (changes) => changes,
  }),
);
