/**
 * The commands, from the outside: each loads the user, takes one step, and is answered when the
 * store has made it durable. Watchers, followers and sockets hear of it from the store's commits.
 */
import type { Command, Outcome } from '../../core/commands.ts';
import { deadline } from '../../core/deadlines.ts';
import { DomainError, unauthenticated } from '../../core/errors.ts';
import type { DeviceId, SocketId, Millis, SessionId, UserId } from '../../core/ids.ts';
import { step } from '../../core/state-machine.ts';
import type { EndedSession, SessionRecord, UserRecord, Watch } from '../../core/records.ts';
import type { SessionRef } from '../auth/caller.ts';
import { Departures } from './disconnect-retries.ts';
import type { Credentials, FailedUpdate, PresenceStore } from '../ports/presence-store.ts';
import { isRevoked, revoked, Revocations } from '../auth/token-revocations.ts';
import { SOON_MS, Tally } from '../shared/histogram.ts';
import type { AppState, Platform } from '../../core/enums.ts';

export interface LoginRequest {
  readonly platform: Platform;
  /** Null: a new device, whose id is made and returned. */
  readonly deviceId: DeviceId | null;
  readonly appVersion: string | null;
  readonly osVersion: string | null;
}

/** Where a command comes from. */
export interface Origin {
  readonly ipAddress: string | null;
  /** The socket it came over; null over HTTP. */
  readonly link: SocketId | null;
}

export interface LoggedIn {
  readonly user: UserRecord;
  readonly session: SessionRecord;
  /** Told this once. */
  readonly sessionToken: string;
  readonly kicked: readonly EndedSession[];
}

export interface SessionAnswer {
  readonly user: UserRecord;
  readonly session: SessionRecord;
}

