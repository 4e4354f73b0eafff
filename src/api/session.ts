/** The type `Session`, and `me`. */
import { requireSession } from '../app/auth/caller.ts';
import type { UserId } from '../core/ids.ts';
import { findSession, hasOpenSocket, type EndedSession, type SessionRecord } from '../core/records.ts';
import { schemaBuilder } from './builder.ts';
import { AppStateEnum, PlatformEnum, StatusEnum } from './enums.ts';

/** A live session, or the last record of an ended one. */
export interface SessionView {
  readonly userId: UserId;
  readonly session: SessionRecord;
  readonly ended: boolean;
}

export const toLiveSessionView = (userId: UserId, session: SessionRecord): SessionView => ({
  userId,
  session,
  ended: false,
});

export const toEndedSessionViews = (userId: UserId, ended: readonly EndedSession[]): readonly SessionView[] =>
  ended.map(({ session }) => ({ userId, session, ended: true }));

export const SessionType = schemaBuilder.objectRef<SessionView>('Session').implement({
  description: 'One login of one device of a user. It starts with `login`, and ends once with one reason.',
  fields: (t) => ({
    id: t.id({
      description: 'Created by the server. It is never used for another session.',
      resolve: ({ session }) => session.id,
    }),
    userId: t.exposeID('userId', { description: 'The user of the session.' }),
    platform: t.field({
      type: PlatformEnum,
      description: 'The platform of the device.',
      resolve: ({ session }) => session.platform,
    }),
    deviceId: t.id({
      description: 'The device id from the login. The server created it if the login had none.',
      resolve: ({ session }) => session.deviceId,
    }),
    status: t.field({
      type: StatusEnum,
      description: 'The status of this device. OFFLINE after the session has ended.',
      resolve: ({ session, ended }) => (ended ? 'OFFLINE' : session.status),
    }),
    appState: t.field({
      type: AppStateEnum,
      description: 'The app state from the last heartbeat that contained one.',
      resolve: ({ session }) => session.appState,
    }),
    attached: t.boolean({
      description:
        'Whether at least one WebSocket of this session is open. Always false for a session that only uses HTTP.',
      resolve: ({ session, ended }) => !ended && hasOpenSocket(session),
    }),
    appVersion: t.string({
      nullable: true,
      description: 'The version of the app from the login, or null.',
      resolve: ({ session }) => session.appVersion,
    }),
    osVersion: t.string({
      nullable: true,
      description: 'The version of the operating system from the login, or null.',
      resolve: ({ session }) => session.osVersion,
    }),
    ipAddress: t.string({
      nullable: true,
      description: 'The network address of the last activity. Null if it is unknown.',
      resolve: ({ session }) => session.ipAddress,
    }),
    loggedInAt: t.field({
      type: 'DateTime',
      description: 'When the session started.',
      resolve: ({ session }) => session.loggedInAt,
    }),
    lastSeenAt: t.field({
      type: 'DateTime',
      description: 'The time of the last activity.',
      resolve: ({ session }) => session.lastSeenAt,
    }),
  }),
});

schemaBuilder.queryField('me', (t) =>
  t.field({
    type: SessionType,
    access: 'ownSession',
    description:
      'The session of the caller. The query counts as activity. A caller without a session receives UNAUTHENTICATED. Requires a session token.',
    resolve: async (_root, _args, { caller, application }) => {
      const ref = requireSession(caller);
      const [user] = await application.store.readUsers([ref.userId]);
      const session = user && findSession(user, ref.sessionId);
      // The session may end between authentication and this read.
      if (session === undefined) throw await application.tracker.createSessionGoneError(ref);
      return toLiveSessionView(ref.userId, session);
    },
  }),
);
