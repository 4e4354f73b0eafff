/** The facts that the oracle keeps of a session, and the deadlines that follow from them. */
import type { LoginCommand } from '../../../../src/core/commands.ts';
import type { DeviceId, SocketId, Millis, SessionId } from '../../../../src/core/ids.ts';
import type { ExpectedRow } from '../tables.ts';
import type { AppState, Platform } from '../../../../src/core/enums.ts';

export interface OracleSession {
  readonly id: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly login: LoginCommand;
  readonly loggedInAt: Millis;
  socketIds: SocketId[];
  /** The row of the table at the session's login or last heartbeat. */
  row: ExpectedRow;
  appState: AppState;
  backgroundSince: number | null;
  inactiveSince: number;
  lastSeenAt: Millis;
  /** When the last socket closed; null after later activity. */
  detachedAt: number | null;
  /** The expiry date; null while ONLINE. */
  pushExpiresAt: number | null;
  ipAddress: string | null;
}

type TimeoutReason = 'DISCONNECT' | 'HEARTBEAT_TIMEOUT' | 'BACKGROUND_TIMEOUT' | 'PUSH_EXPIRED';

const deadlinesOf = (session: OracleSession): readonly { reason: TimeoutReason; at: number }[] => {
  const {
    row: row,
    pushExpiresAt: pushExpiresAt,
    inactiveSince: inactiveSince,
    backgroundSince,
    detachedAt: detachedAt,
  } = session;
  if (pushExpiresAt !== null) return [{ reason: 'PUSH_EXPIRED', at: pushExpiresAt }];
  const all: { reason: TimeoutReason; at: number }[] = [
    { reason: 'HEARTBEAT_TIMEOUT', at: inactiveSince + row.timeoutMs },
  ];
  if (backgroundSince !== null && row.backgroundMs !== null) {
    all.push({ reason: 'BACKGROUND_TIMEOUT', at: backgroundSince + row.backgroundMs });
  }
  if (detachedAt !== null) all.push({ reason: 'DISCONNECT', at: detachedAt + row.graceMs });
  return all;
};

/** The earliest deadline of the session. */
export const firstDeadline = (session: OracleSession): number => Math.min(...deadlinesOf(session).map(({ at }) => at));

/** The possible reasons at the earliest deadline. If deadlines are equal, each of their reasons is correct. */
export const reasonsAtDeadline = (session: OracleSession): readonly TimeoutReason[] =>
  deadlinesOf(session)
    .filter(({ at }) => at === firstDeadline(session))
    .map(({ reason }) => reason);

/** Compares the four durations that a session receives. canBePushOnline and instances are not sent to it. */
export const areTimingsEqual = (one: ExpectedRow, other: ExpectedRow): boolean =>
  JSON.stringify([one.heartbeatMs, one.timeoutMs, one.backgroundMs, one.graceMs]) ===
  JSON.stringify([other.heartbeatMs, other.timeoutMs, other.backgroundMs, other.graceMs]);
