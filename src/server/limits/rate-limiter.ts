/** Rate limits of sessions, users and network addresses, over both transports together. Backends are not limited. */
import type { Caller } from '../../app/auth/caller.ts';
import { DomainError } from '../../core/errors.ts';
import type { Millis } from '../../core/ids.ts';
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

  /** True if at least one rate is limited. */
  get hasLimits(): boolean {
    return this.sessionLimit !== null || this.userLimit !== null || this.addressLimit !== null;
  }

  /** Counts a request of an authenticated caller. Returns after how many ms it may be retried; 0: it is allowed. */
  chargeCaller(caller: Caller, now: Millis): number {
    if (caller.kind !== 'app') return 0;
    const { userId, sessionId } = caller;
    const { sessionLimit, userLimit } = this;
    const sessionBucket =
      sessionLimit === null || sessionId === null ? null : sessionLimit.findOrCreateBucket(sessionId, null, now);
    const userBucket = userLimit === null ? null : userLimit.findOrCreateBucket(userId, null, now);
    return this.chargeBuckets(sessionBucket, userBucket, now);
  }

  /**
   * Counts a message in the buckets that are given, or in none if one of the limits rejects it. Returns after how many
   * ms it may be retried; 0: it is allowed.
   */
  chargeBuckets(sessionBucket: LeakyBucket | null, userBucket: LeakyBucket | null, now: Millis): number {
    const { sessionLimit, userLimit } = this;
    const sessionWaitMs =
      sessionLimit === null || sessionBucket === null ? 0 : sessionLimit.waitUntilAllowedMs(sessionBucket, now);
    const userWaitMs = userLimit === null || userBucket === null ? 0 : userLimit.waitUntilAllowedMs(userBucket, now);
    if (sessionWaitMs > 0 || userWaitMs > 0) return Math.max(sessionWaitMs, userWaitMs);
    if (sessionLimit !== null && sessionBucket !== null) sessionLimit.addMessage(sessionBucket, now);
    if (userLimit !== null && userBucket !== null) userLimit.addMessage(userBucket, now);
    return 0;
  }
}

const createLimit = (perSecond: number): LeakyBucketLimit | null =>
  perSecond === 0 ? null : new LeakyBucketLimit(perSecond);
