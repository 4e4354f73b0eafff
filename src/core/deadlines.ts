/**
 * The time at which a user's record changes without a command from outside. It is a pure function of the record, so a
 * timer only has to apply `expire` at that time; a timer that fires too early changes nothing.
 */
import type { EventReason } from './enums.ts';
import { addMs, type Millis } from './ids.ts';
import { NO_PAUSES, pausedMsSince, type ProcessPauses } from './process-pauses.ts';
import type { SessionRecord, UserRecord } from './records.ts';

export interface TimeoutDeadline {
  readonly at: Millis;
  /** The reason of the event that follows. */
  readonly reason: Extract<EventReason, 'DISCONNECT' | 'HEARTBEAT_TIMEOUT' | 'BACKGROUND_TIMEOUT' | 'PUSH_EXPIRED'>;
}

/**
 * When the session times out or expires without further activity. Every session has such a time.
 * @param pauses extend each timeout by their length. An expiry date is not extended.
 */
export const computeSessionDeadline = (session: SessionRecord, pauses: ProcessPauses = NO_PAUSES): TimeoutDeadline => {
  if (session.status === 'PUSH_ONLINE') {
    return { at: session.pushExpiresAt ?? session.lastSeenAt, reason: 'PUSH_EXPIRED' };
  }
  const { heartbeatTimeoutMs, backgroundTimeoutMs, disconnectGraceMs } = session.timings;
  let first: TimeoutDeadline = {
    at: deadlineAfter(session.inactiveSince, heartbeatTimeoutMs, pauses),
    reason: 'HEARTBEAT_TIMEOUT',
  };
  if (session.backgroundSince !== null && backgroundTimeoutMs !== null) {
    const at = deadlineAfter(session.backgroundSince, backgroundTimeoutMs, pauses);
    if (at < first.at) first = { at, reason: 'BACKGROUND_TIMEOUT' };
  }
  if (session.detachedAt !== null) {
    const at = deadlineAfter(session.detachedAt, disconnectGraceMs, pauses);
    if (at < first.at) first = { at, reason: 'DISCONNECT' };
  }
  return first;
};

/** The earliest deadline of the user's sessions; null without sessions. */
export const computeUserDeadline = (user: UserRecord, pauses: ProcessPauses = NO_PAUSES): Millis | null => {
  let first: Millis | null = null;
  for (const session of user.sessions) {
    const { at } = computeSessionDeadline(session, pauses);
    if (first === null || at < first) first = at;
  }
  return first;
};

/** The end of a timeout that started at `since`, extended by the known process pauses. */
const deadlineAfter = (since: Millis, timeoutMs: number, pauses: ProcessPauses): Millis =>
  addMs(since, timeoutMs + pausedMsSince(pauses, since));
