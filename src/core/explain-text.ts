/** An explanation as one or two English sentences, for support staff. The same facts give the same text. */
import type { SessionPrediction, StatusExplanation, StatusPrediction } from './explain-status.ts';
import type { Millis } from './ids.ts';
import { quoteText } from './quote.ts';
import type { SessionRecord, UserRecord } from './records.ts';

export const formatExplanation = ({ user, now, decidedBy, nextStatus }: StatusExplanation): string => {
  if (decidedBy === null || nextStatus === null) return formatOffline(user, now);
  const others = user.sessions.filter((other) => other !== decidedBy && other.status === user.status).length;
  return [
    `${user.status} because ${describeSession(decidedBy, now)}; ${describePrediction(decidedBy, nextStatus, now)}.`,
    ...(others === 0 ? [] : [`${formatCount(others, 'other session')} would not keep the user ${user.status} longer.`]),
  ].join(' ');
};

const formatOffline = ({ version, changedAt, reason, lastSeenAt }: UserRecord, now: Millis): string => {
  if (version === 0 || changedAt === null) {
    return 'OFFLINE because there is no record of this user: they never logged in, or the record was removed after a long time OFFLINE.';
  }
  const seen = lastSeenAt === null ? '' : `; the last activity was at ${formatIso(lastSeenAt)}`;
  return `OFFLINE because the last session ended at ${formatIso(changedAt)}, ${formatAge(changedAt, now)} (${reason})${seen}.`;
};

const describeSession = (session: SessionRecord, now: Millis): string => {
  const device = `${session.platform} device ${quoteText(session.deviceId)}`;
  const seen = `was last active ${formatAge(session.lastSeenAt, now)}`;
  if (session.status === 'PUSH_ONLINE') {
    return `${device}, logged in at ${formatIso(session.loggedInAt)}, is not connected but did not log out, and ${seen}`;
  }
  const restart =
    session.inactiveSince > session.lastSeenAt
      ? `, its timeout restarted with the server at ${formatIso(session.inactiveSince)}`
      : '';
  const sockets = session.socketIds.length === 0 ? 'no socket' : formatCount(session.socketIds.length, 'socket');
  return `${device} logged in at ${formatIso(session.loggedInAt)}, has ${sockets} open and ${seen}${restart}`;
};

const describePrediction = (
  session: SessionRecord,
  { at, reason, sessionStatus, status }: StatusPrediction,
  now: Millis,
): string => {
  const change = `${sessionStatus === 'OFFLINE' ? 'ends' : `becomes ${sessionStatus}`} (${reason})`;
  const result = `it ${change} and the user is ${status}`;
  const since = describeTimeoutStart(session, reason);
  if (at <= now) {
    return `${since}its deadline passed at ${formatIso(at)}, ${formatAge(at, now)}: ${result} when the timer runs next`;
  }
  const condition = reason === 'BACKGROUND_TIMEOUT' ? 'comes to the foreground' : 'is active';
  return `${since}unless it ${condition} by ${formatIso(at)}, ${result}`;
};

const describeTimeoutStart = (
  { backgroundSince, detachedAt }: SessionRecord,
  reason: SessionPrediction['reason'],
): string => {
  if (reason === 'BACKGROUND_TIMEOUT' && backgroundSince !== null) {
    return `in background since ${formatIso(backgroundSince)}, `;
  }
  if (reason === 'DISCONNECT' && detachedAt !== null) return `its last socket closed at ${formatIso(detachedAt)}, `;
  return '';
};

const formatCount = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const formatIso = (moment: Millis): string => new Date(moment).toISOString();

const UNITS = [
  [86_400_000, 'days'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
] as const;

/** In whole units. A unit larger than a second needs at least two of it: 119 s, then 2 min. Below 1 s: milliseconds. */
const formatAge = (moment: Millis, now: Millis): string => {
  const passedMs = Math.max(0, now - moment);
  for (const [unitMs, name] of UNITS) {
    if (passedMs >= (unitMs === 1_000 ? unitMs : 2 * unitMs)) return `${Math.floor(passedMs / unitMs)} ${name} ago`;
  }
  return `${passedMs} ms ago`;
};
