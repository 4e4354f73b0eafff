/** A session: one login of one device. */
import { requireSession } from '../app/auth/caller.ts';
import type { UserId } from '../core/ids.ts';
import { findSession, hasOpenSocket, type EndedSession, type SessionRecord } from '../core/records.ts';
import { builder } from './builder.ts';
import { AppStateEnum, PlatformEnum, StatusEnum } from './enums.ts';

/** A session as it is, or as it last was. */
export interface SessionView {
  readonly userId: UserId;
  readonly session: SessionRecord;
  readonly ended: boolean;
}

export const viewLiveSession = (userId: UserId, session: SessionRecord): SessionView => ({
  userId,
  session,
  ended: false,
});

export const viewEndedSessions = (userId: UserId, ended: readonly EndedSession[]): readonly SessionView[] =>
  ended.map(({ session }) => ({ userId, session, ended: true }));

export const Session = builder.objectRef<SessionView>('Session').implement({
  description: 'One login of one device of one user. It begins with `login` and ends once, for one reason, for ever.',
  fields: (t) => ({
    id: t.id({ description: 'Made by Porchlight; never used again.', resolve: ({ session }) => session.id }),
    userId: t.exposeID('userId', { description: 'Whose session it is.' }),
    platform: t.field({
      type: PlatformEnum,
      description: 'What the device runs.',
      resolve: ({ session }) => session.platform,
    }),
    deviceId: t.id({
      description: 'The device, as named at the login; made by Porchlight where the login named none.',
      resolve: ({ session }) => session.deviceId,
    }),
    status: t.field({
      type: StatusEnum,
      description: 'How this device can be reached. OFFLINE once the session has ended.',
      resolve: ({ session, ended }) => (ended ? 'OFFLINE' : session.status),
    }),
    appState: t.field({
      type: AppStateEnum,
      description: 'What the app last told of itself in a heartbeat.',
      resolve: ({ session }) => session.appState,
    }),
    attached: t.boolean({
      description: 'Is at least one WebSocket of this session open? A session that only uses HTTP never is attached.',
      resolve: ({ session, ended }) => !ended && hasOpenSocket(session),
    }),
    appVersion: t.string({
      nullable: true,
      description: 'Version of the app, as told at the login.',
      resolve: ({ session }) => session.appVersion,
    }),
    osVersion: t.string({
      nullable: true,
      description: 'Version of the operating system, as told at the login.',
      resolve: ({ session }) => session.osVersion,
    }),
    ipAddress: t.string({
      nullable: true,
      description: 'The network address it was last heard from.',
      resolve: ({ session }) => session.ipAddress,
    }),
    loggedInAt: t.field({
      type: 'DateTime',
      description: 'When it began.',
      resolve: ({ session }) => session.loggedInAt,
    }),
    lastSeenAt: t.field({
      type: 'DateTime',
      description: 'When it last gave a sign of life.',
      resolve: ({ session }) => session.lastSeenAt,
    }),
  }),
});

builder.queryField('me', (t) =>
  t.field({
    type: Session,
    access: 'self',
    description: 'The caller’s own session. UNAUTHENTICATED without one. Asking is a sign of life.',
    resolve: async (_root, _args, { caller, application: porchlight }) => {
      const ref = requireSession(caller);
      const [user] = await porchlight.store.readUsers([ref.userId]);
      const session = user && findSession(user, ref.sessionId);
      // It ended between the door and here.
      if (session === undefined) throw await porchlight.tracker.createSessionGoneError(ref);
      return viewLiveSession(ref.userId, session);
    },
  }),
);
