/** `heartbeat`: reports activity and the app state, and returns the current timings. */
import { requireSession } from '../app/auth/caller.ts';
import { schemaBuilder } from './builder.ts';
import { toLiveSessionView, SessionType, type SessionView } from './session.ts';
import { AppStateEnum } from './enums.ts';

const HeartbeatInput = schemaBuilder.inputType('HeartbeatInput', {
  description: 'The state of the app.',
  fields: (t) => ({
    appState: t.field({
      type: AppStateEnum,
      description:
        'Send BACKGROUND when the app moves to the background, and FOREGROUND when it returns. If omitted, the state is unchanged. Heartbeats in the background do not extend the background timeout.',
    }),
  }),
});

const HeartbeatPayload = schemaBuilder.objectRef<SessionView>('HeartbeatPayload').implement({
  description: 'The result of `heartbeat`. A change of the policy takes effect for a session with this response.',
  fields: (t) => ({
    session: t.field({ type: SessionType, description: 'The session, which is ONLINE.', resolve: (view) => view }),
    heartbeatIntervalMs: t.int({
      description: 'The interval at which to send heartbeats from now on, in milliseconds.',
      resolve: ({ session }) => session.timings.heartbeatIntervalMs,
    }),
    heartbeatTimeoutMs: t.int({
      description: 'The session times out after this time without activity, in milliseconds.',
      resolve: ({ session }) => session.timings.heartbeatTimeoutMs,
    }),
  }),
});

schemaBuilder.mutationField('heartbeat', (t) =>
  t.field({
    type: HeartbeatPayload,
    access: 'session',
    description:
      'Reports that the session is active. A PUSH_ONLINE session becomes ONLINE again. Requires a session token.',
    args: { input: t.arg({ type: HeartbeatInput, description: 'The state of the app. Optional.' }) },
    resolve: async (_root, { input }, { caller, application, ipAddress }) => {
      const ref = requireSession(caller);
      const { session } = await application.tracker.recordHeartbeat(ref, input?.appState ?? null, ipAddress);
      return toLiveSessionView(ref.userId, session);
    },
  }),
);
