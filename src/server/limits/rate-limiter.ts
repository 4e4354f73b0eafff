/** How fast sessions, users and network addresses may ask, over both doors together. Backends are not counted. */
import type { AppCaller, Caller } from '../../app/auth/caller.ts';
import { DomainError } from '../../core/errors.ts';
import type { Millis, SessionId, UserId } from '../../core/ids.ts';
import { RateLimit, type Bucket } from './leaky-bucket.ts';

export interface RateSettings {
  /** Messages and requests a second. 0: no limit. */
  readonly ratePerSession: number;
  readonly ratePerUser: number;
  readonly ratePerAddress: number;
}

export const rateLimited = (retryAfterMs: number): DomainError =>
  new DomainError({ code: 'RATE_LIMITED', retryAfterMs }, 'Too many messages or requests. Slow down.');

export class Rates {
  readonly session: RateLimit | null;
  readonly user: RateLimit | null;
  readonly address: RateLimit | null;

  constructor({ ratePerSession, ratePerUser, ratePerAddress }: RateSettings) {
    this.session = limitOf(ratePerSession);
    this.user = limitOf(ratePerUser);
    this.address = limitOf(ratePerAddress);
  }

  /** A request comes, of which no more is known than from where. @returns in how many ms it may come again; 0: now. */
  knock(network: string, now: Millis): number {
    return this.address === null ? 0 : this.address.take(this.address.bucketOf(network, null, now), now);
  }

  /** The request that was let through is not to count. */
  giveBack(network: string, now: Millis): void {
    this.address?.giveBack(this.address.bucketOf(network, null, now), now);
  }

  /** Now it is known whose it is. @returns as `knock`. */
  ask(caller: Caller, now: Millis): number {
    if (caller.kind !== 'app') return 0;
    const { userId, sessionId } = caller;
    const { session, user } = this;
    const ofSession = session === null || sessionId === null ? null : session.bucketOf(sessionId, null, now);
    const ofUser = user === null ? null : user.bucketOf(userId, null, now);
    return takeBoth(session, ofSession, user, ofUser, now);
  }

  /** For a new socket; null when nothing is limited. */
  meter(network: string): Meter | null {
    const { session, user, address } = this;
    return session === null && user === null && address === null ? null : new Meter(this, network);
  }
}

/** What comes over one socket. Until it is known whose it is, it has an allowance of its own, like a session's. */
export class Meter {
  readonly #rates: Rates;
  readonly #network: string;
  #userId: UserId | null = null;
  #sessionId: SessionId | null = null;
  #ofAddress: Bucket | null = null;
  #ofUser: Bucket | null = null;
  #ofSession: Bucket | null = null;
  /** What came all the same. */
  #refused: Bucket | null = null;

  constructor(rates: Rates, network: string) {
    this.#rates = rates;
    this.#network = network;
  }

  /** Now it is known whose they are. */
  belongsTo({ userId, sessionId }: Pick<AppCaller, 'userId' | 'sessionId'>): void {
    this.#userId = userId;
    this.#ofUser = null;
    if (sessionId === null) return;
    this.#sessionId = sessionId;
    this.#ofSession = null;
  }

  /** A message comes. @returns in how many ms it may come again; 0: it is let through. */
  waitMs(now: Millis): number {
    const { session, user, address } = this.#rates;
    if (address !== null) {
      this.#ofAddress = address.bucketOf(this.#network, this.#ofAddress, now);
      const waitMs = address.take(this.#ofAddress, now);
      if (waitMs > 0) return waitMs;
    }
    if (session !== null) {
      if (this.#sessionId !== null) this.#ofSession = session.bucketOf(this.#sessionId, this.#ofSession, now);
      else this.#ofSession ??= session.ownBucket();
    }
    if (user !== null && this.#userId !== null) this.#ofUser = user.bucketOf(this.#userId, this.#ofUser, now);
    return takeBoth(session, this.#ofSession, user, this.#ofUser, now);
  }

  /** It was refused. False: as many were as may come at once, and again; it does not listen. */
  bears(now: Millis): boolean {
    const limit = this.#rates.session ?? this.#rates.user ?? this.#rates.address;
    if (limit === null) return true;
    this.#refused ??= limit.ownBucket();
    return limit.take(this.#refused, now) === 0;
  }
}

/** Both let it through, or neither counts it. */
const takeBoth = (
  session: RateLimit | null,
  ofSession: Bucket | null,
  user: RateLimit | null,
  ofUser: Bucket | null,
  now: Millis,
): number => {
  const sessionMs = session === null || ofSession === null ? 0 : session.waitMs(ofSession, now);
  const userMs = user === null || ofUser === null ? 0 : user.waitMs(ofUser, now);
  if (sessionMs > 0 || userMs > 0) return Math.max(sessionMs, userMs);
  if (session !== null && ofSession !== null) session.count(ofSession, now);
  if (user !== null && ofUser !== null) user.count(ofUser, now);
  return 0;
};

const limitOf = (perSecond: number): RateLimit | null => (perSecond === 0 ? null : new RateLimit(perSecond));
