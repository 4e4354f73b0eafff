/** An explanation in one English sentence or two, for whoever answers the telephone. The same facts give the same text. */
import type { StatusExplanation, StatusPrediction } from './explain-status.ts';
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
    return 'OFFLINE because nothing is known of this user: never logged in, or so long OFFLINE as to be forgotten.';
  }
  const seen = lastSeenAt === null ? '' : `; the last sign of life was at ${formatIso(lastSeenAt)}`;
  return `OFFLINE because the last session ended at ${formatIso(changedAt)}, ${formatAge(changedAt, now)} (${reason})${seen}.`;
};

const describeSession = (session: SessionRecord, now: Millis): string => {
  const device = `${session.platform} device ${quoteText(session.deviceId)}`;
  const seen = `gave its last sign of life ${formatAge(session.lastSeenAt, now)}`;
  if (session.status === 'PUSH_ONLINE') {
    return `${device}, logged in at ${formatIso(session.loggedInAt)}, is not connected but did not log out, and ${seen}`;
  }
  const restart =
    session.inactiveSince > session.lastSeenAt
      ? `, counted anew since the restart at ${formatIso(session.inactiveSince)}`
      : '';
  const sockets = session.socketIds.length === 0 ? 'no socket' : formatCount(session.socketIds.length, 'socket');
  return `${device} logged in at ${formatIso(session.loggedInAt)}, has ${sockets} open and ${seen}${restart}`;
};

const describePrediction = (
  session: SessionRecord,
  { at, reason, sessionStatus, status }: StatusPrediction,
  now: Millis,
): string => {
  const comes = `${sessionStatus === 'OFFLINE' ? 'ends' : `becomes ${sessionStatus}`} (${reason})`;
  const then = `it ${comes} and the user is ${status}`;
  const since = describeTimeoutStart(session, reason);
  if (at <= now)
    return `${since}its time was up at ${formatIso(at)}, ${formatAge(at, now)}: ${then} as soon as the timer comes by`;
  const unless = reason === 'BACKGROUND_TIMEOUT' ? 'comes to the foreground' : 'is heard again';
  return `${since}unless it ${unless} by ${formatIso(at)}, ${then}`;
};

const describeTimeoutStart = (
  { backgroundSince, detachedAt }: SessionRecord,
  reason: StatusPrediction['reason'],
): string => {
  if (reason === 'BACKGROUND_TIMEOUT' && backgroundSince !== null)
    return `in background since ${formatIso(backgroundSince)}, `;
  if (reason === 'DISCONNECT' && detachedAt !== null) return `its last socket closed at ${formatIso(detachedAt)}, `;
  return '';
};

const formatCount = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

const formatIso = (moment: Millis): string => new Date(moment).toISOString();

const UNITS = [
  [86_400_000, 'days'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
] as const;

/** In whole units, of which there are two at least: 119 s, then 2 min. Below a second: milliseconds. */
const formatAge = (moment: Millis, now: Millis): string => {
  const passed = Math.max(0, now - moment);
  for (const [unit, name] of UNITS) {
    if (passed >= (unit === 1_000 ? unit : 2 * unit)) return `${Math.floor(passed / unit)} ${name} ago`;
  }
  return `${passed} ms ago`;
};
