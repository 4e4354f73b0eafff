/**
 * The reference store with a gate at every asynchronous step, so that the test decides what happens between
 * a read and a commit.
 */
import type {
  CommittedChange,
  EventLog,
  FailedUserUpdate,
  LoggedEvent,
  PresenceStore,
} from '../../../../src/app/ports/presence-store.ts';
import type { CommandOutcome } from '../../../../src/core/commands.ts';
import { toMillis, type Cursor, type Millis, type SessionId, type UserId } from '../../../../src/core/ids.ts';
import { DEFAULT_POLICY, type Policy } from '../../../../src/core/policy.ts';
import { createUnknownUser, type EndedSession, type UserRecord } from '../../../../src/core/records.ts';
import type { ProcessPauses } from '../../../../src/core/process-pauses.ts';
import { MemoryStore } from '../../../contract/memory-store.ts';
import { VirtualClock } from '../../../contract/virtual-clock.ts';
import { Gates, type Pass } from './gates.ts';
import { updateEach } from '../../../contract/update-each.ts';

export const START = toMillis(1_700_000_000_000);
export const DAY = 86_400_000;
const RETENTION = 30 * DAY;

type Listener = (changes: readonly CommittedChange[]) => void;

export class FakeStore implements PresenceStore {
  readonly gates = new Gates();
  /** All events of the log. */
  readonly events: LoggedEvent[] = [];
  readonly #pass: Pass;
  readonly #clock = new VirtualClock(START);
  readonly #store = new MemoryStore({
    clock: this.#clock.now,
    getProcessPauses: this.#clock.getProcessPauses,
    policySeed: DEFAULT_POLICY,
    eventRetentionMs: RETENTION,
  });
  readonly #beginning = this.#store.eventLog.getLatestCursor();
  readonly #users = new Map<UserId, UserRecord>();
  readonly #turns = new Map<UserId, Promise<unknown>>();
  readonly #listeners = new Set<Listener>();
  /** Committed changes, in the order of the log, that are not published yet. */
  #unpublished: (readonly CommittedChange[])[] = [];

  /** @param pass is awaited at every step where a real store would be asynchronous. */
  constructor(pass?: Pass) {
    this.#pass = pass ?? this.gates.pass;
    this.#store.onCommit((changes) => {
      for (const { events } of changes) this.events.push(...events);
      this.#unpublished.push(changes);
    });
  }

  now(): Millis {
    return this.#store.now();
  }

  getProcessPauses(): ProcessPauses {
    return this.#store.getProcessPauses();
  }

  passes(ms: number): void {
    this.#clock.advance(ms);
  }

  /** Pauses the process for this time. */
  pauseProcess(ms: number): void {
    this.#clock.pause(ms);
  }

  /** Lets the retention remove every event logged until now. */
  async forgets(): Promise<void> {
    this.passes(RETENTION + 1);
    await this.#store.purgeExpiredData();
  }

  /** The position right after the first `count` events of the log. */
  async cursorAt(count: number): Promise<Cursor> {
    return this.events[count - 1]?.cursor ?? this.#beginning;
  }

  /** The last committed record. */
  user(id: UserId): UserRecord {
    return this.#users.get(id) ?? createUnknownUser(id, 0);
  }

  async readUsers(ids: readonly UserId[]): Promise<readonly UserRecord[]> {
    await this.#pass('before reading');
    const users = await this.#store.readUsers(ids);
    await this.#pass('after reading');
    return users;
  }

  updateUser(
    id: UserId,
    decide: (user: UserRecord, policy: Policy, now: Millis) => CommandOutcome,
  ): Promise<CommandOutcome> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const own = before.then(async () => {
      await this.#pass('before deciding');
      const outcome = await this.#store.updateUser(id, decide);
      this.#users.set(id, outcome.user);
      const upToThis = this.#unpublished.at(-1);
      await this.#pass('before publishing');
      this.#publishUpTo(upToThis);
      await this.#pass('before answering');
      return outcome;
    });
    const settled = own.catch(() => undefined);
    this.#turns.set(id, settled);
    return own;
  }

  updateUsers(...given: Parameters<PresenceStore['updateUsers']>): Promise<readonly FailedUserUpdate[]> {
    return updateEach(this, this.#turns, ...given);
  }

  async findEndedSession(userId: UserId, id: SessionId): Promise<EndedSession | null> {
    await this.#pass('before reading');
    const ended = await this.#store.findEndedSession(userId, id);
    await this.#pass('after reading');
    return ended;
  }

  async claimDueUsers(limit: number): Promise<readonly UserId[]> {
    await this.#pass('before reading');
    return this.#store.claimDueUsers(limit);
  }

  onCommit(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  getPolicy(): Policy {
    return this.#store.getPolicy();
  }

  updatePolicy(decide: (policy: Policy) => Policy): Promise<Policy> {
    return this.#store.updatePolicy(decide);
  }

  readonly eventLog: EventLog = {
    getLatestCursor: async () => {
      await this.#pass('reading the log');
      return this.#store.eventLog.getLatestCursor();
    },
    readEvents: async (query) => {
      const page = await this.#store.eventLog.readEvents(query);
      await this.#pass('reading the log');
      return page;
    },
    scanEvents: async (query) => {
      const scanned = await this.#store.eventLog.scanEvents(query);
      await this.#pass('reading the log');
      return scanned;
    },
    readLatestEventsOfUser: async (userId, limit) => {
      const events = await this.#store.eventLog.readLatestEventsOfUser(userId, limit);
      await this.#pass('reading the log');
      return events;
    },
  };

  listOnlineUsers: PresenceStore['listOnlineUsers'] = (query) => this.#store.listOnlineUsers(query);
  getPresenceCounts: PresenceStore['getPresenceCounts'] = () => this.#store.getPresenceCounts();
  getWriteBacklog: PresenceStore['getWriteBacklog'] = () => this.#store.getWriteBacklog();
  close: PresenceStore['close'] = () => this.#store.close();

  /** Publishes what was committed up to these changes. Later ones wait for their own commit. */
  #publishUpTo(last: readonly CommittedChange[] | undefined): void {
    const end = last === undefined ? 0 : this.#unpublished.indexOf(last) + 1;
    for (const changes of this.#unpublished.splice(0, end)) for (const listener of this.#listeners) listener(changes);
  }
}
