/** A reference implementation of the presence store in memory, written for clarity instead of speed. */
import type {
  CommittedChange,
  EventLog,
  FailedUserUpdate,
  LoggedEvent,
  EventLogPage,
  EventLogQuery,
  OnlineUsersPage,
  OnlineUsersQuery,
  PresenceCounts,
  PresenceStore,
  WriteBacklog,
} from '../../src/app/ports/presence-store.ts';
import type { CommandOutcome } from '../../src/core/commands.ts';
import { computeUserDeadline } from '../../src/core/deadlines.ts';
import { badUserInputError, DomainError } from '../../src/core/errors.ts';
import type { Cursor, Millis, SessionId, UserId } from '../../src/core/ids.ts';
import type { Policy } from '../../src/core/policy.ts';
import { createUnknownUser, type EndedSession, type UserRecord } from '../../src/core/records.ts';
import { NO_PAUSES, type ProcessPauses } from '../../src/core/process-pauses.ts';
import { PLATFORMS, type Platform } from '../../src/core/enums.ts';
import { updateEach } from './update-each.ts';

export interface MemoryStoreOptions {
  readonly clock: () => Millis;
  readonly getProcessPauses?: () => ProcessPauses;
  readonly policySeed: Policy;
  readonly eventRetentionMs: number;
  /** Awaited before each change is committed, to simulate a slow disk. Heartbeats do not wait for it. */
  readonly beforeCommit?: () => Promise<void>;
}

const DAY_MS = 86_400_000;
const MAX_SCANNED_EVENTS = 1_000;
const CLAIM_RETRY_MS = 1_000;

let logs = 0;

/** A committed change whose events have their cursors already. */
export interface LoggedChange extends CommittedChange {
  readonly events: readonly LoggedEvent[];
}

