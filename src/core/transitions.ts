/**
 * The transitions that the state machine consists of. Each of them keeps the record consistent: the sessions, the user
 * status that follows from them, and the events that describe the change.
 */
import type { LoginCommand, CommandOutcome } from './commands.ts';
import { computeUserDeadline, computeSessionDeadline } from './deadlines.ts';
import { addMs, type SocketId, type Millis, type SessionId } from './ids.ts';
import { canPlatformsCoexist, areTimingsEqual, pickTimings, type Policy, type Timings } from './policy.ts';
import {
  findSession,
  computeUserStatus,
  type UserChange,
  type EndedSession,
  type PresenceEvent,
  type SessionRecord,
  type UserRecord,
} from './records.ts';
import type { ProcessPauses } from './process-pauses.ts';
import type { AppState, EventReason, Platform, Status } from './enums.ts';

/** One event of one session within a change. */
interface SessionTransition {
  readonly session: SessionRecord;
  readonly reason: EventReason;
  readonly sessionStatus: Status;
  readonly kickedBy: Platform | null;
  /** Sockets that must be closed because of it. */
  readonly lostSocketIds: readonly SocketId[];
}

/** What is known with the activity. Omitted or null: unchanged. */
interface ActivityDetails {
  readonly ipAddress?: string | null;
  readonly socketIds?: readonly SocketId[];
  readonly appState?: AppState | null;
  /** True: the session gets the timings of the current policy. */
  readonly refreshTimings?: boolean;
}

/** Collects the effects of one command on one user: the new record, its changes and the ended sessions. */
export class TransitionBuilder {
  readonly now: Millis;
  readonly #policy: Policy;
  readonly #pauses: ProcessPauses;
  readonly #changes: UserChange[] = [];
  readonly #endedSessions: EndedSession[] = [];
  #user: UserRecord;
  #mustBeDurable = false;

  constructor(user: UserRecord, policy: Policy, now: Millis, pauses: ProcessPauses) {
    this.now = now;
    this.#pauses = pauses;
    this.#user = user;
    this.#policy = policy;
  }

  buildOutcome(session: SessionRecord | null): CommandOutcome {
    return {
      user: this.#user,
      changes: this.#changes,
      endedSessions: this.#endedSessions,
      session,
      mustBeDurable: this.#mustBeDurable || this.#changes.length > 0,
    };
  }

