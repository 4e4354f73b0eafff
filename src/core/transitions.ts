/**
 * The single transitions the state machine is made of, each of which keeps the record whole: what
 * becomes of the sessions, the one status that follows from them, and the events that tell it.
 */
import type { Login, Outcome } from './commands.ts';
import { deadline, sessionDeadline } from './deadlines.ts';
import { later, type SocketId, type Millis, type SessionId } from './ids.ts';
import { mayCoexist, sameTimings, timingsOf, type Policy, type Timings } from './policy.ts';
import {
  findSession,
  highestStatus,
  type Change,
  type EndedSession,
  type PresenceEvent,
  type SessionRecord,
  type UserRecord,
} from './records.ts';
import type { ProcessPauses } from './process-pauses.ts';
import type { AppState, EventReason, Platform, Status } from './enums.ts';

/** What happened to one session within a change. */
interface Happening {
  readonly session: SessionRecord;
  readonly reason: EventReason;
  readonly sessionStatus: Status;
  readonly kickedBy: Platform | null;
  /** The sockets it costs. */
  readonly lost: readonly SocketId[];
}

/** What comes with a sign of life, if anything does. */
interface SignOfLife {
  readonly ipAddress?: string | null;
  readonly links?: readonly SocketId[];
  readonly appState?: AppState | null;
  /** The session is told the timings as they are by now. */
  readonly learns?: boolean;
}

/** One command's work on one user: the record as it becomes, and what is to be told of it so far. */
export class Steps {
  readonly now: Millis;
  readonly #policy: Policy;
  readonly #sleeps: ProcessPauses;
  readonly #changes: Change[] = [];
  readonly #ended: EndedSession[] = [];
  #user: UserRecord;
  #durable = false;

  constructor(user: UserRecord, policy: Policy, now: Millis, sleeps: ProcessPauses) {
    this.now = now;
    this.#sleeps = sleeps;
    this.#user = user;
    this.#policy = policy;
  }

  outcome(session: SessionRecord | null): Outcome {
    return {
      user: this.#user,
      changes: this.#changes,
      ended: this.#ended,
      session,
      durable: this.#durable || this.#changes.length > 0,
    };
  }

