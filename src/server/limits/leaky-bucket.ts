/**
 * A rate limit with one leaky bucket for each key: n messages a second, and a burst of ten seconds' worth at once. Each
 * message fills the bucket by a fixed amount and time drains it. A message that would make it overflow is rejected and
 * does not fill it. Time is a parameter. All numbers are integers, so that nothing is lost to rounding.
 */
import type { Millis } from '../../core/ids.ts';

/** The burst, in seconds' worth of messages. Every bucket is empty this long after its last message. */
const BURST_S = 10;
/** The level of one message. At a limit of n messages a second, a bucket drains by n in a millisecond. */
const MESSAGE = 1_000;
/**
 * Keys of one generation; two generations are kept. With more keys than this, idle ones may be dropped before their
 * buckets are empty.
 */
const MAX_KEYS = 250_000;

/** Obtained from `findOrCreateBucket` or `createAnonymousBucket`. */
export class LeakyBucket {
  /** The fill level at the time `levelAt`. */
  level = 0;
  levelAt = 0;
  /** The generation in which the key was used last. */
  generation: number;

  constructor(generation: number) {
    this.generation = generation;
  }
}

export class LeakyBucketLimit {
  readonly perSecond: number;
  readonly #capacity: number;
  readonly #maxKeys: number;
  /** Buckets used in the present generation, and in the one before. Older ones are empty, so they need not be kept. */
  #currentBuckets = new Map<string, LeakyBucket>();
  #previousBuckets = new Map<string, LeakyBucket>();
  #generation = 0;
  #generationStartedAt = 0;

  /**
   * @param perSecond an integer from 1 to 10,000,000.
   * @param maxKeys of one generation.
   */
  constructor(perSecond: number, maxKeys = MAX_KEYS) {
    this.perSecond = perSecond;
    this.#maxKeys = maxKeys;
    this.#capacity = perSecond * BURST_S * MESSAGE;
  }

  /** The number of keys with a bucket. */
  get bucketCount(): number {
    return this.#currentBuckets.size + this.#previousBuckets.size;
  }

  /**
   * Returns the bucket of a key. A bucket returned earlier may have been dropped and replaced since.
   * @param cached the bucket that the last call returned for this key; it saves the lookup.
   */
  findOrCreateBucket(key: string, cached: LeakyBucket | null, now: Millis): LeakyBucket {
    const isGenerationOver = now - this.#generationStartedAt >= BURST_S * 1_000;
    if (isGenerationOver || this.#currentBuckets.size >= this.#maxKeys) this.#startGeneration(now);
    const generation = this.#generation;
    if (cached !== null && cached.generation === generation) return cached;
    const current = this.#currentBuckets.get(key);
    if (current !== undefined) return current;
    const bucket = this.#previousBuckets.get(key) ?? new LeakyBucket(generation);
    this.#previousBuckets.delete(key);
    bucket.generation = generation;
    this.#currentBuckets.set(key, bucket);
    return bucket;
  }

  /** Returns a bucket without a key, which only its caller uses. */
  createAnonymousBucket(): LeakyBucket {
    return new LeakyBucket(0);
  }

  /** Returns after how many ms the next message is allowed; 0: now. */
  waitUntilAllowedMs(bucket: LeakyBucket, now: Millis): number {
    const excess = this.#currentLevel(bucket, now) + MESSAGE - this.#capacity;
    return excess <= 0 ? 0 : Math.ceil(excess / this.perSecond);
  }

  /** Counts a message without checking the limit. */
  addMessage(bucket: LeakyBucket, now: Millis): void {
    bucket.level = this.#currentLevel(bucket, now) + MESSAGE;
    bucket.levelAt = now;
  }

  /** Takes back a counted message. If it has drained since, the bucket just stays empty. */
  refundMessage(bucket: LeakyBucket, now: Millis): void {
    bucket.level = this.#currentLevel(bucket, now) - MESSAGE;
    bucket.levelAt = now;
  }

  /** Counts a message if it is allowed now. Returns what `waitUntilAllowedMs` returned before. */
  tryAddMessage(bucket: LeakyBucket, now: Millis): number {
    const waitMs = this.waitUntilAllowedMs(bucket, now);
    if (waitMs === 0) this.addMessage(bucket, now);
    return waitMs;
  }

  #currentLevel(bucket: LeakyBucket, now: Millis): number {
    return Math.max(0, bucket.level - (now - bucket.levelAt) * this.perSecond);
  }

  #startGeneration(now: Millis): void {
    this.#previousBuckets = this.#currentBuckets;
    this.#currentBuckets = new Map();
    // After two bursts' time without a message, these buckets are empty too.
    if (now - this.#generationStartedAt >= 2 * BURST_S * 1_000) this.#previousBuckets.clear();
    this.#generation++;
    this.#generationStartedAt = now;
  }
}
