/**
 * The reference store, whose every asynchronous place can be held: what happens between a read and a
 * commit is decided by the test, not by luck.
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
  /** The whole log, as the tests may know it. */
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
  /** Committed, in the order of the log, and not told yet. */
  #untold: (readonly CommittedChange[])[] = [];

  /** @param pass is awaited at every place where a real store would be somewhere else for a while. */
  constructor(pass?: Pass) {
    this.#pass = pass ?? this.gates.pass;
    this.#store.onCommit((changes) => {
      for (const { events } of changes) this.events.push(...events);
      this.#untold.push(changes);
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

  /** The server sleeps for so long. */
  sleepsFor(ms: number): void {
    this.#clock.pause(ms);
  }

  /** So much time passes that everything logged until now is removed. */
  async forgets(): Promise<void> {
    this.passes(RETENTION + 1);
    await this.#store.purgeExpiredData();
  }

  /** The position right after the log's first `count` events. */
  async cursorAt(count: number): Promise<Cursor> {
    return this.events[count - 1]?.cursor ?? this.#beginning;
  }

  /** As last committed. */
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
      const upToThis = this.#untold.at(-1);
      await this.#pass('before telling');
      this.#tellThrough(upToThis);
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
    readLatestEvents: async (userId, limit) => {
      const events = await this.#store.eventLog.readLatestEvents(userId, limit);
      await this.#pass('reading the log');
      return events;
    },
  };

  listOnlineUsers: PresenceStore['listOnlineUsers'] = (query) => this.#store.listOnlineUsers(query);
  getPresenceCounts: PresenceStore['getPresenceCounts'] = () => this.#store.getPresenceCounts();
  getWriteBacklog: PresenceStore['getWriteBacklog'] = () => this.#store.getWriteBacklog();
  close: PresenceStore['close'] = () => this.#store.close();

  /** Tells what was committed up to those changes; later ones wait for their own turn. */
  #tellThrough(last: readonly CommittedChange[] | undefined): void {
    const end = last === undefined ? 0 : this.#untold.indexOf(last) + 1;
    for (const changes of this.#untold.splice(0, end)) for (const listener of this.#listeners) listener(changes);
  }
}
