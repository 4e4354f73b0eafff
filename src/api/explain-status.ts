/** Why a user is shown as she is: for operators and their programs. */
import { MAX_EXPLAINED_EVENTS, explainUser, type UserExplanation } from '../app/presence/explain-user.ts';
import type { SessionExplanation, StatusPrediction, SessionPrediction } from '../core/explain-status.ts';
import { parseUserId as checkedUserId } from '../core/ids.ts';
import { builder } from './builder.ts';
import { PresenceEvent } from './events.ts';
import { viewLiveSession, Session, type SessionView } from './session.ts';
import { UserStatus } from './user-status.ts';
import { EventReasonEnum, StatusEnum } from './enums.ts';

const AT =
  'When. A moment before `asOf` is overdue: it happens as soon as the timer comes by, at most about a second late.';

const SessionDeadline = builder.objectRef<SessionPrediction>('SessionDeadline').implement({
  description: 'What time alone does to a session, unless something is heard of it before.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: AT }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'The reason its event will have.' }),
    sessionId: t.exposeID('sessionId', { description: 'The session it happens to.' }),
    becomes: t.expose('sessionStatus', {
      type: StatusEnum,
      description: 'The session’s status afterwards, by the policy as it is now; OFFLINE where it ends.',
    }),
  }),
});

const StatusDeadline = builder.objectRef<StatusPrediction>('StatusDeadline').implement({
  description: 'When a user’s status changes by time alone, unless something is heard of any of her sessions before.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime', description: AT }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'The reason the change will have.' }),
    sessionId: t.exposeID('sessionId', { description: 'The session it happens to: that of `decidedBy`.' }),
    becomes: t.expose('status', { type: StatusEnum, description: 'The user’s status afterwards.' }),
  }),
});

interface Told {
  readonly view: SessionView;
  readonly next: SessionExplanation['next'];
}

const SessionExplanation = builder.objectRef<Told>('SessionExplanation').implement({
  description:
    'A live session with all that decides what becomes of it. The timings are those it was last told, which are not those of a policy changed since.',
  fields: (t) => ({
    session: t.field({ type: Session, description: 'The session.', resolve: ({ view }) => view }),
    lastSignOfLifeAt: t.field({
      type: 'DateTime',
      description: 'When it was last heard from.',
      resolve: ({ view }) => view.session.lastSeenAt,
    }),
    silentSince: t.field({
      type: 'DateTime',
      description: 'Since when its silence is counted: the last sign of life, or a restart of the server after that.',
      resolve: ({ view }) => view.session.inactiveSince,
    }),
    backgroundSince: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'Since when it has been in background, as the background limit counts; null in foreground.',
      resolve: ({ view }) => view.session.backgroundSince,
    }),
    detachedAt: t.field({
      type: 'DateTime',
      nullable: true,
      description: 'When its last socket closed, while the grace after that runs; null otherwise.',
      resolve: ({ view }) => view.session.detachedAt,
    }),
    sockets: t.int({
      description: 'Its WebSockets that are open; with none it is not attached.',
      resolve: ({ view }) => view.session.socketIds.length,
    }),
    heartbeatIntervalMs: t.int({
      description: 'It was told to beat this often, in milliseconds.',
      resolve: ({ view }) => view.session.timings.heartbeatIntervalMs,
    }),
    heartbeatTimeoutMs: t.int({
      description: 'Silent for so many milliseconds it is timed out.',
      resolve: ({ view }) => view.session.timings.heartbeatTimeoutMs,
    }),
    backgroundTimeoutMs: t.int({
      nullable: true,
      description: 'In background for so many milliseconds it is timed out; null: never.',
      resolve: ({ view }) => view.session.timings.backgroundTimeoutMs,
    }),
    disconnectGraceMs: t.int({
      description: 'So many milliseconds after its last socket closed it is disconnected; 0: at once.',
      resolve: ({ view }) => view.session.timings.disconnectGraceMs,
    }),
    nextDeadline: t.field({
      type: SessionDeadline,
      description: 'What ends its present status if nothing is heard of it.',
      resolve: ({ next }) => next,
    }),
  }),
});

const StatusExplanation = builder.objectRef<UserExplanation>('StatusExplanation').implement({
  description:
    'Why a user is shown as she is. All of it is one instant: the record, the deadlines and the events agree.',
  fields: (t) => ({
    asOf: t.expose('now', { type: 'DateTime', description: 'The instant, by the server’s clock.' }),
    userStatus: t.expose('user', { type: UserStatus, description: 'What is shown.' }),
    decidedBy: t.field({
      type: Session,
      nullable: true,
      description:
        'The session that makes her what she is: of those that have her status, the one that would keep her there the longest if nothing more were heard. Null when she is OFFLINE.',
      resolve: ({ user, decidedBy }) => decidedBy && viewLiveSession(user.id, decidedBy),
    }),
    because: t.exposeString('because', {
      description:
        'The same in English, for people. Programs read the other fields: the wording may change. Moments are UTC; text from devices is quoted.',
    }),
    sessions: t.field({
      type: [SessionExplanation],
      description: 'All her live sessions, in the order of their logins.',
      resolve: ({ user, sessions }) =>
        sessions.map(({ session, next }) => ({ view: viewLiveSession(user.id, session), next })),
    }),
    nextDeadline: t.expose('next', {
      type: SessionDeadline,
      nullable: true,
      description: 'The earliest deadline of any of her sessions; null without a session.',
    }),
    nextStatusChange: t.expose('nextStatus', {
      type: StatusDeadline,
      nullable: true,
      description:
        'When time alone would change her status, after whatever her other sessions come to before; null when she is OFFLINE.',
    }),
    events: t.expose('events', {
      type: [PresenceEvent],
      description: `Her last ${MAX_EXPLAINED_EVENTS} events, as far as events are kept, the newest first.`,
    }),
  }),
});

builder.queryField('explainStatus', (t) =>
  t.field({
    type: StatusExplanation,
    access: 'backend',
    description:
      'Why a user is shown as she is, what she is waiting for and what led to it. Of a user never seen too: that is no error. Asking is no sign of life.',
    args: { userId: t.arg.id({ required: true, description: 'The user: 1 to 128 characters.' }) },
    resolve: (_root, { userId }, { application: porchlight }) => explainUser(porchlight.store, checkedUserId(userId)),
  }),
);
