/** A backend ends sessions. */
import { parseSessionId as checkedSessionId, parseUserId as checkedUserId } from '../core/ids.ts';
import type { UserRecord } from '../core/records.ts';
import { builder } from './builder.ts';
import { viewEndedSessions, Session, type SessionView } from './session.ts';
import { UserStatus } from './user-status.ts';
import { PlatformEnum } from './enums.ts';

const EndSessionsInput = builder.inputType('EndSessionsInput', {
  description: 'All sessions of the user, or those of one platform, or one.',
  fields: (t) => ({
    userId: t.id({ required: true, description: 'Whose sessions.' }),
    platform: t.field({ type: PlatformEnum, description: 'Only those on this platform.' }),
    sessionId: t.id({ description: 'Only this one. With `platform` it must match both.' }),
    revokeTokens: t.boolean({
      defaultValue: false,
      description: 'Also refuse the user’s JWTs issued before now.',
    }),
  }),
});

interface Ended {
  readonly ended: readonly SessionView[];
  readonly userStatus: UserRecord;
}

const EndSessionsPayload = builder.objectRef<Ended>('EndSessionsPayload').implement({
  description: 'What was ended, and what is left.',
  fields: (t) => ({
    ended: t.expose('ended', {
      type: [Session],
      description: 'The sessions this ended as REVOKED; none where none matched, which is no error.',
    }),
    userStatus: t.expose('userStatus', { type: UserStatus, description: 'The user after it.' }),
  }),
});

builder.mutationField('endSessions', (t) =>
  t.field({
    type: EndSessionsPayload,
    access: 'backend',
    description: 'Ends sessions of a user as REVOKED. Their tokens are answered SESSION_ENDED, their sockets closed.',
    args: { input: t.arg({ type: EndSessionsInput, required: true, description: 'Which sessions.' }) },
    resolve: async (_root, { input }, { application: porchlight }) => {
      const userId = checkedUserId(input.userId);
      const { user, ended } = await porchlight.tracker.endSessions(
        userId,
        {
          platform: input.platform ?? null,
          sessionId: input.sessionId == null ? null : checkedSessionId(input.sessionId),
        },
        input.revokeTokens ?? false,
      );
      return { ended: viewEndedSessions(userId, ended), userStatus: user };
    },
  }),
);
