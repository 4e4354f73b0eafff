/** `login`: starts a session. */
import { requireJwtCaller } from '../app/auth/caller.ts';
import { parseDeviceId } from '../core/ids.ts';
import { validateOptionalText } from '../core/texts.ts';
import { schemaBuilder } from './builder.ts';
import { toEndedSessionViews, toLiveSessionView, SessionType, type SessionView } from './session.ts';
import { PlatformEnum } from './enums.ts';

const LoginInput = schemaBuilder.inputType('LoginInput', {
  description: 'The device that logs in.',
  fields: (t) => ({
    platform: t.field({ type: PlatformEnum, required: true, description: 'The platform of the device.' }),
    deviceId: t.id({
      description:
        'A permanent id of the device, 1 to 128 characters without control characters. A login with the same id replaces its earlier session. If omitted, the server creates an id and returns it.',
    }),
    appVersion: t.string({
      description:
        'The version of the app, at most 128 characters without control characters. It is shown with the session.',
    }),
    osVersion: t.string({
      description:
        'The version of the operating system, at most 128 characters without control characters. It is shown with the session.',
    }),
  }),
});

interface LoginResult {
  readonly session: SessionView;
  readonly sessionToken: string;
  readonly kicked: readonly SessionView[];
}

const LoginPayload = schemaBuilder.objectRef<LoginResult>('LoginPayload').implement({
  description: 'The result of `login`.',
  fields: (t) => ({
    session: t.expose('session', { type: SessionType, description: 'The new session.' }),
    sessionToken: t.exposeString('sessionToken', {
      description:
        'The token of the session. It is returned only here. Send it as the header `Authorization: Bearer …`, or as `authorization` in the connection parameters of a WebSocket.',
    }),
    heartbeatIntervalMs: t.int({
      description: 'The interval at which to send heartbeats, in milliseconds.',
      resolve: ({ session }) => session.session.timings.heartbeatIntervalMs,
    }),
    heartbeatTimeoutMs: t.int({
      description: 'The session times out after this time without activity, in milliseconds.',
      resolve: ({ session }) => session.session.timings.heartbeatTimeoutMs,
    }),
    kicked: t.expose('kicked', {
      type: [SessionType],
      description: 'The sessions that this login ended with the reason KICKED. A replaced session is not listed.',
    }),
  }),
});

schemaBuilder.mutationField('login', (t) =>
  t.field({
    type: LoginPayload,
    access: 'jwt',
    description:
      'Starts a session. Over a WebSocket, it also attaches the socket to the session. Sessions that the policy does not allow at the same time end with the reason KICKED. Requires a user token (JWT).',
    args: { input: t.arg({ type: LoginInput, required: true, description: 'The device that logs in.' }) },
    resolve: async (_root, { input }, { caller, application, ipAddress, socket }) => {
      const { userId, watchScope, jwt } = requireJwtCaller(caller);
      const request = {
        platform: input.platform,
        deviceId: input.deviceId == null ? null : parseDeviceId(input.deviceId),
        appVersion: validateOptionalText('appVersion', input.appVersion),
        osVersion: validateOptionalText('osVersion', input.osVersion),
      };
      const { session, sessionToken, kickedSessions } = await application.tracker.login(
        userId,
        watchScope,
        request,
        { ipAddress, socketId: socket?.id ?? null },
        jwt,
      );
      socket?.attachSession(session.id);
      return {
        session: toLiveSessionView(userId, session),
        sessionToken,
        kicked: toEndedSessionViews(userId, kickedSessions),
      };
    },
  }),
);
