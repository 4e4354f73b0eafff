/** `logout`: a session ends itself. */
import { requireSession } from '../app/auth/caller.ts';
import type { UserRecord } from '../core/records.ts';
import { schemaBuilder } from './builder.ts';
import { UserStatusType } from './user-status.ts';

const LogoutPayload = schemaBuilder.objectRef<UserRecord>('LogoutPayload').implement({
  description: 'The result of `logout`.',
  fields: (t) => ({
    userStatus: t.field({
      type: UserStatusType,
      description: 'The user after the logout: OFFLINE, unless another session of the user is live.',
      resolve: (user) => user,
    }),
  }),
});

schemaBuilder.mutationField('logout', (t) =>
  t.field({
    type: LogoutPayload,
    access: 'session',
    description:
      'Ends the session of the caller. Afterwards its token is answered SESSION_ENDED, and its WebSockets are closed. Requires a session token.',
    resolve: async (_root, _args, { caller, application }) =>
      (await application.tracker.logout(requireSession(caller))).user,
  }),
);
