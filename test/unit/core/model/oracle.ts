/**
 * What should come of each command, said as naively as possible: a handful of mutable facts per
 * session, and the rules in the order in which a person would tell them. It shares no code with the
 * state machine, only the shapes of what goes in and comes out.
 */
import type { Command, LoginCommand } from '../../../../src/core/commands.ts';
import type { SocketId, Millis, SessionId, UserId } from '../../../../src/core/ids.ts';
import type { UserChange, PresenceEvent } from '../../../../src/core/records.ts';
import type { Row } from '../tables.ts';
import { causesOf, firstDate, sameTold, type OracleSession } from './oracle-session.ts';
import type { OraclePolicy } from './oracle-policy.ts';
import type { AppState, EventReason, Platform, Status } from '../../../../src/core/enums.ts';

/** One thing the oracle says of one session. */
interface Told {
  readonly of: OracleSession;
  readonly reason: EventReason;
  readonly becomes: Status;
  readonly by?: Platform;
  readonly costs?: readonly SocketId[];
}

export interface Verdict {
  readonly changes: readonly UserChange[];
  readonly session: SessionId | null;
  readonly durable: boolean;
}

export class OracleUser {
  readonly id: UserId;
  live: OracleSession[] = [];
  status: Status = 'OFFLINE';
  version = 0;
  /** Versions up to here were given away before the user was forgotten. */
  floor: number;
  text: string | null = null;
  changedAt: Millis | null = null;
  reason: EventReason | null = null;
  seenAt: Millis | null = null;
  revokedBefore: Millis | null = null;
  #policy!: OraclePolicy;
  #now!: Millis;
  #changes: UserChange[] = [];
  #durable = false;

  constructor(id: UserId, floor: number) {
    this.id = id;
    this.floor = floor;
  }

  /** @param witness what the state machine answered: it decides only between sessions due in the same instant. */
  verdict(command: Command, policy: OraclePolicy, now: Millis, witness: readonly UserChange[]): Verdict {
    this.#policy = policy;
    this.#now = now;
    this.#changes = [];
    this.#durable = false;
    // No session outlives its expiry date, whatever comes after it.
    this.#passTime((session) => session.pushEnds !== null, witness);
    const session = this.#obey(command, witness);
    return { changes: this.#changes, session, durable: this.#durable || this.#changes.length > 0 };
  }

  restart(now: Millis): void {
    for (const session of this.live.filter(({ pushEnds }) => pushEnds === null)) {
      session.links = [];
      session.gone = null;
      session.silentSince = now;
      if (session.appState === 'BACKGROUND') session.backgroundSince = now;
    }
  }

  /** As if the time had stood still for whoever may be silent for so long and no longer; dates stay dates. */
  sleep(ms: number): void {
    for (const session of this.live) {
      session.silentSince += ms;
      if (session.backgroundSince !== null) session.backgroundSince += ms;
      if (session.gone !== null) session.gone += ms;
    }
  }

  #obey(command: Command, witness: readonly UserChange[]): SessionId | null {
    if (command.type === 'login') return this.#login(command);
    if (command.type === 'expire') {
      this.#passTime(() => true, witness);
      return null;
    }
    if (command.type === 'endSessions') {
      const hit = this.live.filter(
        ({ platform, id }) => [platform, null].includes(command.platform) && [id, null].includes(command.sessionId),
      );
      if (hit.length > 0)
        this.#endAll(hit.map((of) => ({ of, reason: 'REVOKED', becomes: 'OFFLINE', costs: of.links })));
      if (command.revokeTokens) {
        this.revokedBefore = this.#now;
        this.#durable = true;
      }
      return null;
    }
    if (command.type === 'detachSocket') return this.#detach(command.socketId, command.closedByServer);

    const session = this.live.find(({ id }) => id === command.sessionId);
    if (!session) return null;
    if (command.type === 'logout') {
      this.#seen(session);
      this.#endAll([{ of: session, reason: 'LOGOUT', becomes: 'OFFLINE', costs: session.links }]);
    } else if (command.type === 'heartbeat') {
      this.#alive(session, command.ipAddress);
      this.#beat(session, command.appState);
    } else if (command.type === 'attachSocket') {
      session.links.push(command.socketId);
      this.#alive(session, command.ipAddress);
    } else if (command.type === 'setCustomStatus') {
      this.#alive(session, null);
      if (command.text !== this.text) {
        this.text = command.text;
        this.#tell([{ of: session, reason: 'CUSTOM_STATUS', becomes: this.status }], true);
      }
    } else if (command.socketId === null || session.links.includes(command.socketId)) {
      this.#alive(session, command.ipAddress);
    }
    return session.id;
  }

