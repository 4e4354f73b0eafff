/** Logging out: a session ends by its own wish. */
import { requireSession } from '../app/auth/caller.ts';
import type { UserRecord } from '../core/records.ts';
import { builder } from './builder.ts';
import { UserStatus } from './user-status.ts';

const LogoutPayload = builder.objectRef<UserRecord>('LogoutPayload').implement({
  description: 'What is left after the logout.',
  fields: (t) => ({
    userStatus: t.field({
      type: UserStatus,
      description: 'The user after it: OFFLINE unless another device of hers is logged in.',
      resolve: (user) => user,
    }),
  }),
});

builder.mutationField('logout', (t) =>
  t.field({
    type: LogoutPayload,
    access: 'session',
    description: 'Ends the caller’s session. Its token is answered SESSION_ENDED from then on; its sockets are closed.',
    resolve: async (_root, _args, { caller, application: porchlight }) =>
      (await porchlight.tracker.logout(requireSession(caller))).user,
  }),
);
