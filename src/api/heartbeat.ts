/** The sign of life that also tells, and is told, how to go on. */
import { requireSession } from '../app/auth/caller.ts';
import { builder } from './builder.ts';
import { viewLiveSession, Session, type SessionView } from './session.ts';
import { AppStateEnum } from './enums.ts';

const HeartbeatInput = builder.inputType('HeartbeatInput', {
  description: 'What the app tells of itself.',
  fields: (t) => ({
    appState: t.field({
      type: AppStateEnum,
      description:
        'Tell BACKGROUND when the app goes there and FOREGROUND when it is back. Left out, it is as it was. Beating on in background does not extend a background limit.',
    }),
  }),
});

const HeartbeatPayload = builder.objectRef<SessionView>('HeartbeatPayload').implement({
  description: 'The session, and how to go on. A changed policy reaches a session with this answer.',
  fields: (t) => ({
    session: t.field({ type: Session, description: 'The session, which is ONLINE.', resolve: (view) => view }),
    heartbeatIntervalMs: t.int({
      description: 'Beat this often from now on, in milliseconds.',
      resolve: ({ session }) => session.timings.heartbeatIntervalMs,
    }),
    heartbeatTimeoutMs: t.int({
      description: 'After this long without a sign of life, in milliseconds, the session times out.',
      resolve: ({ session }) => session.timings.heartbeatTimeoutMs,
    }),
  }),
});

builder.mutationField('heartbeat', (t) =>
  t.field({
    type: HeartbeatPayload,
    access: 'session',
    description: 'The session is alive. One that was PUSH_ONLINE is ONLINE again.',
    args: { input: t.arg({ type: HeartbeatInput, description: 'What the app tells of itself, if anything.' }) },
    resolve: async (_root, { input }, { caller, application: porchlight, ipAddress }) => {
      const ref = requireSession(caller);
      const { session } = await porchlight.tracker.recordHeartbeat(ref, input?.appState ?? null, ipAddress);
      return viewLiveSession(ref.userId, session);
    },
  }),
);
