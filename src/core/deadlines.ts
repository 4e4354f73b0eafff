/**
 * When time itself will change a user: a pure function of the record, so that a timer need only
 * wake somebody up, and may do so too often.
 */
import { addMs, type Millis } from './ids.ts';
import type { SessionRecord, UserRecord } from './records.ts';
import { NO_PAUSES, pausedMsSince, type ProcessPauses } from './process-pauses.ts';
import type { EventReason } from './enums.ts';

export interface TimeoutDeadline {
  readonly at: Millis;
  readonly reason: Extract<EventReason, 'DISCONNECT' | 'HEARTBEAT_TIMEOUT' | 'BACKGROUND_TIMEOUT' | 'PUSH_EXPIRED'>;
}

/**
 * What ends a session's present status if nothing is heard of it. Every session has such a moment.
 * @param sleeps do not count: each of the timeouts is as much later. An expiry date is a date.
 */
export const computeSessionDeadline = (session: SessionRecord, sleeps: ProcessPauses = NO_PAUSES): TimeoutDeadline => {
  if (session.status === 'PUSH_ONLINE') {
    return { at: session.pushExpiresAt ?? session.lastSeenAt, reason: 'PUSH_EXPIRED' };
  }
  const { heartbeatTimeoutMs, backgroundTimeoutMs, disconnectGraceMs } = session.timings;
  let first: TimeoutDeadline = {
    at: deadlineAfter(session.inactiveSince, heartbeatTimeoutMs, sleeps),
    reason: 'HEARTBEAT_TIMEOUT',
  };
  if (session.backgroundSince !== null && backgroundTimeoutMs !== null) {
    const at = deadlineAfter(session.backgroundSince, backgroundTimeoutMs, sleeps);
    if (at < first.at) first = { at, reason: 'BACKGROUND_TIMEOUT' };
  }
  if (session.detachedAt !== null) {
    const at = deadlineAfter(session.detachedAt, disconnectGraceMs, sleeps);
    if (at < first.at) first = { at, reason: 'DISCONNECT' };
  }
  return first;
};

/** When this user must be looked at next; null when no session is left that time could change. */
export const computeUserDeadline = (user: UserRecord, sleeps: ProcessPauses = NO_PAUSES): Millis | null => {
  let first: Millis | null = null;
  for (const session of user.sessions) {
    const { at } = computeSessionDeadline(session, sleeps);
    if (first === null || at < first) first = at;
  }
  return first;
};

/** When the server has been awake for so long since that moment, as far as is known by now. */
const deadlineAfter = (since: Millis, ms: number, sleeps: ProcessPauses): Millis =>
  addMs(since, ms + pausedMsSince(sleeps, since));
