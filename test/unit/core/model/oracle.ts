/**
 * The oracle: computes the expected outcome of each command as simply as possible, with a few mutable facts per session.
 * It shares no code with the state machine, only the types of its inputs and outputs.
 */
import type { Command, LoginCommand } from '../../../../src/core/commands.ts';
import type { SocketId, Millis, SessionId, UserId } from '../../../../src/core/ids.ts';
import type { UserChange, PresenceEvent } from '../../../../src/core/records.ts';
import type { ExpectedRow } from '../tables.ts';
import { reasonsAtDeadline, firstDeadline, areTimingsEqual, type OracleSession } from './oracle-session.ts';
import type { OraclePolicy } from './oracle-policy.ts';
import type { AppState, EventReason, Platform, Status } from '../../../../src/core/enums.ts';

/** An expected event of one session. */
interface ExpectedEvent {
  readonly session: OracleSession;
  readonly reason: EventReason;
  readonly sessionStatus: Status;
  readonly kickedBy?: Platform;
  readonly lostSocketIds?: readonly SocketId[];
}

export interface ExpectedOutcome {
  readonly changes: readonly UserChange[];
  readonly session: SessionId | null;
  readonly mustBeDurable: boolean;
}

export class OracleUser {
  readonly id: UserId;
  sessions: OracleSession[] = [];
  status: Status = 'OFFLINE';
  version = 0;
  /** Versions up to here were used before the record of the user was removed. */
  versionFloor: number;
  customStatus: string | null = null;
  changedAt: Millis | null = null;
  reason: EventReason | null = null;
  lastSeenAt: Millis | null = null;
  tokensRevokedBefore: Millis | null = null;
  #policy!: OraclePolicy;
  #now!: Millis;
  #changes: UserChange[] = [];
  #mustBeDurable = false;

  constructor(id: UserId, floor: number) {
    this.id = id;
    this.versionFloor = floor;
  }

  /** @param actual the changes of the state machine. They decide only the order of sessions with equal deadlines. */
  expectOutcome(command: Command, policy: OraclePolicy, now: Millis, actual: readonly UserChange[]): ExpectedOutcome {
    this.#policy = policy;
    this.#now = now;
    this.#changes = [];
    this.#mustBeDurable = false;
    // A session ends at its expiry date, even if the command would have kept it.
    this.#expireDue((session) => session.pushExpiresAt !== null, actual);
    const session = this.#applyCommand(command, actual);
    return { changes: this.#changes, session, mustBeDurable: this.#mustBeDurable || this.#changes.length > 0 };
  }

  restart(now: Millis): void {
    for (const session of this.sessions.filter(({ pushExpiresAt }) => pushExpiresAt === null)) {
      session.socketIds = [];
      session.detachedAt = null;
      session.inactiveSince = now;
      if (session.appState === 'BACKGROUND') session.backgroundSince = now;
    }
  }

  /** Extends all timeouts by the length of a process pause. Expiry dates do not change. */
  extendTimeouts(ms: number): void {
    for (const session of this.sessions) {
      session.inactiveSince += ms;
      if (session.backgroundSince !== null) session.backgroundSince += ms;
      if (session.detachedAt !== null) session.detachedAt += ms;
    }
  }

  #applyCommand(command: Command, actual: readonly UserChange[]): SessionId | null {
    if (command.type === 'login') return this.#login(command);
    if (command.type === 'expire') {
      this.#expireDue(() => true, actual);
      return null;
    }
    if (command.type === 'endSessions') {
      const matching = this.sessions.filter(
        ({ platform, id }) => [platform, null].includes(command.platform) && [id, null].includes(command.sessionId),
      );
      if (matching.length > 0)
        this.#endAll(
          matching.map((session) => ({
            session,
            reason: 'REVOKED',
            sessionStatus: 'OFFLINE',
            lostSocketIds: session.socketIds,
          })),
        );
      if (command.revokeTokens) {
        this.tokensRevokedBefore = this.#now;
        this.#mustBeDurable = true;
      }
      return null;
    }
    if (command.type === 'detachSocket') return this.#detach(command.socketId, command.closedByServer);

