/** The limits of one socket: the rate of its messages, the sockets of its user, and the users that it watches. */
import type { AppCaller, Caller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { DEFAULT_RETRY_AFTER_MS, DomainError } from '../../core/errors.ts';
import type { Millis, SessionId, UserId } from '../../core/ids.ts';
import type { LeakyBucket } from '../limits/leaky-bucket.ts';
import type { RateLimiter } from '../limits/rate-limiter.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';
import type { SocketLimiter } from '../limits/socket-limiter.ts';

export interface ConnectionQuotaDeps {
  readonly application: Application;
  /** Users that one socket can watch. */
  readonly maxWatchedUsers: number;
  readonly rateLimiter: RateLimiter;
  readonly socketLimiter: SocketLimiter;
  readonly rejections: RejectionCounters;
}

/** The socket. */
interface LimitedConnection {
  /** See `networkPrefix`. */
  readonly network: string;
  /** Called when the socket keeps sending after many rejections. */
  closeForRateLimit(): void;
}

export class ConnectionQuota {
  readonly #connection: LimitedConnection;
  readonly #options: ConnectionQuotaDeps;
  #isRateLimited: boolean;
  /** The user and session that messages are charged to. */
  #userId: UserId | null = null;
  #sessionId: SessionId | null = null;
  #addressBucket: LeakyBucket | null = null;
  #userBucket: LeakyBucket | null = null;
  /** The bucket of the session. Before authentication it is a bucket of this socket, with the limit of a session. */
  #sessionBucket: LeakyBucket | null = null;
  /** Counts rejected messages. */
  #rejectionBucket: LeakyBucket | null = null;
  /** The user that this socket is counted for. */
  #countedUser: UserId | null = null;
  #watchedUsers = 0;

  constructor(connection: LimitedConnection, options: ConnectionQuotaDeps) {
    this.#connection = connection;
    this.#options = options;
    this.#isRateLimited = options.rateLimiter.hasLimits;
  }

  /** Counts a message. Returns 0 if it is allowed, otherwise the milliseconds after which the client may retry. */
  chargeMessage(): number {
    if (!this.#isRateLimited) return 0;
    const { application, rejections } = this.#options;
    const now = application.store.now();
    const waitMs = this.#chargeBuckets(now);
    if (waitMs === 0) return 0;
    rejections.messageRate++;
    if (!this.#toleratesRejection(now)) this.#connection.closeForRateLimit();
    return waitMs;
  }

  #chargeBuckets(now: Millis): number {
    const { rateLimiter } = this.#options;
    const { sessionLimit, userLimit, addressLimit } = rateLimiter;
    if (addressLimit !== null) {
      this.#addressBucket = addressLimit.findOrCreateBucket(this.#connection.network, this.#addressBucket, now);
      const waitMs = addressLimit.tryAddMessage(this.#addressBucket, now);
      if (waitMs > 0) return waitMs;
    }
    if (sessionLimit !== null) {
      if (this.#sessionId === null) this.#sessionBucket ??= sessionLimit.createAnonymousBucket();
      else this.#sessionBucket = sessionLimit.findOrCreateBucket(this.#sessionId, this.#sessionBucket, now);
    }
    if (userLimit !== null && this.#userId !== null) {
      this.#userBucket = userLimit.findOrCreateBucket(this.#userId, this.#userBucket, now);
    }
    return rateLimiter.chargeBuckets(this.#sessionBucket, this.#userBucket, now);
  }

  /** Counts a rejected message. False once a whole burst of messages was rejected: the client ignores the rejections. */
  #toleratesRejection(now: Millis): boolean {
    const { sessionLimit, userLimit, addressLimit } = this.#options.rateLimiter;
    const limit = sessionLimit ?? userLimit ?? addressLimit;
    if (limit === null) return true;
    this.#rejectionBucket ??= limit.createAnonymousBucket();
    return limit.tryAddMessage(this.#rejectionBucket, now) === 0;
  }

  /** Counts the socket for its authenticated user. Returns false, without counting it, if the user has too many. */
  countUserSocket(caller: Caller): boolean {
    if (caller.kind !== 'app') {
      this.#isRateLimited = false;
      return true;
    }
    const { socketLimiter, rejections } = this.#options;
    if (!socketLimiter.addUserSocket(caller.userId)) {
      rejections.socketsPerUser++;
      return false;
    }
    this.#countedUser = caller.userId;
    this.chargeCaller(caller);
    return true;
  }

  /** Charges further messages to the caller's user, and to the session unless it is null. */
  chargeCaller({ userId, sessionId }: AppCaller): void {
    this.#userId = userId;
    this.#userBucket = null;
    if (sessionId === null) return;
    this.#sessionId = sessionId;
    this.#sessionBucket = null;
  }

  /** @throws RATE_LIMITED if the socket would watch too many users. */
  reserveWatches(users: number): void {
    const { maxWatchedUsers, rejections } = this.#options;
    if (this.#watchedUsers + users > maxWatchedUsers) {
      rejections.watchedUsersPerSocket++;
      throw new DomainError(
        { code: 'RATE_LIMITED', retryAfterMs: DEFAULT_RETRY_AFTER_MS },
        `A socket can watch at most ${maxWatchedUsers} users.`,
      );
    }
    this.#watchedUsers += users;
  }

  releaseWatches(users: number): void {
    this.#watchedUsers -= users;
  }

  /** Must be called once, when the socket is closed. */
  releaseUserSocket(): void {
    if (this.#countedUser !== null) this.#options.socketLimiter.removeUserSocket(this.#countedUser);
  }
}
