/**
 * The use cases that change presence. Each applies one command to the user and resolves when the store has made the
 * change durable. Watchers, the event feed and sockets receive the change through the store's commits.
 */
import type { Command, CommandOutcome } from '../../core/commands.ts';
import { computeUserDeadline } from '../../core/deadlines.ts';
import { DomainError, unauthenticatedError } from '../../core/errors.ts';
import type { DeviceId, SocketId, Millis, SessionId, UserId } from '../../core/ids.ts';
import { applyCommand } from '../../core/state-machine.ts';
import type { EndedSession, SessionRecord, UserRecord, WatchScope } from '../../core/records.ts';
import type { SessionRef } from '../auth/caller.ts';
import { DisconnectRetries } from './disconnect-retries.ts';
import type { CredentialFactory, FailedUserUpdate, PresenceStore } from '../ports/presence-store.ts';
import type { UserToken } from '../ports/user-token.ts';
import { findRevocationError, TokenRevocationNotifier } from '../auth/token-revocations.ts';
import { LATENCY_BUCKETS_MS, Histogram } from '../shared/histogram.ts';
import type { AppState, Platform } from '../../core/enums.ts';

export interface LoginDevice {
  readonly platform: Platform;
  /** Null: a new device. Its id is created and returned. */
  readonly deviceId: DeviceId | null;
  readonly appVersion: string | null;
  readonly osVersion: string | null;
}

/** The connection that sent a command. */
export interface CommandOrigin {
  readonly ipAddress: string | null;
  /** Null over HTTP. */
  readonly socketId: SocketId | null;
}

export interface LoginResult {
  readonly user: UserRecord;
  readonly session: SessionRecord;
  /** It is not stored and cannot be returned again. */
  readonly sessionToken: string;
  readonly kickedSessions: readonly EndedSession[];
}

export interface SessionResult {
  readonly user: UserRecord;
  readonly session: SessionRecord;
}