  /** Calls `act` with the live session; returns null if there is none with this id. */
  withSession(id: SessionId, act: (session: SessionRecord) => SessionRecord): SessionRecord | null {
    const session = findSession(this.#user, id);
    return session === undefined ? null : act(session);
  }

  /**
   * Applies the deadlines up to `by` whose reason is accepted, the earliest first. Each session is one change.
   * A session that is ended or disconnected here is not examined for a second deadline.
   */
  expireDue(applies: (reason: EventReason) => boolean, by = this.now): void {
    const first = computeUserDeadline(this.#user, this.#pauses);
    if (first === null || first > by) return;
    const due = this.#user.sessions
      .map((session) => ({ session, ...computeSessionDeadline(session, this.#pauses) }))
      .filter(({ at, reason }) => at <= by && applies(reason))
      .sort((one, other) => one.at - other.at);
    for (const { session, reason } of due) {
      if (reason === 'PUSH_EXPIRED') this.endSession(session, reason);
      else this.#disconnectSession(session, reason);
    }
  }

  /** Login: replaces the session of the same device, and kicks the sessions that the policy excludes. */
  addSession(command: LoginCommand): SessionRecord {
    const platformPolicy = this.#policy.platforms[command.platform];
    const replaced = this.#user.sessions.filter(
      (session) => session.platform === command.platform && session.deviceId === command.deviceId,
    );
    const others = this.#user.sessions.filter((session) => !replaced.includes(session));
    const excluded = others.filter(
      (session) =>
        session.platform !== command.platform &&
        !canPlatformsCoexist(this.#policy.multiDevice, session.platform, command.platform),
    );
    const siblings = others.filter((session) => session.platform === command.platform);
    const surplus = siblings.slice(0, Math.max(0, siblings.length + 1 - platformPolicy.maxInstances));
    // Sessions are in the order of their logins, and so are the events of the kicked ones.
    const kicked = others.filter((session) => excluded.includes(session) || surplus.includes(session));

    const session: SessionRecord = {
      id: command.sessionId,
      platform: command.platform,
      deviceId: command.deviceId,
      status: 'ONLINE',
      appState: 'FOREGROUND',
      backgroundSince: null,
      timings: pickTimings(platformPolicy),
      inactiveSince: this.now,
      lastSeenAt: this.now,
      detachedAt: null,
      pushExpiresAt: null,
      socketIds: command.socketId === null ? [] : [command.socketId],
      appVersion: command.appVersion,
      osVersion: command.osVersion,
      ipAddress: command.ipAddress,
      loggedInAt: this.now,
      tokenHash: command.tokenHash,
      watchScope: command.watchScope,
    };
    const staying = others
      .filter((other) => !kicked.includes(other))
      .map((other) => withoutSocket(other, command.socketId));

    this.#addChange(
      [...staying, session],
      [
        { session, reason: 'LOGIN', sessionStatus: 'ONLINE', kickedBy: null, lostSocketIds: [] },
        // The socket that sent the login moves to the new session, so the login must not close it.
        ...kicked.map((other) =>
          this.#recordSessionEnd(withoutSocket(other, command.socketId), 'KICKED', command.platform),
        ),
        ...replaced.map((other) => this.#recordSessionEnd(withoutSocket(other, command.socketId), 'REPLACED', null)),
      ],
    );
    return session;
  }

  /**
   * Restarts the heartbeat timeout, ends a disconnect grace period, and makes a PUSH_ONLINE session ONLINE (RECONNECT).
   * A heartbeat also sets the app state and refreshes the timings.
   */
  recordActivity(session: SessionRecord, activity: ActivityDetails): SessionRecord {
    const isReconnect = session.status === 'PUSH_ONLINE';
    const appState = activity.appState ?? session.appState;
    const timings = activity.refreshTimings === true ? this.#currentTimings(session) : session.timings;
    // Every field is listed because this runs for all activity, and a spread takes several times as long.
    const active: SessionRecord = {
      id: session.id,
      platform: session.platform,
      deviceId: session.deviceId,
      status: 'ONLINE',
      appState,
      backgroundSince: this.#computeBackgroundSince(session, appState),
      timings,
      inactiveSince: this.now,
      lastSeenAt: this.now,
      detachedAt: null,
      pushExpiresAt: null,
      socketIds: activity.socketIds ?? session.socketIds,
      appVersion: session.appVersion,
      osVersion: session.osVersion,
      ipAddress: activity.ipAddress ?? session.ipAddress,
      loggedInAt: session.loggedInAt,
      tokenHash: session.tokenHash,
      watchScope: session.watchScope,
    };
    if (isReconnect) {
      this.#addChange(this.#sessionsWith(active), [
        { session: active, reason: 'RECONNECT', sessionStatus: 'ONLINE', kickedBy: null, lostSocketIds: [] },
      ]);
    } else {
      this.#user = withSessions(this.#user, this.#sessionsWith(active));
    }
    // The client relies on the timings that it received, so they must survive a crash.
    if (timings !== session.timings) this.#mustBeDurable = true;
    return active;
  }

  /**
   * A socket closed. When it was the last one and the client closed it, the session is disconnected: at once, or after
   * the disconnect grace period.
   * @returns null: no session has this socket.
   */
  detachSocket(socketId: SocketId, closedByServer: boolean): SessionRecord | null {
    const session = this.#user.sessions.find((candidate) => candidate.socketIds.includes(socketId));
    if (session === undefined) return null;
    const detached = this.updateSession(session, withoutSocket(session, socketId));
    if (detached.socketIds.length > 0 || closedByServer) return detached;
    if (session.timings.disconnectGraceMs > 0) {
      return this.updateSession(detached, { detachedAt: this.now });
    }
    return this.#disconnectSession(detached, 'DISCONNECT');
  }

  /** Does nothing if the text is the current one. */
  setCustomStatus(session: SessionRecord, text: string | null): void {
    if (text === this.#user.customStatus) return;
    this.#user = { ...this.#user, customStatus: text };
    this.#addChange(
      this.#user.sessions,
      [{ session, reason: 'CUSTOM_STATUS', sessionStatus: session.status, kickedBy: null, lostSocketIds: [] }],
      { isTextChanged: true },
    );
  }

  /** Ends the matching sessions in one change, with reason REVOKED. A null filter matches every session. */
  endMatchingSessions(platform: Platform | null, id: SessionId | null): void {
    const [first, ...rest] = this.#user.sessions.filter(
      (session) => (platform === null || session.platform === platform) && (id === null || session.id === id),
    );
    if (first === undefined) return;
    const revoke = (session: SessionRecord): SessionTransition => this.#recordSessionEnd(session, 'REVOKED', null);
    this.#addChange(
      this.#user.sessions.filter((session) => session !== first && !rest.includes(session)),
      [revoke(first), ...rest.map(revoke)],
    );
  }

  /** Rejects JWTs of the user that were issued before now. */
  revokeTokens(): void {
    this.#user = { ...this.#user, tokensRevokedBefore: this.now };
    this.#mustBeDurable = true;
  }

  /** Ends one session as a change of its own. */
  endSession(session: SessionRecord, reason: EventReason): void {
    this.#addChange(
      this.#user.sessions.filter((other) => other.id !== session.id),
      [this.#recordSessionEnd(session, reason, null)],
    );
  }

  /** Changes fields of a session without an event. */
  updateSession(session: SessionRecord, change: Partial<SessionRecord>): SessionRecord {
    const next = { ...session, ...change };
    this.#user = withSessions(this.#user, this.#sessionsWith(next));
    return next;
  }

  /** The session lost its connection: it becomes PUSH_ONLINE if its platform allows that, and ends otherwise. */
  #disconnectSession(session: SessionRecord, reason: EventReason): SessionRecord {
    if (!this.#policy.platforms[session.platform].canBePushOnline) {
      this.endSession(session, reason);
      return session;
    }
    const disconnected: SessionRecord = {
      ...session,
      status: 'PUSH_ONLINE',
      backgroundSince: null,
      detachedAt: null,
      pushExpiresAt: addMs(this.now, this.#policy.pushOnlineExpiryMs),
      socketIds: [],
    };
    this.#addChange(this.#sessionsWith(disconnected), [
      { session: disconnected, reason, sessionStatus: 'PUSH_ONLINE', kickedBy: null, lostSocketIds: session.socketIds },
    ]);
    return disconnected;
  }

