/** Rate limits of sessions, users and network addresses, over both transports together. Backends are not limited. */
import type { AppCaller, Caller } from '../../app/auth/caller.ts';
import { DomainError } from '../../core/errors.ts';
import type { Millis, SessionId, UserId } from '../../core/ids.ts';
import { LeakyBucketLimit, type LeakyBucket } from './leaky-bucket.ts';

/** Messages and requests a second. 0: no limit. */
export interface RateSettings {
  readonly ratePerSession: number;
  readonly ratePerUser: number;
  readonly ratePerAddress: number;
}

export const rateLimitedError = (retryAfterMs: number): DomainError =>
  new DomainError({ code: 'RATE_LIMITED', retryAfterMs }, 'Too many messages or requests. Slow down.');

export class RateLimiter {
  readonly sessionLimit: LeakyBucketLimit | null;
  readonly userLimit: LeakyBucketLimit | null;
  readonly addressLimit: LeakyBucketLimit | null;

  constructor({ ratePerSession, ratePerUser, ratePerAddress }: RateSettings) {
    this.sessionLimit = createLimit(ratePerSession);
    this.userLimit = createLimit(ratePerUser);
    this.addressLimit = createLimit(ratePerAddress);
  }

  /** Counts a request whose caller is not known yet. Returns after how many ms it may be retried; 0: it is allowed. */
  chargeAddress(network: string, now: Millis): number {
    const limit = this.addressLimit;
    return limit === null ? 0 : limit.tryAddMessage(limit.findOrCreateBucket(network, null, now), now);
  }

  /** Takes back the charge of a request that was allowed. */
  refundAddress(network: string, now: Millis): void {
    this.addressLimit?.refundMessage(this.addressLimit.findOrCreateBucket(network, null, now), now);
  }

  /** Counts a request of an authenticated caller. Returns after how many ms it may be retried; 0: it is allowed. */
  chargeCaller(caller: Caller, now: Millis): number {
    if (caller.kind !== 'app') return 0;
    const { userId, sessionId } = caller;
    const { sessionLimit, userLimit } = this;
    const sessionBucket =
      sessionLimit === null || sessionId === null ? null : sessionLimit.findOrCreateBucket(sessionId, null, now);
    const userBucket = userLimit === null ? null : userLimit.findOrCreateBucket(userId, null, now);
    return chargeBoth(sessionLimit, sessionBucket, userLimit, userBucket, now);
  }

  /** Returns a meter for a new socket; null when no rate is limited. */
  createConnectionMeter(network: string): ConnectionMeter | null {
    const hasLimit = this.sessionLimit !== null || this.userLimit !== null || this.addressLimit !== null;
    return hasLimit ? new ConnectionMeter(this, network) : null;
  }
}

/**
 * Counts the messages of one socket. Before authentication the socket has a bucket of its own, with the limit of a
 * session.
 */
export class ConnectionMeter {
  readonly #rateLimiter: RateLimiter;
  readonly #network: string;
  #userId: UserId | null = null;
  #sessionId: SessionId | null = null;
  #addressBucket: LeakyBucket | null = null;
  #userBucket: LeakyBucket | null = null;
  #sessionBucket: LeakyBucket | null = null;
  /** Counts rejected messages. */
  #rejectionBucket: LeakyBucket | null = null;

  constructor(rateLimiter: RateLimiter, network: string) {
    this.#rateLimiter = rateLimiter;
    this.#network = network;
  }

  /** Charges further messages to this user, and to this session unless it is null. */
  assignCaller({ userId, sessionId }: Pick<AppCaller, 'userId' | 'sessionId'>): void {
    this.#userId = userId;
    this.#userBucket = null;
    if (sessionId === null) return;
    this.#sessionId = sessionId;
    this.#sessionBucket = null;
  }

  /** Counts a message. Returns after how many ms it may be retried; 0: it is allowed. */
  chargeMessage(now: Millis): number {
    const { sessionLimit, userLimit, addressLimit } = this.#rateLimiter;
    if (addressLimit !== null) {
      this.#addressBucket = addressLimit.findOrCreateBucket(this.#network, this.#addressBucket, now);
      const waitMs = addressLimit.tryAddMessage(this.#addressBucket, now);
      if (waitMs > 0) return waitMs;
    }
    if (sessionLimit !== null) {
      if (this.#sessionId === null) this.#sessionBucket ??= sessionLimit.createAnonymousBucket();
      else this.#sessionBucket = sessionLimit.findOrCreateBucket(this.#sessionId, this.#sessionBucket, now);
    }
    if (userLimit !== null && this.#userId !== null)
      this.#userBucket = userLimit.findOrCreateBucket(this.#userId, this.#userBucket, now);
    return chargeBoth(sessionLimit, this.#sessionBucket, userLimit, this.#userBucket, now);
  }

  /**
   * Counts a rejected message. Returns false when the client has sent a whole burst of rejected messages, too: it
   * ignores the rejections, so its socket should be closed.
   */
  toleratesRejection(now: Millis): boolean {
    const limit = this.#rateLimiter.sessionLimit ?? this.#rateLimiter.userLimit ?? this.#rateLimiter.addressLimit;
    if (limit === null) return true;
    this.#rejectionBucket ??= limit.createAnonymousBucket();
    return limit.tryAddMessage(this.#rejectionBucket, now) === 0;
  }
}

/** Counts a message in both buckets, or in none if one of the limits rejects it. */
const chargeBoth = (
  sessionLimit: LeakyBucketLimit | null,
  sessionBucket: LeakyBucket | null,
  userLimit: LeakyBucketLimit | null,
  userBucket: LeakyBucket | null,
  now: Millis,
): number => {
  const sessionWaitMs =
    sessionLimit === null || sessionBucket === null ? 0 : sessionLimit.waitUntilAllowedMs(sessionBucket, now);
  const userWaitMs = userLimit === null || userBucket === null ? 0 : userLimit.waitUntilAllowedMs(userBucket, now);
  if (sessionWaitMs > 0 || userWaitMs > 0) return Math.max(sessionWaitMs, userWaitMs);
  if (sessionLimit !== null && sessionBucket !== null) sessionLimit.addMessage(sessionBucket, now);
  if (userLimit !== null && userBucket !== null) userLimit.addMessage(userBucket, now);
  return 0;
};

const createLimit = (perSecond: number): LeakyBucketLimit | null =>
  perSecond === 0 ? null : new LeakyBucketLimit(perSecond);