  #login(command: LoginCommand): SessionId {
    // The socket is the new session's from now on, whoever had it.
    for (const session of this.live) session.links = session.links.filter((link) => link !== command.socketId);
    const replaced = this.live.filter((s) => s.platform === command.platform && s.deviceId === command.deviceId);
    const { groupOf, rows } = this.#policy;
    const kicked = this.live.filter(
      (s) => s.platform !== command.platform && groupOf[s.platform] === groupOf[command.platform],
    );
    const brothers = this.live.filter((s) => s.platform === command.platform && !replaced.includes(s));
    while (brothers.length + 1 > rows[command.platform].instances) {
      const oldest = brothers.shift();
      if (oldest) kicked.push(oldest);
    }
    this.live = this.live.filter((s) => !replaced.includes(s) && !kicked.includes(s));
    const session: OracleSession = {
      id: command.sessionId,
      platform: command.platform,
      deviceId: command.deviceId,
      login: command,
      loggedInAt: this.#now,
      links: command.socketId === null ? [] : [command.socketId],
      told: rows[command.platform],
      appState: 'FOREGROUND',
      backgroundSince: null,
      silentSince: this.#now,
      seenAt: this.#now,
      gone: null,
      pushEnds: null,
      ipAddress: command.ipAddress,
    };
    this.live.push(session);
    this.#seen(session);
    this.#tell([
      { of: session, reason: 'LOGIN', becomes: 'ONLINE' },
      ...kicked.map((of): Told => ({
        of,
        reason: 'KICKED',
        becomes: 'OFFLINE',
        by: command.platform,
        costs: of.links,
      })),
      ...replaced.map((of): Told => ({ of, reason: 'REPLACED', becomes: 'OFFLINE', costs: of.links })),
    ]);
    return session.id;
  }

  #detach(link: SocketId, byServer: boolean): SessionId | null {
    const session = this.live.find(({ links }) => links.includes(link));
    if (!session) return null;
    session.links = session.links.filter((other) => other !== link);
    if (session.links.length === 0 && !byServer) {
      if (session.told.grace === 0) this.#drop(session, 'DISCONNECT');
      else session.gone = this.#now;
    }
    return session.id;
  }

  #seen(session: OracleSession): void {
    session.seenAt = this.#now;
    this.seenAt = this.#now;
  }

  #alive(session: OracleSession, ipAddress: string | null): void {
    this.#seen(session);
    session.silentSince = this.#now;
    session.gone = null;
    if (ipAddress !== null) session.ipAddress = ipAddress;
    if (session.pushEnds === null) return;
    session.pushEnds = null;
    // Back, but still in background: the limit starts over.
    if (session.appState === 'BACKGROUND') session.backgroundSince = this.#now;
    this.#tell([{ of: session, reason: 'RECONNECT', becomes: 'ONLINE' }]);
  }

  #beat(session: OracleSession, appState: AppState | null): void {
    if (appState === 'BACKGROUND' && session.appState === 'FOREGROUND') session.backgroundSince = this.#now;
    if (appState !== null) session.appState = appState;
    if (session.appState === 'FOREGROUND') session.backgroundSince = null;
    const row: Row = this.#policy.rows[session.platform];
    if (!sameTold(row, session.told)) this.#durable = true;
    session.told = row;
  }

  /** Everything that is due happens, earliest first; nothing else does. */
  #passTime(concerns: (session: OracleSession) => boolean, witness: readonly UserChange[]): void {
    for (;;) {
      const due = this.live.filter((session) => concerns(session) && firstDate(session) <= this.#now);
      if (due.length === 0) return;
      const earliest = Math.min(...due.map(firstDate));
      const first = due.filter((session) => firstDate(session) === earliest);
      const named = witness[this.#changes.length]?.events[0];
      const session = first.find(({ id }) => id === named?.sessionId) ?? first[0];
      if (!session) return;
      const causes = causesOf(session);
      const reason = causes.find((cause) => cause === named?.reason) ?? causes[0];
      if (!reason) return;
      if (reason === 'PUSH_EXPIRED') this.#endAll([{ of: session, reason, becomes: 'OFFLINE', costs: session.links }]);
      else this.#drop(session, reason);
    }
  }

  #drop(session: OracleSession, reason: EventReason): void {
    const costs = session.links;
    session.links = [];
    if (!this.#policy.rows[session.platform].push) {
      this.#endAll([{ of: session, reason, becomes: 'OFFLINE', costs }]);
      return;
    }
    session.gone = null;
    session.backgroundSince = null;
    session.pushEnds = this.#now + this.#policy.expiry;
    this.#tell([{ of: session, reason, becomes: 'PUSH_ONLINE', costs }]);
  }

  #endAll(told: readonly Told[]): void {
    this.live = this.live.filter((session) => !told.some(({ of }) => of === session));
    this.#tell(told);
  }

  #tell(told: readonly Told[], newText = false): void {
    const before = this.status;
    this.status = this.live.some((s) => s.pushEnds === null)
      ? 'ONLINE'
      : this.live.length > 0
        ? 'PUSH_ONLINE'
        : 'OFFLINE';
    if (this.status === 'OFFLINE') this.text = null;
    const first = told[0];
    const isChange = this.status !== before || newText;
    if (isChange) {
      this.version = 1 + Math.max(this.floor, this.version);
      this.changedAt = this.#now;
      this.reason = first?.reason ?? null;
    }
    const events = told.map(({ of, reason, becomes, by }, index): PresenceEvent => ({
      userId: this.id,
      sessionId: of.id,
      platform: of.platform,
      deviceId: of.deviceId,
      reason,
      sessionStatus: becomes === 'OFFLINE' ? 'OFFLINE' : of.pushEnds === null ? 'ONLINE' : 'PUSH_ONLINE',
      previousStatus: index === 0 ? before : this.status,
      status: this.status,
      version: this.version,
      kickedBy: by ?? null,
      customStatus: this.text,
      ipAddress: of.ipAddress,
      occurredAt: this.#now,
    }));
    const statusChange = {
      userId: this.id,
      status: this.status,
      version: this.version,
      previousStatus: before,
      reason: this.reason,
      platform: first?.of.platform ?? null,
      changedAt: this.changedAt,
      lastSeenAt: this.seenAt,
      customStatus: this.text,
    };
    const lostLinks = told.flatMap(({ of, reason, becomes, costs }) =>
      (costs ?? []).map((link) => ({
        socketId: link,
        sessionId: of.id,
        reason,
        isSessionEnded: becomes === 'OFFLINE',
      })),
    );
    this.#changes.push({ events, statusChange: isChange ? statusChange : null, lostSockets: lostLinks });
  }
}