  /** Adds to the ended sessions. The caller must remove the session from the record. */
  #recordSessionEnd(session: SessionRecord, reason: EventReason, kickedBy: Platform | null): SessionTransition {
    this.#endedSessions.push({ session, reason, endedAt: this.now, kickedBy });
    return { session, reason, sessionStatus: 'OFFLINE', kickedBy, lostSocketIds: session.socketIds };
  }

  /**
   * Adds one change. The user's status is computed once, from the new sessions. Only the first event shows the status
   * before the change as its previous status.
   */
  #addChange(
    sessions: readonly SessionRecord[],
    transitions: readonly [SessionTransition, ...SessionTransition[]],
    options = { isTextChanged: false },
  ): void {
    const [first] = transitions;
    const before = this.#user;
    const status = computeUserStatus(sessions);
    const isChanged = status !== before.status || options.isTextChanged;
    this.#user = withSessions(before, sessions);
    if (isChanged) {
      this.#user = {
        ...this.#user,
        status,
        version: Math.max(before.version, before.versionFloor) + 1,
        versionFloor: 0,
        changedAt: this.now,
        reason: first.reason,
        customStatus: status === 'OFFLINE' ? null : before.customStatus,
      };
    }
    this.#changes.push({
      events: transitions.map((transition, index) =>
        this.#createEvent(transition, index === 0 ? before.status : status),
      ),
      statusChange: isChanged
        ? {
            userId: before.id,
            status,
            version: this.#user.version,
            previousStatus: before.status,
            reason: first.reason,
            platform: first.session.platform,
            changedAt: this.now,
            lastSeenAt: this.#user.lastSeenAt,
            customStatus: this.#user.customStatus,
          }
        : null,
      lostSockets: transitions.flatMap(({ session, reason, sessionStatus, lostSocketIds }) =>
        lostSocketIds.map((socketId) => ({
          socketId,
          sessionId: session.id,
          reason,
          isSessionEnded: sessionStatus === 'OFFLINE',
        })),
      ),
    });
  }

  /** When the background timeout starts for an active session with this app state; null in the foreground. */
  #computeBackgroundSince(session: SessionRecord, appState: AppState): Millis | null {
    if (appState === 'FOREGROUND') return null;
    const hasEntered = session.appState !== 'BACKGROUND' || session.status === 'PUSH_ONLINE';
    return hasEntered ? this.now : session.backgroundSince;
  }

  /** The timings of the current policy; the session's own object if they are equal. */
  #currentTimings(session: SessionRecord): Timings {
    const platformPolicy = this.#policy.platforms[session.platform];
    return areTimingsEqual(platformPolicy, session.timings) ? session.timings : pickTimings(platformPolicy);
  }

  #sessionsWith(session: SessionRecord): readonly SessionRecord[] {
    return this.#user.sessions.map((other) => (other.id === session.id ? session : other));
  }

  #createEvent(transition: SessionTransition, previousStatus: Status): PresenceEvent {
    const { session, reason, sessionStatus, kickedBy } = transition;
    return {
      userId: this.#user.id,
      sessionId: session.id,
      platform: session.platform,
      deviceId: session.deviceId,
      reason,
      sessionStatus,
      previousStatus,
      status: this.#user.status,
      version: this.#user.version,
      kickedBy,
      customStatus: this.#user.customStatus,
      ipAddress: session.ipAddress,
      occurredAt: this.now,
    };
  }
}

/** The session without the socket; the same object if it does not have it. */
const withoutSocket = (session: SessionRecord, socketId: SocketId | null): SessionRecord =>
  socketId !== null && session.socketIds.includes(socketId)
    ? { ...session, socketIds: session.socketIds.filter((other) => other !== socketId) }
    : session;

/** The user with these sessions. `lastSeenAt` becomes the latest of theirs, unless the user's own is later. */
const withSessions = (user: UserRecord, sessions: readonly SessionRecord[]): UserRecord => {
  let lastSeenAt = user.lastSeenAt;
  for (const session of sessions) {
    if (lastSeenAt === null || session.lastSeenAt > lastSeenAt) lastSeenAt = session.lastSeenAt;
  }
  return {
    id: user.id,
    version: user.version,
    versionFloor: user.versionFloor,
    status: user.status,
    changedAt: user.changedAt,
    reason: user.reason,
    lastSeenAt,
    customStatus: user.customStatus,
    tokensRevokedBefore: user.tokensRevokedBefore,
    sessions,
  };
};
