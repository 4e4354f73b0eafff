/**
 * What the use cases need of a store, and nothing that a particular store has. Every adapter passes
 * the same suite (test/contract). All of it is asynchronous, because the next store is a network away.
 */
import type { CommandOutcome } from '../../core/commands.ts';
import type { Cursor, DeviceId, Millis, SessionId, UserId } from '../../core/ids.ts';
import type { Policy } from '../../core/policy.ts';
import type { UserChange, EndedSession, PresenceEvent, UserRecord } from '../../core/records.ts';
import type { ProcessPauses } from '../../core/process-pauses.ts';
import type { LiveStatus, Platform } from '../../core/enums.ts';

/** An event as it stands in the log. */
export interface LoggedEvent extends PresenceEvent {
  /** Resume position right after this event. */
  readonly cursor: Cursor;
  /** The same for all events of one change. */
  readonly changeId: string;
}

/** A change that is on disk: what may be told. Where its events stand in the log, the log tells whoever reads it. */
export interface CommittedChange extends UserChange {
  /** The user right after the whole command that made the change. */
  readonly user: UserRecord;
}

/** A user whom `updateAll` left as she was, and what was thrown. */
export interface FailedUserUpdate {
  readonly userId: UserId;
  readonly error: unknown;
}

export interface PresenceStore {
  /** The one time there is: whole milliseconds, never set back while the store is open. */
  now(): Millis;

  /** When the server was asleep, as known by the last `now()`: what is due, and when, takes it into account. */
  getProcessPauses(): ProcessPauses;

  /**
   * The users as last committed, in the order asked, duplicates and all; those never seen as
   * `unknownUser`. Each is one consistent instant. Never waits for a change under way.
   */
  readUsers(ids: readonly UserId[]): Promise<readonly UserRecord[]>;

  /**
   * One change of one user: decides on the latest record and makes the outcome durable, if it asks
   * for that, before it resolves. Updates of one user run one after another, in the order they were
   * called; users never wait for each other. Listeners of `onCommit` have been called when it resolves.
   * `decide` may run more than once and must be pure. `now` never goes back for one user.
   * @throws what `decide` throws (nothing has changed then), or the store's own failure (likewise).
   */
  updateUser(
    id: UserId,
    decide: (user: UserRecord, policy: Policy, now: Millis) => CommandOutcome,
  ): Promise<CommandOutcome>;

  /**
   * `update` of each of these users, in this order, with one decision for all: one of them may fail
   * without the others. It gives way once: where a change of a user is under way, whatever waits for that
   * too goes first, whenever it came, so that nobody is timed out whose sign of life has come; what comes
   * after that change is durable goes behind. For thousands at once it costs a fraction of as many calls of
   * `update`. As much as one call is given is decided without a pause: the caller bounds it.
   * @returns whom it failed for; all the others' changes are durable and told when it resolves.
   * @throws the store's refusal, when it is closed.
   */
  updateUsers(
    ids: readonly UserId[],
    decide: (user: UserRecord, policy: Policy, now: Millis) => CommandOutcome,
  ): Promise<readonly FailedUserUpdate[]>;

  /** A session that ended less than 7 days ago, without links; null for one that lives, or is not known (any more). */
  findEndedSession(userId: UserId, sessionId: SessionId): Promise<EndedSession | null>;

  /**
   * Takes up to `limit` users whose deadline has come by `now()`, earliest first as far as the timer's
   * grain (at most 200 ms) tells. A user taken is not handed out again until she is updated or
   * `retryMs` (about 1 s) went by, so that a failed wake is tried again. May hand out users who turn
   * out not to be due: `step` looks again.
   */
  claimDueUsers(limit: number): Promise<readonly UserId[]>;

  /**
   * Calls `listener` with every committed change, in the order of the log, each once, never before it
   * is durable. Returns the function that ends it. A listener must not throw.
   */
  onCommit(listener: (changes: readonly CommittedChange[]) => void): () => void;

