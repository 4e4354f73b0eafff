/** An explanation in one English sentence or two, for whoever answers the telephone. The same facts give the same text. */
import type { Explanation, Prediction } from './explain-status.ts';
import type { Millis } from './ids.ts';
import { quoted } from './quote.ts';
import type { SessionRecord, UserRecord } from './records.ts';

export const because = ({ user, now, decidedBy, nextStatus }: Explanation): string => {
  if (decidedBy === null || nextStatus === null) return offlineBecause(user, now);
  const others = user.sessions.filter((other) => other !== decidedBy && other.status === user.status).length;
  return [
    `${user.status} because ${present(decidedBy, now)}; ${outlook(decidedBy, nextStatus, now)}.`,
    ...(others === 0 ? [] : [`${counted(others, 'other session')} would not keep the user ${user.status} longer.`]),
  ].join(' ');
};

const offlineBecause = ({ version, changedAt, reason, lastSeenAt }: UserRecord, now: Millis): string => {
  if (version === 0 || changedAt === null) {
    return 'OFFLINE because nothing is known of this user: never logged in, or so long OFFLINE as to be forgotten.';
  }
  const seen = lastSeenAt === null ? '' : `; the last sign of life was at ${iso(lastSeenAt)}`;
  return `OFFLINE because the last session ended at ${iso(changedAt)}, ${ago(changedAt, now)} (${reason})${seen}.`;
};

const present = (session: SessionRecord, now: Millis): string => {
  const device = `${session.platform} device ${quoted(session.deviceId)}`;
  const seen = `gave its last sign of life ${ago(session.lastSeenAt, now)}`;
  if (session.status === 'PUSH_ONLINE') {
    return `${device}, logged in at ${iso(session.loggedInAt)}, is not connected but did not log out, and ${seen}`;
  }
  const restart =
    session.aliveAt > session.lastSeenAt ? `, counted anew since the restart at ${iso(session.aliveAt)}` : '';
  const sockets = session.links.length === 0 ? 'no socket' : counted(session.links.length, 'socket');
  return `${device} logged in at ${iso(session.loggedInAt)}, has ${sockets} open and ${seen}${restart}`;
};

const outlook = (session: SessionRecord, { at, reason, sessionStatus, status }: Prediction, now: Millis): string => {
  const comes = `${sessionStatus === 'OFFLINE' ? 'ends' : `becomes ${sessionStatus}`} (${reason})`;
  const then = `it ${comes} and the user is ${status}`;
  const since = sinceWhen(session, reason);
  if (at <= now) return `${since}its time was up at ${iso(at)}, ${ago(at, now)}: ${then} as soon as the timer comes by`;
  const unless = reason === 'BACKGROUND_TIMEOUT' ? 'comes to the foreground' : 'is heard again';
  return `${since}unless it ${unless} by ${iso(at)}, ${then}`;
};

const sinceWhen = ({ backgroundSince, detachedAt }: SessionRecord, reason: Prediction['reason']): string => {
  if (reason === 'BACKGROUND_TIMEOUT' && backgroundSince !== null)
    return `in background since ${iso(backgroundSince)}, `;
  if (reason === 'DISCONNECT' && detachedAt !== null) return `its last socket closed at ${iso(detachedAt)}, `;
  return '';
};

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

const iso = (moment: Millis): string => new Date(moment).toISOString();

const UNITS = [
  [86_400_000, 'days'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
] as const;

/** In whole units, of which there are two at least: 119 s, then 2 min. Below a second: milliseconds. */
const ago = (moment: Millis, now: Millis): string => {
  const passed = Math.max(0, now - moment);
  for (const [unit, name] of UNITS) {
    if (passed >= (unit === 1_000 ? unit : 2 * unit)) return `${Math.floor(passed / unit)} ${name} ago`;
  }
  return `${passed} ms ago`;
};