export class PresenceTracker {
  readonly tokenRevocations = new TokenRevocationNotifier();
  /** How long after its deadline, in ms, each due user was processed. Time before the server's start is not included. */
  readonly timeoutLateness = new Histogram(LATENCY_BUCKETS_MS);
  readonly #store: PresenceStore;
  readonly #credentials: CredentialFactory;
  readonly #startedAt: Millis;
  #heartbeatCount = 0;
  #activityCount = 0;
  readonly #disconnectRetries = new DisconnectRetries(({ userId, socketId, closedByServer }) =>
    this.#applyToUser(userId, { type: 'detachSocket', socketId, closedByServer }),
  );

  constructor(store: PresenceStore, credentials: CredentialFactory) {
    this.#startedAt = store.now();
    this.#store = store;
    this.#credentials = credentials;
  }

  /** Heartbeats since the start, including rejected ones. */
  get heartbeatCount(): number {
    return this.#heartbeatCount;
  }

  /** Other recorded activity since the start. Several messages that a socket sends at once count as one. */
  get activityCount(): number {
    return this.#activityCount;
  }

  /**
   * Creates a session.
   * @param token the caller's JWT. It is compared with the latest revocation again, because that may have happened after
   * the authentication. Omitted: there is no JWT to check.
   * @throws UNAUTHENTICATED for a revoked JWT.
   */
  async login(
    userId: UserId,
    watchScope: WatchScope,
    request: LoginDevice,
    origin: CommandOrigin,
    token?: Pick<UserToken, 'issuedAt' | 'clockToleranceMs'>,
  ): Promise<LoginResult> {
    const { sessionId, token: sessionToken, tokenHash } = this.#credentials.createSessionCredentials(userId);
    const command: Command = {
      type: 'login',
      sessionId,
      platform: request.platform,
      deviceId: request.deviceId ?? this.#credentials.createDeviceId(),
      tokenHash,
      appVersion: request.appVersion,
      osVersion: request.osVersion,
      ipAddress: origin.ipAddress,
      watchScope,
      socketId: origin.socketId,
    };
    const { user, session, endedSessions } = await this.#store.updateUser(userId, (before, policy, now) => {
      const revocation = token === undefined ? null : findRevocationError(token, before.tokensRevokedBefore);
      if (revocation !== null) throw revocation;
      return applyCommand(before, command, policy, now);
    });
    if (session === null) throw new Error('A login created no session.');
    return {
      user,
      session,
      sessionToken,
      kickedSessions: endedSessions.filter(({ reason }) => reason === 'KICKED'),
    };
  }

  /** @throws SESSION_ENDED, or UNAUTHENTICATED for an unknown session. The next four methods throw the same errors. */
  recordHeartbeat(ref: SessionRef, appState: AppState | null, ipAddress: string | null): Promise<SessionResult> {
    this.#heartbeatCount++;
    return this.#applyToSession(ref, { type: 'heartbeat', sessionId: ref.sessionId, appState, ipAddress });
  }

  /** Records activity other than a heartbeat: an operation, or a message on an attached socket. */
  recordActivity(ref: SessionRef, origin: CommandOrigin): Promise<SessionResult> {
    this.#activityCount++;
    return this.#applyToSession(ref, { type: 'activity', sessionId: ref.sessionId, ...origin });
  }

  /** Attaches a socket to the session, until it is detached. */
  attachSocket(ref: SessionRef, socketId: SocketId, ipAddress: string | null): Promise<SessionResult> {
    return this.#applyToSession(ref, { type: 'attachSocket', sessionId: ref.sessionId, socketId, ipAddress });
  }

  logout(ref: SessionRef): Promise<SessionResult> {
    return this.#applyToSession(ref, { type: 'logout', sessionId: ref.sessionId });
  }

  setCustomStatus(ref: SessionRef, text: string | null): Promise<SessionResult> {
    return this.#applyToSession(ref, { type: 'setCustomStatus', sessionId: ref.sessionId, text });
  }

  /**
   * Detaches a closed socket from its session, if it has one. If the store rejects the write, the detach is retried
   * later by `retryFailedDetaches`, and the promise resolves.
   * @param closedByServer the server closed it for its own reasons: no DISCONNECT follows, the heartbeat timeout continues.
   */
  detachSocket(userId: UserId, socketId: SocketId, closedByServer: boolean): Promise<void> {
    return this.#disconnectRetries.detachOrRetryLater({ userId, socketId, closedByServer });
  }

  /** Retries detaches that the store rejected. Must be called regularly. */
  retryFailedDetaches(): Promise<void> {
    return this.#disconnectRetries.retryPending();
  }

  /** Ends the user's matching sessions (null matches all). With `revokeTokens`, also rejects JWTs issued before now. */
  async endSessions(
    userId: UserId,
    matching: { readonly platform: Platform | null; readonly sessionId: SessionId | null },
    revokeTokens: boolean,
  ): Promise<{ readonly user: UserRecord; readonly ended: readonly EndedSession[] }> {
    const { user, endedSessions } = await this.#applyToUser(userId, {
      type: 'endSessions',
      ...matching,
      revokeTokens,
    });
    if (revokeTokens && user.tokensRevokedBefore !== null) {
      this.tokenRevocations.notifyTokensRevoked(userId, user.tokensRevokedBefore);
    }
    return { user, ended: endedSessions.filter(({ reason }) => reason === 'REVOKED') };
  }

  /** Applies all deadlines of these users that have passed at this call. @returns the users for whom it failed. */
  expireDueUsers(userIds: readonly UserId[]): Promise<readonly FailedUserUpdate[]> {
    // The updates may wait for a change that is being written. Activity that is answered meanwhile must not be timed out.
    const expire: Command = { type: 'expire', dueBy: this.#store.now() };
    return this.#store.updateUsers(userIds, (user, policy, now) => {
      this.#recordLateness(user, now);
      return applyCommand(user, expire, policy, now, this.#store.getProcessPauses());
    });
  }

  /** The error for the token of a session that is not live: SESSION_ENDED or UNAUTHENTICATED. */
  async createSessionGoneError({ userId, sessionId }: SessionRef): Promise<DomainError> {
    const ended = await this.#store.findEndedSession(userId, sessionId);
    return ended === null ? unauthenticatedError('The session does not exist.') : sessionEndedError(ended);
  }

  #recordLateness(user: UserRecord, now: Millis): void {
    const at = computeUserDeadline(user);
    if (at !== null && at <= now) this.timeoutLateness.recordValue(now - Math.max(at, this.#startedAt));
  }

  async #applyToSession(ref: SessionRef, command: Command): Promise<SessionResult> {
    const { user, session } = await this.#applyToUser(ref.userId, command);
    if (session === null) throw await this.createSessionGoneError(ref);
    return { user, session };
  }

  #applyToUser(userId: UserId, command: Command): Promise<CommandOutcome> {
    return this.#store.updateUser(userId, (user, policy, now) => applyCommand(user, command, policy, now));
  }
}

export const sessionEndedError = ({
  reason,
  endedAt,
  kickedBy,
}: Pick<EndedSession, 'reason' | 'endedAt' | 'kickedBy'>): DomainError =>
  new DomainError(
    { code: 'SESSION_ENDED', reason, endedAt, kickedBy },
    kickedBy === null ? `The session has ended: ${reason}.` : `The session has ended: ${reason} by ${kickedBy}.`,
  );
