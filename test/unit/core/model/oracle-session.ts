/** The facts the oracle keeps of a session, and the dates that follow from them. */
import type { LoginCommand } from '../../../../src/core/commands.ts';
import type { DeviceId, SocketId, Millis, SessionId } from '../../../../src/core/ids.ts';
import type { Row } from '../tables.ts';
import type { AppState, Platform } from '../../../../src/core/enums.ts';

export interface OracleSession {
  readonly id: SessionId;
  readonly platform: Platform;
  readonly deviceId: DeviceId;
  readonly login: LoginCommand;
  readonly loggedInAt: Millis;
  links: SocketId[];
  /** The row of the table as it was when the session last logged in or beat. */
  told: Row;
  appState: AppState;
  backgroundSince: number | null;
  silentSince: number;
  seenAt: Millis;
  /** When the last socket closed, while nothing was heard since. */
  gone: number | null;
  /** The expiry date; null while ONLINE. */
  pushEnds: number | null;
  ipAddress: string | null;
}

type Cause = 'DISCONNECT' | 'HEARTBEAT_TIMEOUT' | 'BACKGROUND_TIMEOUT' | 'PUSH_EXPIRED';

const dates = (session: OracleSession): readonly { cause: Cause; at: number }[] => {
  const { told, pushEnds, silentSince, backgroundSince, gone } = session;
  if (pushEnds !== null) return [{ cause: 'PUSH_EXPIRED', at: pushEnds }];
  const all: { cause: Cause; at: number }[] = [{ cause: 'HEARTBEAT_TIMEOUT', at: silentSince + told.silent }];
  if (backgroundSince !== null && told.background !== null) {
    all.push({ cause: 'BACKGROUND_TIMEOUT', at: backgroundSince + told.background });
  }
  if (gone !== null) all.push({ cause: 'DISCONNECT', at: gone + told.grace });
  return all;
};

/** When time itself will change the session. */
export const firstDate = (session: OracleSession): number => Math.min(...dates(session).map(({ at }) => at));

/** Why it will; more than one when they fall into the same instant, and then any of them is right. */
export const causesOf = (session: OracleSession): readonly Cause[] =>
  dates(session)
    .filter(({ at }) => at === firstDate(session))
    .map(({ cause }) => cause);

/** The four durations a session is told; whether it can be PUSH_ONLINE and its instances are not told. */
export const sameTold = (one: Row, other: Row): boolean =>
  JSON.stringify([one.every, one.silent, one.background, one.grace]) ===
  JSON.stringify([other.every, other.silent, other.background, other.grace]);