  of(id: SessionId, act: (session: SessionRecord) => SessionRecord): SessionRecord | null {
    const session = findSession(this.#user, id);
    return session === undefined ? null : act(session);
  }

  /** Applies what time alone has changed, the earliest first, each as a change of its own. */
  passTime(applies: (cause: EventReason) => boolean, by = this.now): void {
    const first = deadline(this.#user, this.#sleeps);
    if (first === null || first > by) return;
    const due = this.#user.sessions
      .map((session) => ({ session, ...sessionDeadline(session, this.#sleeps) }))
      .filter(({ at, cause }) => at <= by && applies(cause))
      .sort((one, other) => one.at - other.at);
    for (const { session, cause } of due) {
      if (cause === 'PUSH_EXPIRED') this.end(session, cause);
      else this.#drop(session, cause);
    }
  }

  login(command: Login): SessionRecord {
    const entry = this.#policy.platforms[command.platform];
    const replaced = this.#user.sessions.filter(
      (session) => session.platform === command.platform && session.deviceId === command.deviceId,
    );
    const others = this.#user.sessions.filter((session) => !replaced.includes(session));
    const rivals = others.filter(
      (session) =>
        session.platform !== command.platform &&
        !mayCoexist(this.#policy.multiDevice, session.platform, command.platform),
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
      timings: timingsOf(entry),
      aliveAt: this.now,
      lastSeenAt: this.now,
      detachedAt: null,
      pushExpiresAt: null,
      links: command.link === null ? [] : [command.link],
      appVersion: command.appVersion,
      osVersion: command.osVersion,
      ipAddress: command.ipAddress,
      loggedInAt: this.now,
      tokenHash: command.tokenHash,
      watch: command.watch,
    };
    const staying = others.filter((other) => !kicked.includes(other)).map((other) => leftBy(other, command.link));

    this.#change(
      [...staying, session],
      [
        { session, reason: 'LOGIN', sessionStatus: 'ONLINE', kickedBy: null, lost: [] },
        // A socket that logs in is not closed by its own login: it has moved on.
        ...kicked.map((other) => this.#endOf(leftBy(other, command.link), 'KICKED', command.platform)),
        ...replaced.map((other) => this.#endOf(leftBy(other, command.link), 'REPLACED', null)),
      ],
    );
    return session;
  }

  /**
   * A sign of life: silence counts anew, a grace is over, and who was PUSH_ONLINE is back. A heartbeat also
   * tells the app state and learns the timings.
   */
  alive(session: SessionRecord, also: SignOfLife): SessionRecord {
    const back = session.status === 'PUSH_ONLINE';
    const appState = also.appState ?? session.appState;
    const timings = also.learns === true ? this.#timingsFor(session) : session.timings;
    // Written out: this is done for every sign of life there is, and a spread takes several times as long.
    const alive: SessionRecord = {
      id: session.id,
      platform: session.platform,
      deviceId: session.deviceId,
      status: 'ONLINE',
      appState,
      backgroundSince: this.#backgroundSince(session, appState),
      timings,
      aliveAt: this.now,
      lastSeenAt: this.now,
      detachedAt: null,
      pushExpiresAt: null,
      links: also.links ?? session.links,
      appVersion: session.appVersion,
      osVersion: session.osVersion,
      ipAddress: also.ipAddress ?? session.ipAddress,
      loggedInAt: session.loggedInAt,
      tokenHash: session.tokenHash,
      watch: session.watch,
    };
    if (back) {
      this.#change(this.#with(alive), [
        { session: alive, reason: 'RECONNECT', sessionStatus: 'ONLINE', kickedBy: null, lost: [] },
      ]);
    } else {
      this.#user = withSessions(this.#user, this.#with(alive));
    }
    // What a session was told must hold after a crash too.
    if (timings !== session.timings) this.#durable = true;
    return alive;
  }

  detach(link: SocketId, byServer: boolean): SessionRecord | null {
    const session = this.#user.sessions.find((candidate) => candidate.links.includes(link));
    if (session === undefined) return null;
    const without = this.replace(session, leftBy(session, link));
    if (without.links.length > 0 || byServer) return without;
    if (session.timings.disconnectGraceMs > 0) {
      return this.replace(without, { detachedAt: this.now });
    }
    return this.#drop(without, 'DISCONNECT');
  }

  customStatus(session: SessionRecord, text: string | null): void {
    if (text === this.#user.customStatus) return;
    this.#user = { ...this.#user, customStatus: text };
    this.#change(
      this.#user.sessions,
      [{ session, reason: 'CUSTOM_STATUS', sessionStatus: session.status, kickedBy: null, lost: [] }],
      { textChanged: true },
    );
  }

  endMatching(platform: Platform | null, id: SessionId | null): void {
    const [first, ...rest] = this.#user.sessions.filter(
      (session) => (platform === null || session.platform === platform) && (id === null || session.id === id),
    );
    if (first === undefined) return;
    const revoked = (session: SessionRecord): Happening => this.#endOf(session, 'REVOKED', null);
    this.#change(
      this.#user.sessions.filter((session) => session !== first && !rest.includes(session)),
      [revoked(first), ...rest.map(revoked)],
    );
  }

  revokeTokens(): void {
    this.#user = { ...this.#user, tokensRevokedBefore: this.now };
    this.#durable = true;
  }

  end(session: SessionRecord, reason: EventReason): void {
    this.#change(
      this.#user.sessions.filter((other) => other.id !== session.id),
      [this.#endOf(session, reason, null)],
    );
  }

  /** Changes a session in a way that is no event. */
  replace(session: SessionRecord, change: Partial<SessionRecord>): SessionRecord {
    const next = { ...session, ...change };
    this.#user = withSessions(this.#user, this.#with(next));
    return next;
  }

  /** The link is lost or silent: PUSH_ONLINE where the platform can, ended where it can't. */
  #drop(session: SessionRecord, reason: EventReason): SessionRecord {
    if (!this.#policy.platforms[session.platform].canBePushOnline) {
      this.end(session, reason);
      return session;
    }
    const dropped: SessionRecord = {
      ...session,
      status: 'PUSH_ONLINE',
      backgroundSince: null,
      detachedAt: null,
      pushExpiresAt: later(this.now, this.#policy.pushOnlineExpiryMs),
      links: [],
    };
    this.#change(this.#with(dropped), [
      { session: dropped, reason, sessionStatus: 'PUSH_ONLINE', kickedBy: null, lost: session.links },
    ]);
    return dropped;
  }

  /** Notes the end of a session; the caller takes it out of the record. */
  #endOf(session: SessionRecord, reason: EventReason, kickedBy: Platform | null): Happening {
    this.#ended.push({ session, reason, endedAt: this.now, kickedBy });
    return { session, reason, sessionStatus: 'OFFLINE', kickedBy, lost: session.links };
  }

  /** One change: the status is computed once, after all of it, and the first event carries it. */
  #change(
    sessions: readonly SessionRecord[],
    happenings: readonly [Happening, ...Happening[]],
    also = { textChanged: false },
  ): void {
    const [first] = happenings;
    const before = this.#user;
    const status = highestStatus(sessions);
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
      events: happenings.map((happening, index) => this.#event(happening, index === 0 ? before.status : status)),
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
      lostLinks: happenings.flatMap(({ session, reason, sessionStatus, lost }) =>
        lost.map((link) => ({ link, sessionId: session.id, reason, ended: sessionStatus === 'OFFLINE' })),
      ),
    });
  }

  /** Since when the background limit runs, for a session that is alive and in this state. */
  #backgroundSince(session: SessionRecord, appState: AppState): Millis | null {
    if (appState === 'FOREGROUND') return null;
    const entered = session.appState !== 'BACKGROUND' || session.status === 'PUSH_ONLINE';
    return entered ? this.now : session.backgroundSince;
  }

  /** What the policy says by now, or what it was told if that is the same. */
  #timingsFor(session: SessionRecord): Timings {
    const entry = this.#policy.platforms[session.platform];
    return sameTimings(entry, session.timings) ? session.timings : timingsOf(entry);
  }

  #with(session: SessionRecord): readonly SessionRecord[] {
    return this.#user.sessions.map((other) => (other.id === session.id ? session : other));
  }

  #event(happening: Happening, previousStatus: Status): PresenceEvent {
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
const leftBy = (session: SessionRecord, link: SocketId | null): SessionRecord =>
  link !== null && session.links.includes(link)
    ? { ...session, links: session.links.filter((other) => other !== link) }
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
