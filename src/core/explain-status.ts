/**
 * Explains a user's status: which session determines it, and what happens next without further activity. Predictions
 * apply `expire` to a copy of the record, so they cannot disagree with the state machine.
 */
import { computeSessionDeadline, computeUserDeadline } from './deadlines.ts';
import type { EventReason, Status } from './enums.ts';
import type { Millis, SessionId } from './ids.ts';
import type { Policy } from './policy.ts';
import { NO_PAUSES, type ProcessPauses } from './process-pauses.ts';
import { findSession, type SessionRecord, type UserRecord } from './records.ts';
import { applyCommand } from './state-machine.ts';

/** The next change of the user's status, if there is no activity before it. */
export interface StatusPrediction {
  /** May be in the past: the deadline has passed, and the timer has not applied it yet. */
  readonly at: Millis;
  /** The reason of the event that will be logged. */
  readonly reason: EventReason;
  /** The session that changes. */
  readonly sessionId: SessionId;
  /** The status of that session afterwards; OFFLINE: it has ended. */
  readonly sessionStatus: Status;
  /** The status of the user afterwards, with everything else that is due by then. */
  readonly status: Status;
}

export interface SessionExplanation {
  readonly session: SessionRecord;
  /** The end of its current status, if there is no activity and no other command ends it earlier. */
  readonly next: SessionPrediction;
}

export type SessionPrediction = Omit<StatusPrediction, 'status'>;

export interface StatusExplanation {
  readonly user: UserRecord;
  readonly now: Millis;
  /**
   * The session that determines the user's status: of the sessions with that status, the one that keeps it the longest.
   * Null when the user is OFFLINE.
   */
  readonly decidedBy: SessionRecord | null;
  readonly sessions: readonly SessionExplanation[];
  /** The earliest predicted change of any session; null without sessions. */
  readonly next: SessionPrediction | null;
  /** The earliest predicted change of the user's status, a change of `decidedBy`. Null when the user is OFFLINE. */
  readonly nextStatus: StatusPrediction | null;
}

/** The inputs that all predictions of one explanation share. */
interface PredictionContext {
  readonly policy: Policy;
  readonly now: Millis;
  readonly pauses: ProcessPauses;
}

export const explainStatus = (
  user: UserRecord,
  policy: Policy,
  now: Millis,
  pauses: ProcessPauses = NO_PAUSES,
): StatusExplanation => {
  const context = { policy, now, pauses };
  const sessions = user.sessions.map((session) => ({ session, next: predictSession(user, session, context) }));
  const nextStatus = predictStatusChange(user, context);
  return {
    user,
    now,
    decidedBy: nextStatus === null ? null : (findSession(user, nextStatus.sessionId) ?? null),
    sessions,
    next: findEarliest(sessions.map(({ next }) => next)),
    nextStatus,
  };
};

/** Predicts as if the user had only this session: a timeout of one session does not depend on the others. */
const predictSession = (user: UserRecord, session: SessionRecord, context: PredictionContext): SessionPrediction => {
  const { at } = computeSessionDeadline(session, context.pauses);
  const alone = { ...user, status: session.status, sessions: [session] };
  const [change] = expireAt(alone, at, context).changes;
  const [event] = change?.events ?? [];
  if (event === undefined) throw new Error('A deadline has passed and no event followed.');
  return { at, reason: event.reason, sessionId: session.id, sessionStatus: event.sessionStatus };
};

/** Applies one deadline after another until the user's status changes. */
const predictStatusChange = (user: UserRecord, context: PredictionContext): StatusPrediction | null => {
  for (let current = user; ;) {
    const due = computeUserDeadline(current, context.pauses);
    if (due === null) return null;
    const { user: after, changes } = expireAt(current, due, context);
    const [event] = changes.find(({ statusChange }) => statusChange !== null)?.events ?? [];
    const session = event && findSession(current, event.sessionId);
    if (event !== undefined && session !== undefined) {
      const { reason, sessionId, sessionStatus } = event;
      return {
        at: computeSessionDeadline(session, context.pauses).at,
        reason,
        sessionId,
        sessionStatus,
        status: after.status,
      };
    }
    // Without a change the loop would not end.
    if (changes.length === 0) throw new Error('A deadline has passed and no event followed.');
    current = after;
  }
};

/** Never applies a time in the past: an overdue deadline takes effect now. */
const expireAt = (user: UserRecord, due: Millis, { policy, now, pauses }: PredictionContext) =>
  applyCommand(user, { type: 'expire' }, policy, due > now ? due : now, pauses);

const findEarliest = (predictions: readonly SessionPrediction[]): SessionPrediction | null =>
  predictions.reduce<SessionPrediction | null>(
    (first, other) => (first === null || other.at < first.at ? other : first),
    null,
  );
