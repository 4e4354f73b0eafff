/** One user, one policy and a clock that stands still until it is told to move: for tests told as short stories. */
import type { Command, Login, Outcome } from '../../../src/core/commands.ts';
import { deadline } from '../../../src/core/deadlines.ts';
import {
  deviceId,
  later,
  linkId,
  millis,
  sessionId,
  userId,
  type SocketId,
  type SessionId,
} from '../../../src/core/ids.ts';
import { changePolicy, DEFAULT_POLICY, type Policy, type PolicyChange } from '../../../src/core/policy.ts';
import { afterRestart, step } from '../../../src/core/state-machine.ts';
import { unknownUser, type PresenceEvent, type SessionRecord, type UserRecord } from '../../../src/core/records.ts';
import { NO_SLEEPS, withSleep, type ProcessPauses } from '../../../src/core/process-pauses.ts';
import { deepFreeze } from './model/freeze.ts';
import type { AppState, Platform } from '../../../src/core/enums.ts';

export const START = millis(1_700_000_000_000);

export class Story {
  user: UserRecord = unknownUser(userId('alice'), 0);
  policy: Policy = DEFAULT_POLICY;
  now = START;
  slept: ProcessPauses = NO_SLEEPS;
  /** What came of the last command. */
  last: Outcome = { user: this.user, changes: [], ended: [], session: null, durable: false };
  #made = 0;

  constructor(change: PolicyChange = {}) {
    this.policy = changePolicy(DEFAULT_POLICY, change);
  }

  /** The server is asleep for so long. */
  sleeps(ms: number): this {
    const from = this.now;
    this.after(ms);
    this.slept = withSleep(this.slept, { from, until: this.now });
    return this;
  }

  after(ms: number): this {
    this.now = later(this.now, ms);
    return this;
  }

  do(command: Command): Outcome {
    this.last = step(deepFreeze(this.user), deepFreeze(command), deepFreeze(this.policy), this.now, this.slept);
    this.user = this.last.user;
    return this.last;
  }

  changePolicy(change: PolicyChange): void {
    this.policy = changePolicy(this.policy, change);
  }

  login(platform: Platform, also: { device?: string; link?: SocketId; ipAddress?: string } = {}): SessionId {
    const id = sessionId(`${platform}-${++this.#made}`);
    const command: Login = {
      type: 'login',
      sessionId: id,
      platform,
      deviceId: deviceId(also.device ?? `device-${this.#made}`),
      tokenHash: `hash-${this.#made}`,
      appVersion: '1.2.3',
      osVersion: '17',
      ipAddress: also.ipAddress ?? null,
      watch: null,
      link: also.link ?? null,
    };
    this.do(command);
    return id;
  }

  attach(id: SessionId): SocketId {
    const link = linkId(`link-${++this.#made}`);
    this.do({ type: 'attach', sessionId: id, link, ipAddress: null });
    return link;
  }

  detach = (link: SocketId, byServer = false): Outcome => this.do({ type: 'detach', link, byServer });
  beat = (id: SessionId, appState: AppState | null = null): Outcome =>
    this.do({ type: 'heartbeat', sessionId: id, appState, ipAddress: null });
  live = (id: SessionId, link: SocketId | null = null): Outcome =>
    this.do({ type: 'life', sessionId: id, link, ipAddress: null });
  logout = (id: SessionId): Outcome => this.do({ type: 'logout', sessionId: id });
  setText = (id: SessionId, text: string | null): Outcome => this.do({ type: 'customStatus', sessionId: id, text });
  end = (what: { platform?: Platform; id?: SessionId; revokeTokens?: boolean } = {}): Outcome =>
    this.do({
      type: 'end',
      platform: what.platform ?? null,
      sessionId: what.id ?? null,
      revokeTokens: what.revokeTokens ?? false,
    });
  wake = (): Outcome => this.do({ type: 'wake' });
  restart(): void {
    this.user = afterRestart(deepFreeze(this.user), this.now);
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
    const at = deadline(this.user, this.slept);
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