export class Tracker {
  readonly revocations = new Revocations();
  /** How long after her deadline, in ms, each user who was due was woken; time before the start is not counted. */
  readonly lateness = new Tally(SOON_MS);
  readonly #store: PresenceStore;
  readonly #credentials: Credentials;
  readonly #startedAt: Millis;
  #heartbeats = 0;
  #signsOfLife = 0;
  readonly #departures = new Departures(({ userId, link, byServer }) =>
    this.#apply(userId, { type: 'detach', link, byServer }),
  );

  constructor(store: PresenceStore, credentials: Credentials) {
    this.#startedAt = store.now();
    this.#store = store;
    this.#credentials = credentials;
  }

  /** Heartbeats since the start, refused ones too. */
  get heartbeats(): number {
    return this.#heartbeats;
  }

  /** Other signs of life since the start; several that come over a socket at once are one. */
  get signsOfLife(): number {
    return this.#signsOfLife;
  }

  /**
   * @param issuedAt when the JWT that vouches for the user was issued: it is held against the latest
   * revocation, which may have come after the authentication. Left out, there was no JWT.
   * @throws UNAUTHENTICATED for a revoked one.
   */
  async login(
    userId: UserId,
    watch: Watch,
    request: LoginRequest,
    origin: Origin,
    issuedAt?: Millis | null,
  ): Promise<LoggedIn> {
    const { sessionId, token, tokenHash } = this.#credentials.newSession(userId);
    const command: Command = {
      type: 'login',
      sessionId,
      platform: request.platform,
      deviceId: request.deviceId ?? this.#credentials.newDeviceId(),
      tokenHash,
      appVersion: request.appVersion,
      osVersion: request.osVersion,
      ipAddress: origin.ipAddress,
      watch,
      link: origin.link,
    };
    const { user, session, ended } = await this.#store.update(userId, (before, policy, now) => {
      if (issuedAt !== undefined && isRevoked(issuedAt, before.tokensRevokedBefore)) throw revoked();
      return step(before, command, policy, now);
    });
    if (session === null) throw new Error('A login made no session.');
    return { user, session, sessionToken: token, kicked: ended.filter(({ reason }) => reason === 'KICKED') };
  }

  /** @throws SESSION_ENDED, or UNAUTHENTICATED for a session nobody remembers; so do the next four. */
  heartbeat(ref: SessionRef, appState: AppState | null, ipAddress: string | null): Promise<SessionAnswer> {
    this.#heartbeats++;
    return this.#ofSession(ref, { type: 'heartbeat', sessionId: ref.sessionId, appState, ipAddress });
  }

  /** A sign of life other than a heartbeat: an operation, or a frame of an attached socket. */
  life(ref: SessionRef, origin: Origin): Promise<SessionAnswer> {
    this.#signsOfLife++;
    return this.#ofSession(ref, { type: 'life', sessionId: ref.sessionId, ...origin });
  }

  /** From now on the session is attached, until the same link is detached. */
  attach(ref: SessionRef, link: SocketId, ipAddress: string | null): Promise<SessionAnswer> {
    return this.#ofSession(ref, { type: 'attach', sessionId: ref.sessionId, link, ipAddress });
  }

  logout(ref: SessionRef): Promise<SessionAnswer> {
    return this.#ofSession(ref, { type: 'logout', sessionId: ref.sessionId });
  }

  setCustomStatus(ref: SessionRef, text: string | null): Promise<SessionAnswer> {
    return this.#ofSession(ref, { type: 'customStatus', sessionId: ref.sessionId, text });
  }

  /**
   * A socket is gone, whatever session it served by then; none is fine too.
   * Where nothing can be written at the moment, it is kept in mind and told later: see `detachAgain`.
   * @param byServer closed for the server's own reasons: no DISCONNECT, the heartbeat timeout runs on.
   */
  detach(userId: UserId, link: SocketId, byServer: boolean): Promise<void> {
    return this.#departures.tell({ userId, link, byServer });
  }

  /** To be called every so often: sockets of which the store could not be told. */
  detachAgain(): Promise<void> {
    return this.#departures.tellAgain();
  }

  /** Ends the user's sessions that match (null matches all); with `revokeTokens` her JWTs from before too. */
  async endSessions(
    userId: UserId,
    matching: { readonly platform: Platform | null; readonly sessionId: SessionId | null },
    revokeTokens: boolean,
  ): Promise<{ readonly user: UserRecord; readonly ended: readonly EndedSession[] }> {
    const { user, ended } = await this.#apply(userId, { type: 'end', ...matching, revokeTokens });
    if (revokeTokens && user.tokensRevokedBefore !== null) this.revocations.tell(userId, user.tokensRevokedBefore);
    return { user, ended: ended.filter(({ reason }) => reason === 'REVOKED') };
  }

  /** Time has passed: whatever is due of these users as of this call happens. @returns those for whom it failed. */
  wake(userIds: readonly UserId[]): Promise<readonly FailedUpdate[]> {
    // A change of a user may be on its way to the disk. Of what waits for that, a ping has been answered already.
    const wake: Command = { type: 'wake', dueBy: this.#store.now() };
    return this.#store.updateAll(userIds, (user, policy, now) => {
      this.#late(user, now);
      return step(user, wake, policy, now, this.#store.sleeps());
    });
  }

  /** What a token of a session that is not live is answered. */
  async sessionGone({ userId, sessionId }: SessionRef): Promise<DomainError> {
    const ended = await this.#store.findEnded(userId, sessionId);
    return ended === null ? unauthenticated('No such session.') : sessionEnded(ended);
  }

  #late(user: UserRecord, now: Millis): void {
    const at = deadline(user);
    if (at !== null && at <= now) this.lateness.add(now - Math.max(at, this.#startedAt));
  }

  async #ofSession(ref: SessionRef, command: Command): Promise<SessionAnswer> {
    const { user, session } = await this.#apply(ref.userId, command);
    if (session === null) throw await this.sessionGone(ref);
    return { user, session };
  }

  #apply(userId: UserId, command: Command): Promise<Outcome> {
    return this.#store.update(userId, (user, policy, now) => step(user, command, policy, now));
  }
}

export const sessionEnded = ({
  reason,
  endedAt,
  kickedBy,
}: Pick<EndedSession, 'reason' | 'endedAt' | 'kickedBy'>): DomainError =>
  new DomainError(
    { code: 'SESSION_ENDED', reason, endedAt, kickedBy },
    kickedBy === null ? `The session has ended: ${reason}.` : `The session has ended: ${reason} by ${kickedBy}.`,
  );
