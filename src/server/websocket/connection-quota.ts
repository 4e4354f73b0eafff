/** The limits of one socket: the rate of its messages, the sockets of its user, and the users that it watches. */
import type { AppCaller, Caller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { DEFAULT_RETRY_AFTER_MS, DomainError } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import type { ConnectionMeter, RateLimiter } from '../limits/rate-limiter.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';
import type { SocketLimiter } from '../limits/socket-limiter.ts';

export interface ConnectionQuotaOptions {
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
  readonly #options: ConnectionQuotaOptions;
  /** Null if the messages are not limited. */
  #meter: ConnectionMeter | null;
  /** The user that this socket is counted for. */
  #countedUser: UserId | null = null;
  #watchedUsers = 0;

  constructor(connection: LimitedConnection, options: ConnectionQuotaOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#meter = options.rateLimiter.createConnectionMeter(connection.network);
  }

  /** Counts a message. Returns 0 if it is allowed, otherwise the milliseconds after which the client may retry. */
  chargeMessage(): number {
    if (this.#meter === null) return 0;
    const { application, rejections } = this.#options;
    const now = application.store.now();
    const waitMs = this.#meter.chargeMessage(now);
    if (waitMs === 0) return 0;
    rejections.messageRate++;
    if (!this.#meter.toleratesRejection(now)) this.#connection.closeForRateLimit();
    return waitMs;
  }

  /** Counts the socket for its authenticated user. Returns false, without counting it, if the user has too many. */
  admitCaller(caller: Caller): boolean {
    if (caller.kind !== 'app') {
      this.#meter = null;
      return true;
    }
    const { socketLimiter, rejections } = this.#options;
    if (!socketLimiter.addUserSocket(caller.userId)) {
      rejections.socketsPerUser++;
      return false;
    }
    this.#countedUser = caller.userId;
    this.assignCaller(caller);
    return true;
  }

  /** Charges further messages to the caller's session, or to the user if there is no session. */
  assignCaller(caller: AppCaller): void {
    this.#meter?.assignCaller(caller);
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
  release(): void {
    if (this.#countedUser !== null) this.#options.socketLimiter.removeUserSocket(this.#countedUser);
  }
}