  /** The policy in force. Changes of it are visible at once after `updatePolicy`. */
  getPolicy(): Policy;

  /** Makes a changed policy durable, then puts it in force. Changes run one after another. */
  updatePolicy(decide: (policy: Policy) => Policy): Promise<Policy>;

  /** Users who are not OFFLINE, by id (binary order of their UTF-8), right after `after`. */
  listOnlineUsers(query: OnlineUsersQuery): Promise<OnlineUsersPage>;

  /** Counted as of now, without a scan. */
  getPresenceCounts(): PresenceCounts;

  /** How far durability is behind, as of now. Never fails, costs next to nothing. */
  getWriteBacklog(): WriteBacklog;

  readonly eventLog: EventLog;

  /** Writes what is still in memory alone, then closes. Updates called later are refused. */
  close(): Promise<void>;
}

export interface EventLog {
  /** The end of the log. Everything committed later comes after it. */
  getLatestCursor(): Promise<Cursor>;

  /**
   * Events right after `after` (null: from the oldest kept), in the order of the log.
   * With `wholeChanges`, as many more than `limit` as complete the last change.
   * @throws BAD_USER_INPUT for a cursor this log did not make, CURSOR_EXPIRED for one with events
   * after it that the retention has removed.
   */
  readEvents(query: EventLogQuery): Promise<EventLogPage>;

  /**
   * Whole changes after `after`, of which only the events that match: at least `limit` of them, with those of the
   * change that `limit` falls in, unless the log ends before, or about a thousand events were looked at.
   * @throws as `read`.
   */
  scanEvents(query: EventLogScan): Promise<EventLogScanResult>;

  /** The last `limit` events of one user that are kept, the newest first. */
  readLatestEvents(userId: UserId, limit: number): Promise<readonly LoggedEvent[]>;
}

export interface EventLogQuery {
  readonly after: Cursor | null;
  readonly limit: number;
  /** Only this user's events. */
  readonly userId?: UserId | undefined;
  readonly wholeChanges?: boolean;
}

export interface EventLogScan {
  readonly after: Cursor | null;
  readonly limit: number;
  /** Must be quick, and pure. */
  readonly matchesEvent: (event: PresenceEvent) => boolean;
}

export interface EventLogScanResult {
  readonly events: readonly LoggedEvent[];
  /** How far the log was looked at: a scan after here goes on without gap or repeat. */
  readonly scannedThrough: Cursor;
  /** Is there more to look at, as of now? */
  readonly hasMore: boolean;
}

export interface EventLogPage {
  readonly events: readonly LoggedEvent[];
  readonly hasMore: boolean;
}

export interface OnlineUsersQuery {
  readonly after: UserId | null;
  readonly limit: number;
  /** The user's status. */
  readonly status?: LiveStatus | undefined;
  /** A live session on this platform. */
  readonly platform?: Platform | undefined;
}

export interface OnlineUsersPage {
  readonly users: readonly UserRecord[];
  readonly hasMore: boolean;
}

export interface PresenceCounts {
  readonly usersOnline: number;
  readonly usersPushOnline: number;
  readonly sessions: Readonly<Record<Platform, { readonly online: number; readonly pushOnline: number }>>;
}

export interface WriteBacklog {
  /** Changes on their way to the disk: decided, or about to be, and not durable yet. */
  readonly pendingChanges: number;
  /** For how long the oldest of them has been waiting, in milliseconds, to within one commit; 0 without any. */
  readonly oldestPendingMs: number;
}

/** Makes what must not be guessed. */
export interface CredentialFactory {
  /** A new session's id, its token (told once) and the hash of the token's secret (kept). */
  createSessionCredentials(userId: UserId): {
    readonly sessionId: SessionId;
    readonly token: string;
    readonly tokenHash: string;
  };
  createDeviceId(): DeviceId;
}
