/** What one socket may take: how fast its messages may come, a place among its user's sockets, and users to watch. */
import type { AppCaller, Caller } from '../../app/auth/caller.ts';
import type { Application } from '../../app/application.ts';
import { DomainError } from '../../core/errors.ts';
import type { UserId } from '../../core/ids.ts';
import { RETRY_AFTER_MS } from '../graphql/query-limits.ts';
import type { ConnectionMeter, RateLimiter } from '../limits/rate-limiter.ts';
import type { RejectionCounters } from '../metrics/rejection-counters.ts';
import type { SocketLimiter } from '../limits/socket-limiter.ts';

export interface ConnectionQuotaOptions {
  readonly porchlight: Application;
  /** How many users may be watched over one socket. */
  readonly maxWatched: number;
  readonly rates: RateLimiter;
  readonly socketLimiter: SocketLimiter;
  readonly refusals: RejectionCounters;
}

/** The socket. */
interface Taker {
  /** See `networkOf`. */
  readonly network: string;
  /** It goes on, however often it was told to slow down. */
  tooFast(): void;
}

export class ConnectionQuota {
  readonly #taker: Taker;
  readonly #options: ConnectionQuotaOptions;
  /** Null: nobody counts what comes over it. */
  #meter: ConnectionMeter | null;
  /** It has a place among that user's. */
  #placeOf: UserId | null = null;
  /** How many users are watched over it. */
  #watched = 0;

  constructor(taker: Taker, options: ConnectionQuotaOptions) {
    this.#taker = taker;
    this.#options = options;
    this.#meter = options.rates.createConnectionMeter(taker.network);
  }

  /** Something has come; everything is counted. @returns in how many ms it may come again; 0: it is let through. */
  waitMs(): number {
    if (this.#meter === null) return 0;
    const { porchlight, refusals } = this.#options;
    const now = porchlight.store.now();
    const waitMs = this.#meter.chargeMessage(now);
    if (waitMs === 0) return 0;
    refusals.messageRate++;
    if (!this.#meter.toleratesRejection(now)) this.#taker.tooFast();
    return waitMs;
  }

  /** It is known whose the socket is. False: the user has too many, and this one is not counted. */
  admitCaller(caller: Caller): boolean {
    if (caller.kind !== 'app') {
      this.#meter = null;
      return true;
    }
    const { socketLimiter: counts, refusals } = this.#options;
    if (!counts.addUserSocket(caller.userId)) {
      refusals.socketsPerUser++;
      return false;
    }
    this.#placeOf = caller.userId;
    this.assignTo(caller);
    return true;
  }

  /** What comes is that session's from now on, or that user's. */
  assignTo(caller: AppCaller): void {
    this.#meter?.assignCaller(caller);
  }

  /** @throws RATE_LIMITED when so many more users may not be watched. */
  watches(users: number): void {
    const { maxWatched, refusals } = this.#options;
    if (this.#watched + users > maxWatched) {
      refusals.watchedUsersPerSocket++;
      throw new DomainError(
        { code: 'RATE_LIMITED', retryAfterMs: RETRY_AFTER_MS },
        `At most ${maxWatched} users may be watched over one socket.`,
      );
    }
    this.#watched += users;
  }

  watchesNoMore(users: number): void {
    this.#watched -= users;
  }

  /** The socket is gone, and its place is free. */
  release(): void {
    if (this.#placeOf !== null) this.#options.socketLimiter.removeUserSocket(this.#placeOf);
  }
}