export class MemoryStore implements PresenceStore {
  readonly #options: MemoryStoreOptions;
  readonly #logId = `memory ${++logs} at `;
  readonly #users = new Map<UserId, UserRecord>();
  readonly #lastUpdates = new Map<UserId, Promise<unknown>>();
  /** The time of the call of each update in progress, the oldest first. */
  readonly #pendingUpdates = new Set<{ readonly since: Millis }>();
  readonly #claims = new Map<UserId, Millis>();
  readonly #listeners: ((changes: readonly LoggedChange[]) => void)[] = [];
  #endedSessions: (EndedSession & { readonly userId: UserId })[] = [];
  /** The event with sequence number n is at index n - 1; removed events are undefined. */
  readonly #events: (LoggedEvent | undefined)[] = [];
  #removedEvents = 0;
  #versionFloor = 0;
  #policy: Policy;
  #lastPolicyUpdate: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: MemoryStoreOptions) {
    this.#options = options;
    this.#policy = options.policySeed;
  }

  now(): Millis {
    return this.#options.clock();
  }

  getProcessPauses(): ProcessPauses {
    return this.#options.getProcessPauses?.() ?? NO_PAUSES;
  }

  async readUsers(ids: readonly UserId[]): Promise<readonly UserRecord[]> {
    this.#checkOpen();
    return ids.map((id) => this.#findUser(id));
  }

  async updateUser(
    id: UserId,
    decide: (user: UserRecord, policy: Policy, now: Millis) => CommandOutcome,
  ): Promise<CommandOutcome> {
    this.#checkOpen();
    const before = this.#lastUpdates.get(id) ?? Promise.resolve();
    const pendingUpdate = { since: this.now() };
    this.#pendingUpdates.add(pendingUpdate);
    const update = before
      .then(async () => {
        const outcome = decide(this.#findUser(id), this.#policy, this.now());
        const { beforeCommit } = this.#options;
        if (beforeCommit !== undefined && outcome.changes.length > 0) await beforeCommit();
        return this.#applyOutcome(id, outcome);
      })
      .finally(() => this.#pendingUpdates.delete(pendingUpdate));
    this.#lastUpdates.set(
      id,
      update.catch(() => undefined),
    );
    return update;
  }

  updateUsers(...given: Parameters<PresenceStore['updateUsers']>): Promise<readonly FailedUserUpdate[]> {
    return updateEach(this, this.#lastUpdates, ...given);
  }

  async findEndedSession(userId: UserId, sessionId: SessionId): Promise<EndedSession | null> {
    this.#checkOpen();
    const found = this.#endedSessions.find((ended) => ended.userId === userId && ended.session.id === sessionId);
    if (found === undefined || this.now() - found.endedAt >= 7 * DAY_MS) return null;
    const { userId: _, ...ended } = found;
    return ended;
  }

  async claimDueUsers(limit: number): Promise<readonly UserId[]> {
    this.#checkOpen();
    const now = this.now();
    const due = [...this.#users.values()]
      .map((user) => ({ id: user.id, at: computeUserDeadline(user, this.getProcessPauses()) }))
      .filter(({ id, at }) => at !== null && at <= now && (this.#claims.get(id) ?? now) <= now)
      .sort((one, other) => Number(one.at) - Number(other.at))
      .slice(0, limit);
    for (const { id } of due) this.#claims.set(id, (now + CLAIM_RETRY_MS) as Millis);
    return due.map(({ id }) => id);
  }

  onCommit(listener: (changes: readonly LoggedChange[]) => void): () => void {
    this.#listeners.push(listener);
    return () => {
      this.#listeners.splice(this.#listeners.indexOf(listener), 1);
    };
  }

  getPolicy(): Policy {
    return this.#policy;
  }

  async updatePolicy(decide: (policy: Policy) => Policy): Promise<Policy> {
    this.#checkOpen();
    const update = this.#lastPolicyUpdate.then(() => (this.#policy = decide(this.#policy)));
    this.#lastPolicyUpdate = update.catch(() => undefined);
    return update;
  }

  async listOnlineUsers({ after, limit, status, platform }: OnlineUsersQuery): Promise<OnlineUsersPage> {
    this.#checkOpen();
    const matching = [...this.#users.values()]
      .filter((user) => user.status !== 'OFFLINE')
      .filter((user) => status === undefined || user.status === status)
      .filter((user) => platform === undefined || user.sessions.some((session) => session.platform === platform))
      .filter((user) => after === null || byUtf8(user.id, after) > 0)
      .sort((one, other) => byUtf8(one.id, other.id));
    return { users: matching.slice(0, limit), hasMore: matching.length > limit };
  }

  getPresenceCounts(): PresenceCounts {
    const users = [...this.#users.values()];
    const sessions = users.flatMap((user) => user.sessions);
    const of = (platform: Platform, status: string): number =>
      sessions.filter((session) => session.platform === platform && session.status === status).length;
    return {
      usersOnline: users.filter((user) => user.status === 'ONLINE').length,
      usersPushOnline: users.filter((user) => user.status === 'PUSH_ONLINE').length,
      sessions: Object.fromEntries(
        PLATFORMS.map((platform) => [
          platform,
          { online: of(platform, 'ONLINE'), pushOnline: of(platform, 'PUSH_ONLINE') },
        ]),
      ) as PresenceCounts['sessions'],
    };
  }

  getWriteBacklog(): WriteBacklog {
    const [oldest] = this.#pendingUpdates;
    return {
      pendingChanges: this.#pendingUpdates.size,
      oldestPendingMs: oldest === undefined ? 0 : this.now() - oldest.since,
    };
  }

  readonly eventLog: EventLog = {
    getLatestCursor: async () => {
      this.#checkOpen();
      return this.#cursorAt(this.#events.length);
    },
    readEvents: async (query) => {
      this.#checkOpen();
      return this.#readLog(query);
    },
    scanEvents: async ({ after, limit, matchesEvent: matching }) => {
      this.#checkOpen();
      const { events, hasMore } = this.#readLog({ after, limit: MAX_SCANNED_EVENTS, wholeChanges: true });
      let end = 0;
      for (let found = 0; end < events.length; end++) {
        const event = events[end];
        if (event === undefined || (found >= limit && event.changeId !== events[end - 1]?.changeId)) break;
        if (matching(event)) found++;
      }
      const looked = events.slice(0, end);
      return {
        events: looked.filter(matching),
        scannedThrough: looked.at(-1)?.cursor ?? after ?? this.#cursorAt(this.#removedEvents),
        hasMore: hasMore || end < events.length,
      };
    },
    readLatestEventsOfUser: async (userId, limit) => {
      this.#checkOpen();
      const { events } = this.#readLog({ after: null, limit: Infinity, userId });
      return events.toReversed().slice(0, limit);
    },
  };

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#lastUpdates.values(), this.#lastPolicyUpdate]);
  }

  /** Removes everything that is older than the retention. */
  async purgeExpiredData(): Promise<void> {
    const now = this.now();
    const { eventRetentionMs } = this.#options;
    for (; this.#removedEvents < this.#events.length; this.#removedEvents++) {
      const oldest = this.#events[this.#removedEvents];
      if (oldest === undefined || oldest.occurredAt >= now - eventRetentionMs) break;
      this.#events[this.#removedEvents] = undefined;
    }
    this.#endedSessions = this.#endedSessions.filter((ended) => now - ended.endedAt < 7 * DAY_MS);
    const before = now - Math.max(eventRetentionMs, 7 * DAY_MS);
    for (const user of [...this.#users.values()]) {
      if (user.status !== 'OFFLINE' || user.changedAt === null || user.changedAt > before) continue;
      this.#versionFloor = Math.max(this.#versionFloor, user.version);
      const { tokensRevokedBefore } = user;
      if (tokensRevokedBefore === null) this.#users.delete(user.id);
      else this.#users.set(user.id, { ...createUnknownUser(user.id, 0), tokensRevokedBefore });
    }
  }

  #findUser(id: UserId): UserRecord {
    const user = this.#users.get(id) ?? createUnknownUser(id, 0);
    return user.version === 0 ? { ...user, versionFloor: this.#versionFloor } : user;
  }

  #applyOutcome(id: UserId, outcome: CommandOutcome): CommandOutcome {
    if (outcome.user.version > 0 || outcome.mustBeDurable) this.#users.set(id, outcome.user);
    this.#claims.delete(id);
    for (const ended of outcome.endedSessions) {
      this.#endedSessions.push({ ...ended, userId: id, session: { ...ended.session, socketIds: [] } });
    }
    const changes = outcome.changes.map((change) => {
      const changeId = `change ${this.#events.length + 1}`;
      const events = change.events.map((event) => {
        const logged = { ...event, changeId, cursor: this.#cursorAt(this.#events.length + 1) };
        this.#events.push(logged);
        return logged;
      });
      return { ...change, events, user: outcome.user };
    });
    if (changes.length > 0) for (const listener of [...this.#listeners]) listener(changes);
    return outcome;
  }

  #readLog({ after, limit, userId, wholeChanges = false }: EventLogQuery): EventLogPage {
    const start = after === null ? this.#removedEvents : this.#seqOf(after);
    if (start < this.#removedEvents) throw new DomainError({ code: 'CURSOR_EXPIRED' }, 'Expired.');
    const following = this.#events
      .slice(start)
      .filter((event) => event !== undefined)
      .filter((event) => userId === undefined || event.userId === userId);
    let end = limit;
    if (wholeChanges) while (end < following.length && following[end]?.changeId === following[end - 1]?.changeId) end++;
    return { events: following.slice(0, end), hasMore: following.length > end };
  }

  #seqOf(cursor: Cursor): number {
    for (let seq = 0; seq <= this.#events.length; seq++) if (this.#cursorAt(seq) === cursor) return seq;
    throw badUserInputError('The cursor is not one of this log.');
  }

  #cursorAt(seq: number): Cursor {
    return `${this.#logId}${seq}` as Cursor;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new Error('The store is closed.');
  }
}

const byUtf8 = (one: string, other: string): number => Buffer.compare(Buffer.from(one), Buffer.from(other));
