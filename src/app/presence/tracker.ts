/**
 * The commands, from the outside: each loads the user, takes one step, and is answered when the
 * store has made it durable. Watchers, followers and sockets hear of it from the store's commits.
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
import { isTokenRevoked, tokenRevokedError, TokenRevocationNotifier } from '../auth/token-revocations.ts';
import { LATENCY_BUCKETS_MS, Histogram } from '../shared/histogram.ts';
import type { AppState, Platform } from '../../core/enums.ts';

export interface LoginRequest {
  readonly platform: Platform;
  /** Null: a new device, whose id is made and returned. */
  readonly deviceId: DeviceId | null;
  readonly appVersion: string | null;
  readonly osVersion: string | null;
}

/** Where a command comes from. */
export interface CommandOrigin {
  readonly ipAddress: string | null;
  /** The socket it came over; null over HTTP. */
  readonly socketId: SocketId | null;
}

export interface LoginResult {
  readonly user: UserRecord;
  readonly session: SessionRecord;
  /** Told this once. */
  readonly sessionToken: string;
  readonly kickedSessions: readonly EndedSession[];
}

export interface SessionResult {
  readonly user: UserRecord;
  readonly session: SessionRecord;
}

export class PresenceTracker {
  readonly tokenRevocations = new TokenRevocationNotifier();
  /** How long after her deadline, in ms, each user who was due was woken; time before the start is not counted. */
  readonly timeoutLateness = new Histogram(LATENCY_BUCKETS_MS);
  readonly #store: PresenceStore;
  readonly #credentials: CredentialFactory;
  readonly #startedAt: Millis;
  #heartbeatCount = 0;
  #activityCount = 0;
  readonly #disconnectRetries = new DisconnectRetries(({ userId, socketId: link, closedByServer: byServer }) =>
    this.#applyToUser(userId, { type: 'detachSocket', socketId: link, closedByServer: byServer }),
  );

  constructor(store: PresenceStore, credentials: CredentialFactory) {
    this.#startedAt = store.now();
    this.#store = store;
    this.#credentials = credentials;
  }

  /** Heartbeats since the start, refused ones too. */
  get heartbeatCount(): number {
    return this.#heartbeatCount;
  }

  /** Other signs of life since the start; several that come over a socket at once are one. */
  get activityCount(): number {
    return this.#activityCount;
  }

  /**
   * @param issuedAt when the JWT that vouches for the user was issued: it is held against the latest
   * revocation, which may have come after the authentication. Left out, there was no JWT.
   * @throws UNAUTHENTICATED for a revoked one.
   */
  async login(
    userId: UserId,
    watchScope: WatchScope,
    request: LoginRequest,
    origin: CommandOrigin,
    issuedAt?: Millis | null,
  ): Promise<LoginResult> {
    const { sessionId, token, tokenHash } = this.#credentials.createSessionCredentials(userId);
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
    const {
      user,
      session,
      endedSessions: ended,
    } = await this.#store.updateUser(userId, (before, policy, now) => {
      if (issuedAt !== undefined && isTokenRevoked(issuedAt, before.tokensRevokedBefore)) throw tokenRevokedError();
      return applyCommand(before, command, policy, now);
    });
    if (session === null) throw new Error('A login made no session.');
    return { user, session, sessionToken: token, kickedSessions: ended.filter(({ reason }) => reason === 'KICKED') };
  }

  /** @throws SESSION_ENDED, or UNAUTHENTICATED for a session nobody remembers; so do the next four. */
  recordHeartbeat(ref: SessionRef, appState: AppState | null, ipAddress: string | null): Promise<SessionResult> {
    this.#heartbeatCount++;
    return this.#applyToSession(ref, { type: 'heartbeat', sessionId: ref.sessionId, appState, ipAddress });
  }

  /** A sign of life other than a heartbeat: an operation, or a frame of an attached socket. */
  recordActivity(ref: SessionRef, origin: CommandOrigin): Promise<SessionResult> {
    this.#activityCount++;
    return this.#applyToSession(ref, { type: 'activity', sessionId: ref.sessionId, ...origin });
  }

  /** From now on the session is attached, until the same link is detached. */
  attachSocket(ref: SessionRef, link: SocketId, ipAddress: string | null): Promise<SessionResult> {
    return this.#applyToSession(ref, { type: 'attachSocket', sessionId: ref.sessionId, socketId: link, ipAddress });
  }

  logout(ref: SessionRef): Promise<SessionResult> {
    return this.#applyToSession(ref, { type: 'logout', sessionId: ref.sessionId });
  }

  setCustomStatus(ref: SessionRef, text: string | null): Promise<SessionResult> {
    return this.#applyToSession(ref, { type: 'setCustomStatus', sessionId: ref.sessionId, text });
  }

  /**
   * A socket is gone, whatever session it served by then; none is fine too.
   * Where nothing can be written at the moment, it is kept in mind and told later: see `detachAgain`.
   * @param byServer closed for the server's own reasons: no DISCONNECT, the heartbeat timeout runs on.
   */
  detachSocket(userId: UserId, link: SocketId, byServer: boolean): Promise<void> {
    return this.#disconnectRetries.detachOrRetryLater({ userId, socketId: link, closedByServer: byServer });
  }

  /** To be called every so often: sockets of which the store could not be told. */
  retryFailedDetaches(): Promise<void> {
    return this.#disconnectRetries.retryPending();
  }

  /** Ends the user's sessions that match (null matches all); with `revokeTokens` her JWTs from before too. */
  async endSessions(
    userId: UserId,
    matching: { readonly platform: Platform | null; readonly sessionId: SessionId | null },
    revokeTokens: boolean,
  ): Promise<{ readonly user: UserRecord; readonly ended: readonly EndedSession[] }> {
    const { user, endedSessions: ended } = await this.#applyToUser(userId, {
      type: 'endSessions',
      ...matching,
      revokeTokens,
    });
    if (revokeTokens && user.tokensRevokedBefore !== null)
      this.tokenRevocations.notifyTokensRevoked(userId, user.tokensRevokedBefore);
    return { user, ended: ended.filter(({ reason }) => reason === 'REVOKED') };
  }

  /** Time has passed: whatever is due of these users as of this call happens. @returns those for whom it failed. */
  expireDueUsers(userIds: readonly UserId[]): Promise<readonly FailedUserUpdate[]> {
    // A change of a user may be on its way to the disk. Of what waits for that, a ping has been answered already.
    const wake: Command = { type: 'expire', dueBy: this.#store.now() };
    return this.#store.updateUsers(userIds, (user, policy, now) => {
      this.#recordLateness(user, now);
      return applyCommand(user, wake, policy, now, this.#store.getProcessPauses());
    });
  }

  /** What a token of a session that is not live is answered. */
  async createSessionGoneError({ userId, sessionId }: SessionRef): Promise<DomainError> {
    const ended = await this.#store.findEndedSession(userId, sessionId);
    return ended === null ? unauthenticatedError('No such session.') : sessionEndedError(ended);
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
