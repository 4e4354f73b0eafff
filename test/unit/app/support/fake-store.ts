/**
 * The reference store, whose every asynchronous place can be held: what happens between a read and a
 * commit is decided by the test, not by luck.
 */
import type {
  CommittedChange,
  EventLog,
  FailedUpdate,
  LoggedEvent,
  PresenceStore,
} from '../../../../src/app/ports/presence-store.ts';
import type { Outcome } from '../../../../src/core/commands.ts';
import { millis, type Cursor, type Millis, type SessionId, type UserId } from '../../../../src/core/ids.ts';
import { DEFAULT_POLICY, type Policy } from '../../../../src/core/policy.ts';
import { unknownUser, type EndedSession, type UserRecord } from '../../../../src/core/records.ts';
import type { ProcessPauses } from '../../../../src/core/process-pauses.ts';
import { MemoryStore } from '../../../contract/memory-store.ts';
import { VirtualClock } from '../../../contract/virtual-clock.ts';
import { Gates, type Pass } from './gates.ts';
import { updateEach } from '../../../contract/update-each.ts';

export const START = millis(1_700_000_000_000);
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
    sleeps: this.#clock.sleeps,
    policySeed: DEFAULT_POLICY,
    eventRetentionMs: RETENTION,
  });
  readonly #beginning = this.#store.log.latestCursor();
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

  sleeps(): ProcessPauses {
    return this.#store.sleeps();
  }

  passes(ms: number): void {
    this.#clock.advance(ms);
  }

  /** The server sleeps for so long. */
  sleepsFor(ms: number): void {
    this.#clock.sleep(ms);
  }

  /** So much time passes that everything logged until now is removed. */
  async forgets(): Promise<void> {
    this.passes(RETENTION + 1);
    await this.#store.purge();
  }

  /** The position right after the log's first `count` events. */
  async cursorAt(count: number): Promise<Cursor> {
    return this.events[count - 1]?.cursor ?? this.#beginning;
  }

  /** As last committed. */
  user(id: UserId): UserRecord {
    return this.#users.get(id) ?? unknownUser(id, 0);
  }

  async read(ids: readonly UserId[]): Promise<readonly UserRecord[]> {
    await this.#pass('before reading');
    const users = await this.#store.read(ids);
    await this.#pass('after reading');
    return users;
  }

  update(id: UserId, decide: (user: UserRecord, policy: Policy, now: Millis) => Outcome): Promise<Outcome> {
    const before = this.#turns.get(id) ?? Promise.resolve();
    const own = before.then(async () => {
      await this.#pass('before deciding');
      const outcome = await this.#store.update(id, decide);
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

  updateAll(...given: Parameters<PresenceStore['updateAll']>): Promise<readonly FailedUpdate[]> {
    return updateEach(this, this.#turns, ...given);
  }

  async findEnded(userId: UserId, id: SessionId): Promise<EndedSession | null> {
    await this.#pass('before reading');
    const ended = await this.#store.findEnded(userId, id);
    await this.#pass('after reading');
    return ended;
  }

  async claimDue(limit: number): Promise<readonly UserId[]> {
    await this.#pass('before reading');
    return this.#store.claimDue(limit);
  }

  onCommit(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  policy(): Policy {
    return this.#store.policy();
  }

  updatePolicy(decide: (policy: Policy) => Policy): Promise<Policy> {
    return this.#store.updatePolicy(decide);
  }

  readonly log: EventLog = {
    latestCursor: async () => {
      await this.#pass('reading the log');
      return this.#store.log.latestCursor();
    },
    read: async (query) => {
      const page = await this.#store.log.read(query);
      await this.#pass('reading the log');
      return page;
    },
    scan: async (query) => {
      const scanned = await this.#store.log.scan(query);
      await this.#pass('reading the log');
      return scanned;
    },
    latest: async (userId, limit) => {
      const events = await this.#store.log.latest(userId, limit);
      await this.#pass('reading the log');
      return events;
    },
  };

  listOnline: PresenceStore['listOnline'] = (query) => this.#store.listOnline(query);
  counts: PresenceStore['counts'] = () => this.#store.counts();
  workload: PresenceStore['workload'] = () => this.#store.workload();
  close: PresenceStore['close'] = () => this.#store.close();

  /** Tells what was committed up to those changes; later ones wait for their own turn. */
  #tellThrough(last: readonly CommittedChange[] | undefined): void {
    const end = last === undefined ? 0 : this.#untold.indexOf(last) + 1;
    for (const changes of this.#untold.splice(0, end)) for (const listener of this.#listeners) listener(changes);
  }
}
