/** One user, one policy and a clock that stands still until it is told to move: for tests told as short stories. */
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

export class Story {
  user: UserRecord = createUnknownUser(parseUserId('alice'), 0);
  policy: Policy = DEFAULT_POLICY;
  now = START;
  slept: ProcessPauses = NO_PAUSES;
  /** What came of the last command. */
  last: CommandOutcome = { user: this.user, changes: [], endedSessions: [], session: null, mustBeDurable: false };
  #made = 0;

  constructor(change: PolicyChange = {}) {
    this.policy = applyPolicyChange(DEFAULT_POLICY, change);
  }

  /** The server is asleep for so long. */
  sleeps(ms: number): this {
    const from = this.now;
    this.after(ms);
    this.slept = addPause(this.slept, { from, until: this.now });
    return this;
  }

  after(ms: number): this {
    this.now = addMs(this.now, ms);
    return this;
  }

  do(command: Command): CommandOutcome {
    this.last = applyCommand(deepFreeze(this.user), deepFreeze(command), deepFreeze(this.policy), this.now, this.slept);
    this.user = this.last.user;
    return this.last;
  }

  changePolicy(change: PolicyChange): void {
    this.policy = applyPolicyChange(this.policy, change);
  }

  login(platform: Platform, also: { device?: string; link?: SocketId; ipAddress?: string } = {}): SessionId {
    const id = parseSessionId(`${platform}-${++this.#made}`);
    const command: LoginCommand = {
      type: 'login',
      sessionId: id,
      platform,
      deviceId: parseDeviceId(also.device ?? `device-${this.#made}`),
      tokenHash: `hash-${this.#made}`,
      appVersion: '1.2.3',
      osVersion: '17',
      ipAddress: also.ipAddress ?? null,
      watchScope: null,
      socketId: also.link ?? null,
    };
    this.do(command);
    return id;
  }

  attach(id: SessionId): SocketId {
    const link = asSocketId(`link-${++this.#made}`);
    this.do({ type: 'attachSocket', sessionId: id, socketId: link, ipAddress: null });
    return link;
  }

  detach = (link: SocketId, byServer = false): CommandOutcome =>
    this.do({ type: 'detachSocket', socketId: link, closedByServer: byServer });
  beat = (id: SessionId, appState: AppState | null = null): CommandOutcome =>
    this.do({ type: 'heartbeat', sessionId: id, appState, ipAddress: null });
  live = (id: SessionId, link: SocketId | null = null): CommandOutcome =>
    this.do({ type: 'activity', sessionId: id, socketId: link, ipAddress: null });
  logout = (id: SessionId): CommandOutcome => this.do({ type: 'logout', sessionId: id });
  setText = (id: SessionId, text: string | null): CommandOutcome =>
    this.do({ type: 'setCustomStatus', sessionId: id, text });
  end = (what: { platform?: Platform; id?: SessionId; revokeTokens?: boolean } = {}): CommandOutcome =>
    this.do({
      type: 'endSessions',
      platform: what.platform ?? null,
      sessionId: what.id ?? null,
      revokeTokens: what.revokeTokens ?? false,
    });
  wake = (): CommandOutcome => this.do({ type: 'expire' });
  restart(): void {
    this.user = restoreUserAfterRestart(deepFreeze(this.user), this.now);
  }

  /** A login that has become PUSH_ONLINE by losing its only socket at once. */
  pushed(platform: Platform, device?: string): SessionId {
    const id = this.login(platform, device === undefined ? {} : { device });
    this.detach(this.attach(id));
    return id;
  }

  get events(): readonly PresenceEvent[] {
    return this.last.changes.flatMap((change) => change.events);
  }
  /** The last command's events in short: `LOGIN OFFLINE>ONLINE v1`. */
  get told(): readonly string[] {
    return this.events.map((e) => `${e.reason} ${e.previousStatus}>${e.status} v${e.version}`);
  }
  /** What watchers were told by the last command. */
  get watched(): readonly string[] {
    return this.last.changes.flatMap(({ statusChange: s }) =>
      s ? [`${s.reason ?? ''} ${s.previousStatus ?? ''}>${s.status} v${s.version}`] : [],
    );
  }
  get nextLook(): number | null {
    const at = computeUserDeadline(this.user, this.slept);
    return at === null ? null : at - START;
  }
  session(id: SessionId): SessionRecord | undefined {
    return this.user.sessions.find((session) => session.id === id);
  }
  /** A session's status, OFFLINE once it is gone. */
  statusOf(id: SessionId): string {
    return this.session(id)?.status ?? 'OFFLINE';
  }
  /** The ids that live, in the order of their logins. */
  get sessions(): readonly string[] {
    return this.user.sessions.map(({ id }) => id);
  }
}
