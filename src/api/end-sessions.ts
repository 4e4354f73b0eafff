/** `endSessions`: a backend ends sessions of a user. */
import { parseSessionId, parseUserId } from '../core/ids.ts';
import type { UserRecord } from '../core/records.ts';
import { schemaBuilder } from './builder.ts';
import { toEndedSessionViews, SessionType, type SessionView } from './session.ts';
import { UserStatusType } from './user-status.ts';
import { PlatformEnum } from './enums.ts';

const EndSessionsInput = schemaBuilder.inputType('EndSessionsInput', {
  description: 'Selects all sessions of a user, the sessions on one platform, or one session.',
  fields: (t) => ({
    userId: t.id({ required: true, description: 'The user whose sessions end: 1 to 128 characters.' }),
    platform: t.field({ type: PlatformEnum, description: 'Only sessions on this platform. Null: all platforms.' }),
    sessionId: t.id({ description: 'Only this session. If `platform` is set too, the session must match both.' }),
    revokeTokens: t.boolean({
      defaultValue: false,
      description:
        'Whether to also refuse the JWTs of the user that were issued before now. Their clock may be ahead, so those issued less than PORCHLIGHT_JWT_CLOCK_TOLERANCE from now are refused too.',
    }),
  }),
});

interface EndSessionsResult {
  readonly ended: readonly SessionView[];
  readonly userStatus: UserRecord;
}

const EndSessionsPayload = schemaBuilder.objectRef<EndSessionsResult>('EndSessionsPayload').implement({
  description: 'The result of `endSessions`.',
  fields: (t) => ({
    ended: t.expose('ended', {
      type: [SessionType],
      description:
        'The sessions that ended with the reason REVOKED. Empty if no session matched, which is not an error.',
    }),
    userStatus: t.expose('userStatus', { type: UserStatusType, description: 'The user after the change.' }),
  }),
});

schemaBuilder.mutationField('endSessions', (t) =>
  t.field({
    type: EndSessionsPayload,
    access: 'backend',
    description:
      'Ends sessions of a user with the reason REVOKED. Afterwards their tokens are answered SESSION_ENDED, and their WebSockets are closed. Requires an API key.',
    args: { input: t.arg({ type: EndSessionsInput, required: true, description: 'The sessions to end.' }) },
    resolve: async (_root, { input }, { application }) => {
      const userId = parseUserId(input.userId);
      const revokeTokens = input.revokeTokens ?? false;
      const { user, ended } = await application.tracker.endSessions(
        userId,
        {
          platform: input.platform ?? null,
          sessionId: input.sessionId == null ? null : parseSessionId(input.sessionId),
        },
        revokeTokens,
      );
      application.operatorLog.sessionsEnded({ userId, count: ended.length, revokedTokens: revokeTokens });
      return { ended: toEndedSessionViews(userId, ended), userStatus: user };
    },
  }),
);
