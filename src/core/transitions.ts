/**
 * The single transitions the state machine is made of, each of which keeps the record whole: what
 * becomes of the sessions, the one status that follows from them, and the events that tell it.
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

/** What happened to one session within a change. */
interface SessionTransition {
  readonly session: SessionRecord;
  readonly reason: EventReason;
  readonly sessionStatus: Status;
  readonly kickedBy: Platform | null;
  /** The sockets it costs. */
  readonly lostSocketIds: readonly SocketId[];
}

/** What comes with a sign of life, if anything does. */
interface ActivityDetails {
  readonly ipAddress?: string | null;
  readonly socketIds?: readonly SocketId[];
  readonly appState?: AppState | null;
  /** The session is told the timings as they are by now. */
  readonly refreshTimings?: boolean;
}

/** One command's work on one user: the record as it becomes, and what is to be told of it so far. */
export class TransitionBuilder {
  readonly now: Millis;
  readonly #policy: Policy;
  readonly #pauses: ProcessPauses;
  readonly #changes: UserChange[] = [];
  readonly #endedSessions: EndedSession[] = [];
  #user: UserRecord;
  #mustBeDurable = false;

  constructor(user: UserRecord, policy: Policy, now: Millis, sleeps: ProcessPauses) {
    this.now = now;
    this.#pauses = sleeps;
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

  withSession(id: SessionId, act: (session: SessionRecord) => SessionRecord): SessionRecord | null {
    const session = findSession(this.#user, id);
    return session === undefined ? null : act(session);
  }

  /** Applies what time alone has changed, the earliest first, each as a change of its own. */
  expireDue(applies: (cause: EventReason) => boolean, by = this.now): void {
    const first = computeUserDeadline(this.#user, this.#pauses);
    if (first === null || first > by) return;
    const due = this.#user.sessions
      .map((session) => ({ session, ...computeSessionDeadline(session, this.#pauses) }))
      .filter(({ at, reason: cause }) => at <= by && applies(cause))
      .sort((one, other) => one.at - other.at);
    for (const { session, reason: cause } of due) {
      if (cause === 'PUSH_EXPIRED') this.endSession(session, cause);
      else this.#disconnectSession(session, cause);
    }
  }

  addSession(command: LoginCommand): SessionRecord {
    const entry = this.#policy.platforms[command.platform];
    const replaced = this.#user.sessions.filter(
      (session) => session.platform === command.platform && session.deviceId === command.deviceId,
    );
    const others = this.#user.sessions.filter((session) => !replaced.includes(session));
    const rivals = others.filter(
      (session) =>
        session.platform !== command.platform &&
        !canPlatformsCoexist(this.#policy.multiDevice, session.platform, command.platform),
    );
    const siblings = others.filter((session) => session.platform === command.platform);
    const surplus = siblings.slice(0, Math.max(0, siblings.length + 1 - entry.maxInstances));
    // Sessions stand in the order of their logins, so what is kicked is named in that order too.
    const kicked = others.filter((session) => rivals.includes(session) || surplus.includes(session));

    const session: SessionRecord = {
      id: command.sessionId,
      platform: command.platform,
      deviceId: command.deviceId,
      status: 'ONLINE',
      appState: 'FOREGROUND',
      backgroundSince: null,
      timings: pickTimings(entry),
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
        // A socket that logs in is not closed by its own login: it has moved on.
        ...kicked.map((other) =>
          this.#recordSessionEnd(withoutSocket(other, command.socketId), 'KICKED', command.platform),
        ),
        ...replaced.map((other) => this.#recordSessionEnd(withoutSocket(other, command.socketId), 'REPLACED', null)),
      ],
    );
    return session;
  }

  /**
   * A sign of life: silence counts anew, a grace is over, and who was PUSH_ONLINE is back. A heartbeat also
   * tells the app state and learns the timings.
   */
  recordActivity(session: SessionRecord, also: ActivityDetails): SessionRecord {
    const back = session.status === 'PUSH_ONLINE';
    const appState = also.appState ?? session.appState;
    const timings = also.refreshTimings === true ? this.#currentTimings(session) : session.timings;
    // Written out: this is done for every sign of life there is, and a spread takes several times as long.
    const alive: SessionRecord = {
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
      socketIds: also.socketIds ?? session.socketIds,
      appVersion: session.appVersion,
      osVersion: session.osVersion,
      ipAddress: also.ipAddress ?? session.ipAddress,
      loggedInAt: session.loggedInAt,
      tokenHash: session.tokenHash,
      watchScope: session.watchScope,
    };
    if (back) {
      this.#addChange(this.#sessionsWith(alive), [
        { session: alive, reason: 'RECONNECT', sessionStatus: 'ONLINE', kickedBy: null, lostSocketIds: [] },
      ]);
    } else {
      this.#user = withSessions(this.#user, this.#sessionsWith(alive));
    }
    // What a session was told must hold after a crash too.
    if (timings !== session.timings) this.#mustBeDurable = true;
    return alive;
  }

  detachSocket(link: SocketId, byServer: boolean): SessionRecord | null {
    const session = this.#user.sessions.find((candidate) => candidate.socketIds.includes(link));
    if (session === undefined) return null;
    const without = this.updateSession(session, withoutSocket(session, link));
    if (without.socketIds.length > 0 || byServer) return without;
    if (session.timings.disconnectGraceMs > 0) {
      return this.updateSession(without, { detachedAt: this.now });
    }
    return this.#disconnectSession(without, 'DISCONNECT');
  }

  setCustomStatus(session: SessionRecord, text: string | null): void {
    if (text === this.#user.customStatus) return;
    this.#user = { ...this.#user, customStatus: text };
    this.#addChange(
      this.#user.sessions,
      [{ session, reason: 'CUSTOM_STATUS', sessionStatus: session.status, kickedBy: null, lostSocketIds: [] }],
      { textChanged: true },
    );
  }

  endMatchingSessions(platform: Platform | null, id: SessionId | null): void {
    const [first, ...rest] = this.#user.sessions.filter(
      (session) => (platform === null || session.platform === platform) && (id === null || session.id === id),
    );
    if (first === undefined) return;
    const revoked = (session: SessionRecord): SessionTransition => this.#recordSessionEnd(session, 'REVOKED', null);
    this.#addChange(
      this.#user.sessions.filter((session) => session !== first && !rest.includes(session)),
      [revoked(first), ...rest.map(revoked)],
    );
  }

  revokeTokens(): void {
    this.#user = { ...this.#user, tokensRevokedBefore: this.now };
    this.#mustBeDurable = true;
  }

  endSession(session: SessionRecord, reason: EventReason): void {
    this.#addChange(
      this.#user.sessions.filter((other) => other.id !== session.id),
      [this.#recordSessionEnd(session, reason, null)],
    );
  }

  /** Changes a session in a way that is no event. */
  updateSession(session: SessionRecord, change: Partial<SessionRecord>): SessionRecord {
    const next = { ...session, ...change };
    this.#user = withSessions(this.#user, this.#sessionsWith(next));
    return next;
  }

  /** The link is lost or silent: PUSH_ONLINE where the platform can, ended where it can't. */
  #disconnectSession(session: SessionRecord, reason: EventReason): SessionRecord {
    if (!this.#policy.platforms[session.platform].canBePushOnline) {
      this.endSession(session, reason);
      return session;
    }
    const dropped: SessionRecord = {
      ...session,
      status: 'PUSH_ONLINE',
      backgroundSince: null,
      detachedAt: null,
      pushExpiresAt: addMs(this.now, this.#policy.pushOnlineExpiryMs),
      socketIds: [],
    };
    this.#addChange(this.#sessionsWith(dropped), [
      { session: dropped, reason, sessionStatus: 'PUSH_ONLINE', kickedBy: null, lostSocketIds: session.socketIds },
    ]);
    return dropped;
  }

  /** Notes the end of a session; the caller takes it out of the record. */
  #recordSessionEnd(session: SessionRecord, reason: EventReason, kickedBy: Platform | null): SessionTransition {
    this.#endedSessions.push({ session, reason, endedAt: this.now, kickedBy });
    return { session, reason, sessionStatus: 'OFFLINE', kickedBy, lostSocketIds: session.socketIds };
  }

