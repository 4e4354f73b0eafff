/**
 * How fast somebody may go: so many a second, and ten seconds' worth of that at once. Everybody has a bucket
 * that each message raises by one and that time drains; what would make it run over is refused, and raises
 * nothing. Time is a parameter, and all numbers are whole, so that nothing is ever off by a rounding.
 */
import type { Millis } from '../../core/ids.ts';

/** How many seconds' worth may come at once. So long after its last message every bucket is empty. */
const BURST_S = 10;
/** What a message raises a bucket by: at a limit of n a second, n drain in a millisecond. */
const MESSAGE = 1_000;
/** Kept at a time, twice over. Of more than that, those who pause are forgotten before they are empty. */
const MAX_KEYS = 250_000;

/** Whoever holds one, holds it through `RateLimit.bucketOf`. */
export class Bucket {
  level = 0;
  /** When `level` was true. */
  at = 0;
  /** In which turn its key was last asked for. */
  turn: number;

  constructor(turn: number) {
    this.turn = turn;
  }
}

export class RateLimit {
  readonly perSecond: number;
  readonly #brim: number;
  readonly #maxKeys: number;
  /** Of this turn, and of the one before. What was used in neither is empty, and as good as new. */
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();
  #turn = 0;
  #turnedAt = 0;

  /** @param perSecond a whole number, 1 to 10,000,000. @param maxKeys of one turn. */
  constructor(perSecond: number, maxKeys = MAX_KEYS) {
    this.perSecond = perSecond;
    this.#maxKeys = maxKeys;
    this.#brim = perSecond * BURST_S * MESSAGE;
  }

  /** How many keys it keeps a bucket of. */
  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /**
   * The bucket of that key. What was got before may have been forgotten meanwhile, and another made.
   * @param held the one that the caller got last, which spares looking for it.
   */
  bucketOf(key: string, held: Bucket | null, now: Millis): Bucket {
    if (now - this.#turnedAt >= BURST_S * 1_000 || this.#young.size >= this.#maxKeys) this.#turnOver(now);
    const turn = this.#turn;
    if (held !== null && held.turn === turn) return held;
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const bucket = this.#old.get(key) ?? new Bucket(turn);
    this.#old.delete(key);
    bucket.turn = turn;
    this.#young.set(key, bucket);
    return bucket;
  }

  /** A bucket without a key, of which nobody else knows. */
  ownBucket(): Bucket {
    return new Bucket(0);
  }

  /** How long until one more is let through, in ms: exactly then it is. 0: now. */
  waitMs(bucket: Bucket, now: Millis): number {
    const over = this.#levelOf(bucket, now) + MESSAGE - this.#brim;
    return over <= 0 ? 0 : Math.ceil(over / this.perSecond);
  }

  /** One is let through. */
  count(bucket: Bucket, now: Millis): void {
    bucket.level = this.#levelOf(bucket, now) + MESSAGE;
    bucket.at = now;
  }

  /** One that was let through is as if it had never come. What has drained meanwhile is no debt: below 0 is empty. */
  giveBack(bucket: Bucket, now: Millis): void {
    bucket.level = this.#levelOf(bucket, now) - MESSAGE;
    bucket.at = now;
  }

  /** Lets one through if there is room. @returns `waitMs`. */
  take(bucket: Bucket, now: Millis): number {
    const waitMs = this.waitMs(bucket, now);
    if (waitMs === 0) this.count(bucket, now);
    return waitMs;
  }

  #levelOf(bucket: Bucket, now: Millis): number {
    return Math.max(0, bucket.level - (now - bucket.at) * this.perSecond);
  }

  #turnOver(now: Millis): void {
    this.#old = this.#young;
    this.#young = new Map();
    // After two turns without anybody, those are empty too.
    if (now - this.#turnedAt >= 2 * BURST_S * 1_000) this.#old.clear();
    this.#turn++;
    this.#turnedAt = now;
  }
}
