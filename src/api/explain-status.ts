/** `explainStatus`: explains the status of a user to operators. */
import { MAX_EXPLAINED_EVENTS, explainUser, type UserExplanation } from '../app/presence/explain-user.ts';
import type { SessionExplanation, StatusPrediction, SessionPrediction } from '../core/explain-status.ts';
import { parseUserId } from '../core/ids.ts';
import { schemaBuilder } from './builder.ts';
import { PresenceEventType } from './events.ts';
import { toLiveSessionView, SessionType, type SessionView } from './session.ts';
import { UserStatusType } from './user-status.ts';
import { EventReasonEnum, StatusEnum } from './enums.ts';

const AT_DESCRIPTION =
  'When the change is due. A time before `asOf` is overdue: the server applies it within about a second.';

const SessionDeadline = schemaBuilder.objectRef<SessionPrediction>('SessionDeadline').implement({
  description: 'The next change of a session if there is no further activity.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: AT_DESCRIPTION }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'The reason of the future event.' }),
    sessionId: t.exposeID('sessionId', { description: 'The session that changes.' }),
    becomes: t.expose('sessionStatus', {
      type: StatusEnum,
      description: 'The status of the session after the change, by the current policy. OFFLINE if the session ends.',
    }),
  }),
});

const StatusDeadline = schemaBuilder.objectRef<StatusPrediction>('StatusDeadline').implement({
  description: 'The next change of the status of a user if there is no further activity of any session.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: AT_DESCRIPTION }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'The reason of the future change.' }),
    sessionId: t.exposeID('sessionId', { description: 'The session that changes. It is the session of `decidedBy`.' }),
    becomes: t.expose('status', { type: StatusEnum, description: 'The status of the user after the change.' }),
  }),
});

interface SessionExplanationView {
  readonly view: SessionView;
  readonly next: SessionExplanation['next'];
}

const SessionExplanationType = schemaBuilder.objectRef<SessionExplanationView>('SessionExplanation').implement({
  description:
    'A live session with everything that determines its future. The timings are those of its last login or heartbeat. They may differ from the current policy.',
  fields: (t) => ({
    session: t.field({ type: SessionType, description: 'The session.', resolve: ({ view }) => view }),
    lastActivityAt: t.field({
      type: 'DateTime',
      description: 'The time of the last activity.',
      resolve: ({ view }) => view.session.lastSeenAt,
    }),
    silentSince: t.field({
      type: 'DateTime',
      description: 'When the heartbeat timeout started: at the last activity, or at a later restart of the server.',
      resolve: ({ view }) => view.session.inactiveSince,
    }),
    backgroundSince: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the background timeout started. Null in the foreground.',
      resolve: ({ view }) => view.session.backgroundSince,
    }),
    detachedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When the last WebSocket closed, during the grace period after it. Null otherwise.',
      resolve: ({ view }) => view.session.detachedAt,
    }),
    sockets: t.int({
      description: 'The number of open WebSockets of the session.',
      resolve: ({ view }) => view.session.socketIds.length,
    }),
    heartbeatIntervalMs: t.int({
      description: 'The heartbeat interval that the client received, in milliseconds.',
      resolve: ({ view }) => view.session.timings.heartbeatIntervalMs,
    }),
    heartbeatTimeoutMs: t.int({
      description: 'The session times out after this time without activity, in milliseconds.',
      resolve: ({ view }) => view.session.timings.heartbeatTimeoutMs,
    }),
    backgroundTimeoutMs: t.int({
      nullable: true,
      description: 'The session times out after this time in the background, in milliseconds. Null: never.',
      resolve: ({ view }) => view.session.timings.backgroundTimeoutMs,
    }),
    disconnectGraceMs: t.int({
      description:
        'The session is disconnected this long after its last WebSocket closed, in milliseconds. 0: at once.',
      resolve: ({ view }) => view.session.timings.disconnectGraceMs,
    }),
    nextDeadline: t.field({
      type: SessionDeadline,
      description: 'The end of the current status of the session if there is no further activity.',
      resolve: ({ next }) => next,
    }),
  }),
});

const StatusExplanationType = schemaBuilder.objectRef<UserExplanation>('StatusExplanation').implement({
  description:
    'Explains the status of a user. The record, the deadlines and the events are consistent: they describe one time.',
  fields: (t) => ({
    asOf: t.expose('now', {
      type: 'DateTime',
      description: 'The time of the explanation, by the clock of the server.',
    }),
    userStatus: t.expose('user', { type: UserStatusType, description: 'The user.' }),
    decidedBy: t.field({
      type: SessionType,
      nullable: true,
      description:
        'The session that determines the status of the user. Of several sessions with this status, it is the one that keeps it the longest without further activity. Null if the user is OFFLINE.',
      resolve: ({ user, decidedBy }) => decidedBy && toLiveSessionView(user.id, decidedBy),
    }),
    because: t.exposeString('because', {
      description:
        'The explanation in English, for people. Times are UTC, and text from devices is quoted. The wording may change, so programs should read the other fields.',
    }),
    sessions: t.field({
      type: [SessionExplanationType],
      description: 'The live sessions of the user, in the order of their logins.',
      resolve: ({ user, sessions }) =>
        sessions.map(({ session, next }) => ({ view: toLiveSessionView(user.id, session), next })),
    }),
    nextDeadline: t.expose('next', {
      type: SessionDeadline,
      nullable: true,
      description: 'The earliest deadline of all sessions. Null without a session.',
    }),
    nextStatusChange: t.expose('nextStatus', {
      type: StatusDeadline,
      nullable: true,
      description:
        'The next change of the status without further activity. It takes earlier deadlines of other sessions into account. Null if the user is OFFLINE.',
    }),
    events: t.expose('events', {
      type: [PresenceEventType],
      description: `The last ${MAX_EXPLAINED_EVENTS} events of the user, as far as they are kept, the newest first.`,
    }),
  }),
});

schemaBuilder.queryField('explainStatus', (t) =>
  t.field({
    type: StatusExplanationType,
    access: 'backend',
    description:
      'Explains the status of a user: the session that determines it, the next deadlines and the last events. A user without any login is not an error. The query does not count as activity. Requires an API key.',
    args: { userId: t.arg.id({ required: true, description: 'The user: 1 to 128 characters.' }) },
    resolve: (_root, { userId }, { application }) => explainUser(application.store, parseUserId(userId)),
  }),
);
