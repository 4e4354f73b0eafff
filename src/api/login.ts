/** Logging in: a session begins. */
import { requireJwtCaller } from '../app/auth/caller.ts';
import { parseDeviceId, validateVersionText } from '../core/ids.ts';
import { builder } from './builder.ts';
import { viewEndedSessions, viewLiveSession, Session, type SessionView } from './session.ts';
import { PlatformEnum } from './enums.ts';

const LoginInput = builder.inputType('LoginInput', {
  description: 'The device that logs in.',
  fields: (t) => ({
    platform: t.field({ type: PlatformEnum, required: true, description: 'What the device runs.' }),
    deviceId: t.id({
      description:
        'The device’s own lasting id, 1 to 128 characters. Logging in with it again replaces its session. Left out, the device is a new one, whose id is made and returned.',
    }),
    appVersion: t.string({ description: 'Version of the app, at most 128 characters; shown with the session.' }),
    osVersion: t.string({
      description: 'Version of the operating system, at most 128 characters; shown with the session.',
    }),
  }),
});

interface LoggedIn {
  readonly session: SessionView;
  readonly sessionToken: string;
  readonly kicked: readonly SessionView[];
}

const LoginPayload = builder.objectRef<LoggedIn>('LoginPayload').implement({
  description: 'The new session.',
  fields: (t) => ({
    session: t.expose('session', { type: Session, description: 'The session that has begun.' }),
    sessionToken: t.exposeString('sessionToken', {
      description:
        'Shown once. Send it as `Authorization: Bearer …`, or as `authorization` in the connection parameters of a WebSocket.',
    }),
    heartbeatIntervalMs: t.int({
      description: 'Beat this often, in milliseconds.',
      resolve: ({ session }) => session.session.timings.heartbeatIntervalMs,
    }),
    heartbeatTimeoutMs: t.int({
      description: 'After this long without a sign of life, in milliseconds, the session times out.',
      resolve: ({ session }) => session.session.timings.heartbeatTimeoutMs,
    }),
    kicked: t.expose('kicked', {
      type: [Session],
      description: 'Sessions that this login ended as KICKED; a replaced one is not listed.',
    }),
  }),
});

builder.mutationField('login', (t) =>
  t.field({
    type: LoginPayload,
    access: 'user',
    description:
      'Begins a session, with a user’s JWT. Made over a WebSocket it attaches that socket to the new session. Sessions that may not exist beside it end as KICKED.',
    args: { input: t.arg({ type: LoginInput, required: true, description: 'The device that logs in.' }) },
    resolve: async (_root, { input }, { caller, application: porchlight, ipAddress, socket: link }) => {
      const { userId, watchScope: watch, jwt } = requireJwtCaller(caller);
      const request = {
        platform: input.platform,
        deviceId: input.deviceId == null ? null : parseDeviceId(input.deviceId),
        appVersion: input.appVersion == null ? null : validateVersionText(input.appVersion, 'appVersion'),
        osVersion: input.osVersion == null ? null : validateVersionText(input.osVersion, 'osVersion'),
      };
      const {
        session,
        sessionToken,
        kickedSessions: kicked,
      } = await porchlight.tracker.login(
        userId,
        watch,
        request,
        { ipAddress, socketId: link?.id ?? null },
        jwt?.issuedAt ?? null,
      );
      link?.attachSession(session.id);
      return { session: viewLiveSession(userId, session), sessionToken, kicked: viewEndedSessions(userId, kicked) };
    },
  }),
);
