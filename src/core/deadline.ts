/**
 * When time itself will change a user: a pure function of the record, so that a timer need only
 * wake somebody up, and may do so too often.
 */
import { later, type Millis } from './ids.ts';
import type { SessionRecord, UserRecord } from './record.ts';
import type { EventReason } from './vocabulary.ts';

export interface Deadline {
  readonly at: Millis;
  readonly cause: Extract<EventReason, 'DISCONNECT' | 'HEARTBEAT_TIMEOUT' | 'BACKGROUND_TIMEOUT' | 'PUSH_EXPIRED'>;
}

/** What ends a session's present status if nothing is heard of it. Every session has such a moment. */
export const sessionDeadline = (session: SessionRecord): Deadline => {
  if (session.status === 'PUSH_ONLINE') {
    return { at: session.pushExpiresAt ?? session.lastSeenAt, cause: 'PUSH_EXPIRED' };
  }
  const { heartbeatTimeoutMs, backgroundTimeoutMs, disconnectGraceMs } = session.timings;
  let first: Deadline = {
    at: later(session.aliveAt, heartbeatTimeoutMs),
    cause: 'HEARTBEAT_TIMEOUT',
  };
  if (session.backgroundSince !== null && backgroundTimeoutMs !== null) {
    const at = later(session.backgroundSince, backgroundTimeoutMs);
    if (at < first.at) first = { at, cause: 'BACKGROUND_TIMEOUT' };
  }
  if (session.detachedAt !== null) {
    const at = later(session.detachedAt, disconnectGraceMs);
    if (at < first.at) first = { at, cause: 'DISCONNECT' };
  }
  return first;
};

/** When this user must be looked at next; null when no session is left that time could change. */
export const deadline = (user: UserRecord): Millis | null => {
  let first: Millis | null = null;
  for (const session of user.sessions) {
    const { at } = sessionDeadline(session);
    if (first === null || at < first) first = at;
  }
  return first;
};
