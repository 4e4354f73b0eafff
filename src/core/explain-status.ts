/**
 * Why a user is shown as she is, and what time alone would do to her next. Nothing is decided here: what
 * will happen is found by letting it happen to a copy.
 */
import { computeUserDeadline, computeSessionDeadline } from './deadlines.ts';
import type { Millis, SessionId } from './ids.ts';
import type { Policy } from './policy.ts';
import { applyCommand } from './state-machine.ts';
import { findSession, type SessionRecord, type UserRecord } from './records.ts';
import { NO_PAUSES, type ProcessPauses } from './process-pauses.ts';
import type { EventReason, Status } from './enums.ts';

/** What happens at a moment unless something is heard before. */
export interface StatusPrediction {
  /** May be past: time is up then, and the timer, which is never early, has yet to notice. */
  readonly at: Millis;
  /** Why, as the event will say it. */
  readonly reason: EventReason;
  /** The session it happens to. */
  readonly sessionId: SessionId;
  /** What that session is afterwards; OFFLINE: it has ended. */
  readonly sessionStatus: Status;
  /** What the user is afterwards, by this and whatever else is due by then. */
  readonly status: Status;
}

export interface SessionExplanation {
  readonly session: SessionRecord;
  /** What ends its present status, if nothing is heard of it and nothing else ends it before. */
  readonly next: SessionPrediction;
}

export type SessionPrediction = Omit<StatusPrediction, 'status'>;

export interface StatusExplanation {
  readonly user: UserRecord;
  readonly now: Millis;
  /**
   * The session that makes the user what she is: of those that have her status, the one that would keep
   * her there the longest. Null when she is OFFLINE.
   */
  readonly decidedBy: SessionRecord | null;
  readonly sessions: readonly SessionExplanation[];
  /** The earliest moment at which time alone changes any of her sessions; null without sessions. */
  readonly next: SessionPrediction | null;
  /** The first moment at which time alone changes her status: it happens to `decidedBy`. Null when she is OFFLINE. */
  readonly nextStatus: StatusPrediction | null;
}

/** What is the same for all that is predicted at once. */
interface PredictionContext {
  readonly policy: Policy;
  readonly now: Millis;
  readonly sleeps: ProcessPauses;
}

export const explainStatus = (
  user: UserRecord,
  policy: Policy,
  now: Millis,
  sleeps: ProcessPauses = NO_PAUSES,
): StatusExplanation => {
  const instant = { policy, now, sleeps };
  const sessions = user.sessions.map((session) => ({ session, next: predictSession(user, session, instant) }));
  const nextStatus = predictStatusChange(user, instant);
  return {
    user,
    now,
    decidedBy: nextStatus === null ? null : (findSession(user, nextStatus.sessionId) ?? null),
    sessions,
    next: findEarliest(sessions.map(({ next }) => next)),
    nextStatus,
  };
};

/** As if she had this session alone: what time does to one does not depend on the others. */
const predictSession = (user: UserRecord, session: SessionRecord, instant: PredictionContext): SessionPrediction => {
  const { at } = computeSessionDeadline(session, instant.sleeps);
  const [change] = expireAt({ ...user, status: session.status, sessions: [session] }, at, instant).changes;
  const [event] = change?.events ?? [];
  if (event === undefined) throw new Error('A deadline has come and nothing happens.');
  return { at, reason: event.reason, sessionId: session.id, sessionStatus: event.sessionStatus };
};

/** Deadline after deadline, until her status is another one. */
const predictStatusChange = (user: UserRecord, instant: PredictionContext): StatusPrediction | null => {
  for (let then = user; ;) {
    const due = computeUserDeadline(then, instant.sleeps);
    if (due === null) return null;
    const { user: after, changes } = expireAt(then, due, instant);
    const [event] = changes.find(({ statusChange }) => statusChange !== null)?.events ?? [];
    const session = event && findSession(then, event.sessionId);
    if (event !== undefined && session !== undefined) {
      const { reason, sessionId, sessionStatus } = event;
      return {
        at: computeSessionDeadline(session, instant.sleeps).at,
        reason,
        sessionId,
        sessionStatus,
        status: after.status,
      };
    }
    // It would go on for ever.
    if (changes.length === 0) throw new Error('A deadline has come and nothing happens.');
    then = after;
  }
};

/** Never in the past: what is overdue happens now. */
const expireAt = (user: UserRecord, due: Millis, { policy, now, sleeps }: PredictionContext) =>
  applyCommand(user, { type: 'expire' }, policy, due > now ? due : now, sleeps);

const findEarliest = (predictions: readonly SessionPrediction[]): SessionPrediction | null =>
  predictions.reduce<SessionPrediction | null>(
    (first, other) => (first === null || other.at < first.at ? other : first),
    null,
  );
