/**
 * The port through which the use cases store and read presence. Every adapter passes the contract suite in
 * `test/contract`. All methods that may need I/O are asynchronous, so that a store can be on another machine.
 */
import type { CommandOutcome } from '../../core/commands.ts';
import type { LiveStatus, Platform } from '../../core/enums.ts';
import type { Cursor, DeviceId, Millis, SessionId, UserId } from '../../core/ids.ts';
import type { Policy } from '../../core/policy.ts';
import type { ProcessPauses } from '../../core/process-pauses.ts';
import type { EndedSession, PresenceEvent, UserChange, UserRecord } from '../../core/records.ts';

/** An event with its position in the log. */
export interface LoggedEvent extends PresenceEvent {
  /** Resume position right after this event. */
  readonly cursor: Cursor;
  /** The same for all events of one change. */
  readonly changeId: string;
}

/** A durable change, ready to be published. Its events have no cursors here: read the event log for those. */
export interface CommittedChange extends UserChange {
  /** The user right after the command that made the change. A command can make several changes. */
  readonly user: UserRecord;
}

/** A user whom `updateUsers` did not change, and the error. */
export interface FailedUserUpdate {
  readonly userId: UserId;
  readonly error: unknown;
}

/** Decides a change of one user. Must be pure; it may run more than once for one update. */
export type DecideUpdate = (user: UserRecord, policy: Policy, now: Millis) => CommandOutcome;

export interface PresenceStore {
  /** The current time, in whole milliseconds. It never goes back while the store is open. All times are by this clock. */
  now(): Millis;

  /** The process pauses known by the last call of `now()`. Deadlines must be computed with them. */
  getProcessPauses(): ProcessPauses;

  /**
   * Reads the users as last committed, in the order of `ids`, with duplicates. A user without a record is returned as
   * by `createUnknownUser`. Each record is consistent. Does not wait for updates in progress.
   */
  readUsers(ids: readonly UserId[]): Promise<readonly UserRecord[]>;

  /**
   * Changes one user atomically: calls `decide` with the latest record and applies the outcome. If the outcome requires
   * it, the change is durable before the promise resolves. Listeners of `onCommit` have been called by then.
   * Updates of one user run one after another, in the order of the calls; updates of different users do not wait for
   * each other. For one user, `now` never goes back.
   * @throws the error of `decide`, or an error of the store. Nothing has changed then.
   */
  updateUser(id: UserId, decide: DecideUpdate): Promise<CommandOutcome>;

  /**
   * Like `updateUser` for each of these users, in this order, with one `decide`; a failed user does not affect the others.
   * It has low priority, so that no user times out whose activity is in the queue: if a change of the user is in
   * progress, every update that waits for it runs first. Updates that come after that change is durable run later.
   * For thousands of users it costs a fraction of as many calls of `updateUser`. All users of one call are decided
   * without a pause for other work, so the caller must limit their number.
   * @returns the users for whom it failed. All other changes are durable and published by then.
   * @throws an error of the store when the store is closed.
   */
  updateUsers(ids: readonly UserId[], decide: DecideUpdate): Promise<readonly FailedUserUpdate[]>;

  /**
   * A session that ended less than 7 days ago, without its sockets. Null for a live session, an unknown one, and one
   * that ended earlier.
   */
  findEndedSession(userId: UserId, sessionId: SessionId): Promise<EndedSession | null>;

  /**
   * Claims up to `limit` users whose deadline has passed by `now()`, the earliest first, to the timer's resolution (at
   * most 200 ms). A claimed user is not returned again until the user is updated or about 1 s has passed, so a
   * failed update is retried. May return users who are not due: `applyCommand` checks the deadline.
   */
  claimDueUsers(limit: number): Promise<readonly UserId[]>;

  /**
   * Registers a listener for committed changes. It receives every change once, in the order of the log, after the
   * change is durable. The listener must not throw.
   * @returns a function that removes the listener.
   */
  onCommit(listener: (changes: readonly CommittedChange[]) => void): () => void;

  /** The policy in force. */
  getPolicy(): Policy;

  /** Stores a changed policy durably, then puts it in force. Policy updates run one after another. */
  updatePolicy(decide: (policy: Policy) => Policy): Promise<Policy>;

  /** A page of the users who are not OFFLINE, in ascending order of their ids (binary UTF-8), starting right after `after`. */
  listOnlineUsers(query: OnlineUsersQuery): Promise<OnlineUsersPage>;

  /** The current counts. Costs no scan. */
  getPresenceCounts(): PresenceCounts;

  /** The changes that are not durable yet. Never fails and costs next to nothing. */
  getWriteBacklog(): WriteBacklog;

  readonly eventLog: EventLog;

  /** Makes everything durable that is only in memory, then closes. Later updates are rejected. */
  close(): Promise<void>;
}

export interface EventLog {
  /** The end of the log. Everything that is committed later is after it. */
  getLatestCursor(): Promise<Cursor>;

  /**
   * Reads events right after `after` (null: from the oldest stored event), in the order of the log. With `wholeChanges`,
   * the page may exceed `limit` to include the rest of the last change.
   * @throws BAD_USER_INPUT for a cursor that this log did not create; CURSOR_EXPIRED when events after the cursor were
   * removed by the retention.
   */
  readEvents(query: EventLogQuery): Promise<EventLogPage>;

  /**
   * Reads whole changes after `after` and returns the events that match. It stops when it has at least `limit` of them
   * and the change is complete, at the end of the log, or after examining about a thousand events.
   * @throws as `readEvents`.
   */
  scanEvents(query: EventLogScanQuery): Promise<EventLogScanResult>;

  /** The last `limit` stored events of one user, the newest first. */
  readLatestEventsOfUser(userId: UserId, limit: number): Promise<readonly LoggedEvent[]>;
}

export interface EventLogQuery {
  readonly after: Cursor | null;
  readonly limit: number;
  /** Returns only the events of this user. */
  readonly userId?: UserId | undefined;
  readonly wholeChanges?: boolean;
}

export interface EventLogScanQuery {
  readonly after: Cursor | null;
  readonly limit: number;
  /** Must be fast and pure. */
  readonly matchesEvent: (event: PresenceEvent) => boolean;
}

export interface EventLogScanResult {
  readonly events: readonly LoggedEvent[];
  /** The last examined position: a scan after it continues without a gap or a repetition. */
  readonly scannedThrough: Cursor;
  /** Whether the log has events after `scannedThrough`. */
  readonly hasMore: boolean;
}

export interface EventLogPage {
  readonly events: readonly LoggedEvent[];
  readonly hasMore: boolean;
}

export interface OnlineUsersQuery {
  readonly after: UserId | null;
  readonly limit: number;
  /** Only users with this status. */
  readonly status?: LiveStatus | undefined;
  /** Only users with a live session on this platform. */
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
  /** Changes that are decided, or about to be, and not durable yet. */
  readonly pendingChanges: number;
  /** The age of the oldest of them in milliseconds, accurate to one commit; 0 without any. */
  readonly oldestPendingMs: number;
}

/** Creates ids and tokens that cannot be guessed. */
export interface CredentialFactory {
  /** The id of a new session, its token (returned to the client once) and the hash of the token's secret (stored). */
  createSessionCredentials(userId: UserId): {
    readonly sessionId: SessionId;
    readonly token: string;
    readonly tokenHash: string;
  };
  createDeviceId(): DeviceId;
}