    const session = this.sessions.find(({ id }) => id === command.sessionId);
    if (!session) return null;
    if (command.type === 'logout') {
      this.#recordSeen(session);
      this.#endAll([{ session, reason: 'LOGOUT', sessionStatus: 'OFFLINE', lostSocketIds: session.socketIds }]);
    } else if (command.type === 'heartbeat') {
      this.#recordActivity(session, command.ipAddress);
      this.#applyHeartbeat(session, command.appState);
    } else if (command.type === 'attachSocket') {
      session.socketIds.push(command.socketId);
      this.#recordActivity(session, command.ipAddress);
    } else if (command.type === 'setCustomStatus') {
      this.#recordActivity(session, null);
      if (command.text !== this.customStatus) {
        this.customStatus = command.text;
        this.#addChange([{ session, reason: 'CUSTOM_STATUS', sessionStatus: this.status }], true);
      }
    } else if (command.socketId === null || session.socketIds.includes(command.socketId)) {
      this.#recordActivity(session, command.ipAddress);
    }
    return session.id;
  }

  #login(command: LoginCommand): SessionId {
    // The socket now belongs to the new session.
    for (const session of this.sessions)
      session.socketIds = session.socketIds.filter((link) => link !== command.socketId);
    const replaced = this.sessions.filter((s) => s.platform === command.platform && s.deviceId === command.deviceId);
    const { groupOf, rows } = this.#policy;
    const kicked = this.sessions.filter(
      (s) => s.platform !== command.platform && groupOf[s.platform] === groupOf[command.platform],
    );
    const siblings = this.sessions.filter((s) => s.platform === command.platform && !replaced.includes(s));
    while (siblings.length + 1 > rows[command.platform].instances) {
      const oldest = siblings.shift();
      if (oldest) kicked.push(oldest);
    }
    this.sessions = this.sessions.filter((s) => !replaced.includes(s) && !kicked.includes(s));
    const session: OracleSession = {
      id: command.sessionId,
      platform: command.platform,
      deviceId: command.deviceId,
      login: command,
      loggedInAt: this.#now,
      socketIds: command.socketId === null ? [] : [command.socketId],
      row: rows[command.platform],
      appState: 'FOREGROUND',
      backgroundSince: null,
      inactiveSince: this.#now,
      lastSeenAt: this.#now,
      detachedAt: null,
      pushExpiresAt: null,
      ipAddress: command.ipAddress,
    };
    this.sessions.push(session);
    this.#recordSeen(session);
    this.#addChange([
      { session, reason: 'LOGIN', sessionStatus: 'ONLINE' },
      ...kicked.map((ended): ExpectedEvent => ({
        session: ended,
        reason: 'KICKED',
        sessionStatus: 'OFFLINE',
        kickedBy: command.platform,
        lostSocketIds: ended.socketIds,
      })),
      ...replaced.map((ended): ExpectedEvent => ({
        session: ended,
        reason: 'REPLACED',
        sessionStatus: 'OFFLINE',
        lostSocketIds: ended.socketIds,
      })),
    ]);
    return session.id;
  }

  #detach(link: SocketId, closedByServer: boolean): SessionId | null {
    const session = this.sessions.find(({ socketIds: links }) => links.includes(link));
    if (!session) return null;
    session.socketIds = session.socketIds.filter((other) => other !== link);
    if (session.socketIds.length === 0 && !closedByServer) {
      if (session.row.graceMs === 0) this.#disconnect(session, 'DISCONNECT');
      else session.detachedAt = this.#now;
    }
    return session.id;
  }

  #recordSeen(session: OracleSession): void {
    session.lastSeenAt = this.#now;
    this.lastSeenAt = this.#now;
  }

  #recordActivity(session: OracleSession, ipAddress: string | null): void {
    this.#recordSeen(session);
    session.inactiveSince = this.#now;
    session.detachedAt = null;
    if (ipAddress !== null) session.ipAddress = ipAddress;
    if (session.pushExpiresAt === null) return;
    session.pushExpiresAt = null;
    // The session reconnects in the background: the background timeout restarts.
    if (session.appState === 'BACKGROUND') session.backgroundSince = this.#now;
    this.#addChange([{ session, reason: 'RECONNECT', sessionStatus: 'ONLINE' }]);
  }

  #applyHeartbeat(session: OracleSession, appState: AppState | null): void {
    if (appState === 'BACKGROUND' && session.appState === 'FOREGROUND') session.backgroundSince = this.#now;
    if (appState !== null) session.appState = appState;
    if (session.appState === 'FOREGROUND') session.backgroundSince = null;
    const row: ExpectedRow = this.#policy.rows[session.platform];
    if (!areTimingsEqual(row, session.row)) this.#mustBeDurable = true;
    session.row = row;
  }

  /** Applies all deadlines that have passed, the earliest first. */
  #expireDue(isIncluded: (session: OracleSession) => boolean, actual: readonly UserChange[]): void {
    for (;;) {
      const due = this.sessions.filter((session) => isIncluded(session) && firstDeadline(session) <= this.#now);
      if (due.length === 0) return;
      const earliest = Math.min(...due.map(firstDeadline));
      const first = due.filter((session) => firstDeadline(session) === earliest);
      const named = actual[this.#changes.length]?.events[0];
      const session = first.find(({ id }) => id === named?.sessionId) ?? first[0];
      if (!session) return;
      const causes = reasonsAtDeadline(session);
      const reason = causes.find((cause) => cause === named?.reason) ?? causes[0];
      if (!reason) return;
      if (reason === 'PUSH_EXPIRED')
        this.#endAll([{ session, reason, sessionStatus: 'OFFLINE', lostSocketIds: session.socketIds }]);
      else this.#disconnect(session, reason);
    }
  }

  #disconnect(session: OracleSession, reason: EventReason): void {
    const lostSocketIds = session.socketIds;
    session.socketIds = [];
    if (!this.#policy.rows[session.platform].canBePushOnline) {
      this.#endAll([{ session, reason, sessionStatus: 'OFFLINE', lostSocketIds }]);
      return;
    }
    session.detachedAt = null;
    session.backgroundSince = null;
    session.pushExpiresAt = this.#now + this.#policy.pushExpiryMs;
    this.#addChange([{ session, reason, sessionStatus: 'PUSH_ONLINE', lostSocketIds }]);
  }

  #endAll(expected: readonly ExpectedEvent[]): void {
    this.sessions = this.sessions.filter((session) => !expected.some((event) => event.session === session));
    this.#addChange(expected);
  }

  #addChange(expected: readonly ExpectedEvent[], isTextChanged = false): void {
    const before = this.status;
    this.status = this.sessions.some((s) => s.pushExpiresAt === null)
      ? 'ONLINE'
      : this.sessions.length > 0
        ? 'PUSH_ONLINE'
        : 'OFFLINE';
    if (this.status === 'OFFLINE') this.customStatus = null;
    const first = expected[0];
    const isChange = this.status !== before || isTextChanged;
    if (isChange) {
      this.version = 1 + Math.max(this.versionFloor, this.version);
      this.changedAt = this.#now;
      this.reason = first?.reason ?? null;
    }
    const events = expected.map(({ session, reason, sessionStatus, kickedBy }, index): PresenceEvent => ({
      userId: this.id,
      sessionId: session.id,
      platform: session.platform,
      deviceId: session.deviceId,
      reason,
      sessionStatus:
        sessionStatus === 'OFFLINE' ? 'OFFLINE' : session.pushExpiresAt === null ? 'ONLINE' : 'PUSH_ONLINE',
      previousStatus: index === 0 ? before : this.status,
      status: this.status,
      version: this.version,
      kickedBy: kickedBy ?? null,
      customStatus: this.customStatus,
      ipAddress: session.ipAddress,
      occurredAt: this.#now,
    }));
    const statusChange = {
      userId: this.id,
      status: this.status,
      version: this.version,
      previousStatus: before,
      reason: this.reason,
      platform: first?.session.platform ?? null,
      changedAt: this.changedAt,
      lastSeenAt: this.lastSeenAt,
      customStatus: this.customStatus,
    };
    const lostSockets = expected.flatMap(({ session, reason, sessionStatus, lostSocketIds }) =>
      (lostSocketIds ?? []).map((socketId) => ({
        socketId,
        sessionId: session.id,
        reason,
        isSessionEnded: sessionStatus === 'OFFLINE',
      })),
    );
    this.#changes.push({ events, statusChange: isChange ? statusChange : null, lostSockets });
  }
}
