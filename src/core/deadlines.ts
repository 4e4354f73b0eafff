/**
 * When time itself will change a user: a pure function of the record, so that a timer need only
 * wake somebody up, and may do so too often.
 */
import { later, type Millis } from './ids.ts';
import type { SessionRecord, UserRecord } from './records.ts';
import { NO_SLEEPS, sleptSince, type ProcessPauses } from './process-pauses.ts';
import type { EventReason } from './enums.ts';

export interface Deadline {
  readonly at: Millis;
  readonly cause: Extract<EventReason, 'DISCONNECT' | 'HEARTBEAT_TIMEOUT' | 'BACKGROUND_TIMEOUT' | 'PUSH_EXPIRED'>;
}

/**
 * What ends a session's present status if nothing is heard of it. Every session has such a moment.
 * @param sleeps do not count: each of the timeouts is as much later. An expiry date is a date.
 */
export const sessionDeadline = (session: SessionRecord, sleeps: ProcessPauses = NO_SLEEPS): Deadline => {
  if (session.status === 'PUSH_ONLINE') {
    return { at: session.pushExpiresAt ?? session.lastSeenAt, cause: 'PUSH_EXPIRED' };
  }
  const { heartbeatTimeoutMs, backgroundTimeoutMs, disconnectGraceMs } = session.timings;
  let first: Deadline = {
    at: awakeFor(session.aliveAt, heartbeatTimeoutMs, sleeps),
    cause: 'HEARTBEAT_TIMEOUT',
  };
  if (session.backgroundSince !== null && backgroundTimeoutMs !== null) {
    const at = awakeFor(session.backgroundSince, backgroundTimeoutMs, sleeps);
    if (at < first.at) first = { at, cause: 'BACKGROUND_TIMEOUT' };
  }
  if (session.detachedAt !== null) {
    const at = awakeFor(session.detachedAt, disconnectGraceMs, sleeps);
    if (at < first.at) first = { at, cause: 'DISCONNECT' };
  }
  return first;
};

/** When this user must be looked at next; null when no session is left that time could change. */
export const deadline = (user: UserRecord, sleeps: ProcessPauses = NO_SLEEPS): Millis | null => {
  let first: Millis | null = null;
  for (const session of user.sessions) {
    const { at } = sessionDeadline(session, sleeps);
    if (first === null || at < first) first = at;
  }
  return first;
};

/** When the server has been awake for so long since that moment, as far as is known by now. */
const awakeFor = (since: Millis, ms: number, sleeps: ProcessPauses): Millis =>
  later(since, ms + sleptSince(sleeps, since));
