/** A scenario with one user, one policy and a clock that only the test advances. */
import type { Command, LoginCommand, CommandOutcome } from '../../../src/core/commands.ts';
import { computeUserDeadline } from '../../../src/core/deadlines.ts';
import {
  parseDeviceId,
  addMs,
  asSocketId,
  toMillis,
  parseSessionId,
  parseUserId,
  type SocketId,
  type SessionId,
} from '../../../src/core/ids.ts';
import { applyPolicyChange, DEFAULT_POLICY, type Policy, type PolicyChange } from '../../../src/core/policy.ts';
import { restoreUserAfterRestart, applyCommand } from '../../../src/core/state-machine.ts';
import {
  createUnknownUser,
  type PresenceEvent,
  type SessionRecord,
  type UserRecord,
} from '../../../src/core/records.ts';
import { NO_PAUSES, addPause, type ProcessPauses } from '../../../src/core/process-pauses.ts';
import { deepFreeze } from './model/freeze.ts';
import type { AppState, Platform } from '../../../src/core/enums.ts';

export const START = toMillis(1_700_000_000_000);

export class UserScenario {
  user: UserRecord = createUnknownUser(parseUserId('alice'), 0);
  policy: Policy = DEFAULT_POLICY;
  now = START;
  pauses: ProcessPauses = NO_PAUSES;
  /** The outcome of the last command. */
  lastOutcome: CommandOutcome = {
    user: this.user,
    changes: [],
    endedSessions: [],
    session: null,
    mustBeDurable: false,
  };
  #idCount = 0;

  constructor(change: PolicyChange = {}) {
    this.policy = applyPolicyChange(DEFAULT_POLICY, change);
  }

  /** Advances the time as one process pause. */
  pause(ms: number): this {
    const from = this.now;
    this.after(ms);
    this.pauses = addPause(this.pauses, { from, until: this.now });
    return this;
  }

  after(ms: number): this {
    this.now = addMs(this.now, ms);
    return this;
  }

  apply(command: Command): CommandOutcome {
    this.lastOutcome = applyCommand(
      deepFreeze(this.user),
      deepFreeze(command),
      deepFreeze(this.policy),
      this.now,
      this.pauses,
    );
    this.user = this.lastOutcome.user;
    return this.lastOutcome;
  }

  changePolicy(change: PolicyChange): void {
    this.policy = applyPolicyChange(this.policy, change);
  }

  login(platform: Platform, options: { device?: string; link?: SocketId; ipAddress?: string } = {}): SessionId {
    const id = parseSessionId(`${platform}-${++this.#idCount}`);
    const command: LoginCommand = {
      type: 'login',
      sessionId: id,
      platform,
      deviceId: parseDeviceId(options.device ?? `device-${this.#idCount}`),
      tokenHash: `hash-${this.#idCount}`,
      appVersion: '1.2.3',
      osVersion: '17',
      ipAddress: options.ipAddress ?? null,
      watchScope: null,
      socketId: options.link ?? null,
    };
    this.apply(command);
    return id;
  }

  attach(id: SessionId): SocketId {
    const link = asSocketId(`link-${++this.#idCount}`);
    this.apply({ type: 'attachSocket', sessionId: id, socketId: link, ipAddress: null });
    return link;
  }

  detach = (link: SocketId, byServer = false): CommandOutcome =>
    this.apply({ type: 'detachSocket', socketId: link, closedByServer: byServer });
  heartbeat = (id: SessionId, appState: AppState | null = null): CommandOutcome =>
    this.apply({ type: 'heartbeat', sessionId: id, appState, ipAddress: null });
  recordActivity = (id: SessionId, link: SocketId | null = null): CommandOutcome =>
    this.apply({ type: 'activity', sessionId: id, socketId: link, ipAddress: null });
  logout = (id: SessionId): CommandOutcome => this.apply({ type: 'logout', sessionId: id });
  setText = (id: SessionId, text: string | null): CommandOutcome =>
    this.apply({ type: 'setCustomStatus', sessionId: id, text });
  endSessions = (what: { platform?: Platform; id?: SessionId; revokeTokens?: boolean } = {}): CommandOutcome =>
    this.apply({
      type: 'endSessions',
      platform: what.platform ?? null,
      sessionId: what.id ?? null,
      revokeTokens: what.revokeTokens ?? false,
    });
  expire = (): CommandOutcome => this.apply({ type: 'expire' });
  restart(): void {
    this.user = restoreUserAfterRestart(deepFreeze(this.user), this.now);
  }

  /** Creates a session that is PUSH_ONLINE because its only socket closed at once. */
  loginPushOnline(platform: Platform, device?: string): SessionId {
    const id = this.login(platform, device === undefined ? {} : { device });
    this.detach(this.attach(id));
    return id;
  }

  get events(): readonly PresenceEvent[] {
    return this.lastOutcome.changes.flatMap((change) => change.events);
  }
  /** The events of the last command in short form: `LOGIN OFFLINE>ONLINE v1`. */
  get eventSummaries(): readonly string[] {
    return this.events.map((e) => `${e.reason} ${e.previousStatus}>${e.status} v${e.version}`);
  }
  /** The status changes of the last command in the same form. */
  get changeSummaries(): readonly string[] {
    return this.lastOutcome.changes.flatMap(({ statusChange: s }) =>
      s ? [`${s.reason ?? ''} ${s.previousStatus ?? ''}>${s.status} v${s.version}`] : [],
    );
  }
  /** The deadline of the user, in ms after `START`. */
  get nextDeadline(): number | null {
    const at = computeUserDeadline(this.user, this.pauses);
    return at === null ? null : at - START;
  }
  session(id: SessionId): SessionRecord | undefined {
    return this.user.sessions.find((session) => session.id === id);
  }
  /** The status of a session; OFFLINE once it has ended. */
  statusOf(id: SessionId): string {
    return this.session(id)?.status ?? 'OFFLINE';
  }
  /** The ids of the live sessions, in the order of their logins. */
  get sessionIds(): readonly string[] {
    return this.user.sessions.map(({ id }) => id);
  }
}