  /** One change: the status is computed once, after all of it, and the first event carries it. */
  #addChange(
    sessions: readonly SessionRecord[],
    happenings: readonly [SessionTransition, ...SessionTransition[]],
    also = { textChanged: false },
  ): void {
    const [first] = happenings;
    const before = this.#user;
    const status = computeUserStatus(sessions);
    const changed = status !== before.status || also.textChanged;
    this.#user = withSessions(before, sessions);
    if (changed) {
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
      events: happenings.map((happening, index) => this.#createEvent(happening, index === 0 ? before.status : status)),
      statusChange: changed
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
      lostSockets: happenings.flatMap(({ session, reason, sessionStatus, lostSocketIds: lost }) =>
        lost.map((socketId) => ({
          socketId,
          sessionId: session.id,
          reason,
          isSessionEnded: sessionStatus === 'OFFLINE',
        })),
      ),
    });
  }

  /** Since when the background limit runs, for a session that is alive and in this state. */
  #computeBackgroundSince(session: SessionRecord, appState: AppState): Millis | null {
    if (appState === 'FOREGROUND') return null;
    const entered = session.appState !== 'BACKGROUND' || session.status === 'PUSH_ONLINE';
    return entered ? this.now : session.backgroundSince;
  }

  /** What the policy says by now, or what it was told if that is the same. */
  #currentTimings(session: SessionRecord): Timings {
    const entry = this.#policy.platforms[session.platform];
    return areTimingsEqual(entry, session.timings) ? session.timings : pickTimings(entry);
  }

  #sessionsWith(session: SessionRecord): readonly SessionRecord[] {
    return this.#user.sessions.map((other) => (other.id === session.id ? session : other));
  }

  #createEvent(happening: SessionTransition, previousStatus: Status): PresenceEvent {
    const { session, reason, sessionStatus, kickedBy } = happening;
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

/** The session without that socket. */
const withoutSocket = (session: SessionRecord, link: SocketId | null): SessionRecord =>
  link !== null && session.socketIds.includes(link)
    ? { ...session, socketIds: session.socketIds.filter((other) => other !== link) }
    : session;

/** The user with these sessions, last seen when the latest of them was. */
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
