/** Computes when a failed delivery is attempted again, and when it is given up. */
import { addMs, toMillis, type Millis } from '../../core/ids.ts';

const BASE_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 3_600_000;
/** Longer `Retry-After` values are shortened to this. */
const MAX_RETRY_AFTER_MS = 86_400_000;
const MIN_COOLDOWN_MS = 1_000;

/**
 * Exponential backoff with full jitter, in ms: a random part of 1 s after the first failure, of 2 s after the second,
 * and so on up to 1 h. The jitter spreads retries of receivers that failed together.
 * @param consecutiveFailures at least 1. @param random at least 0, less than 1.
 */
export const randomBackoffMs = (consecutiveFailures: number, random: number): number =>
  Math.ceil(Math.min(MAX_BACKOFF_MS, BASE_BACKOFF_MS * 2 ** (consecutiveFailures - 1)) * random);

/** @param retryAfterMs as the receiver sent it; null: it sent none. @returns 0 to 24 h, in ms. */
export const capRetryAfterMs = (retryAfterMs: number | null): number =>
  Math.ceil(Math.min(MAX_RETRY_AFTER_MS, Math.max(0, retryAfterMs ?? 0)));

/** How long the next delivery waits after a delivery became DEAD, in ms: at least 1 s. */
export const computeCooldownAfterDeadMs = (retryAfterMs: number | null): number =>
  Math.max(MIN_COOLDOWN_MS, capRetryAfterMs(retryAfterMs));

export interface FailedAttempt {
  /** When the attempt failed. */
  readonly now: Millis;
  /** Including this one. */
  readonly consecutiveFailures: number;
  /** At least 0, less than 1. */
  readonly random: number;
  readonly retryAfterMs: number | null;
  readonly giveUpAt: Millis;
}

/** @returns at most `giveUpAt`, when the last attempt is made; null: the failed attempt was the last one. */
export const computeNextAttemptAt = ({
  now,
  consecutiveFailures,
  random,
  retryAfterMs,
  giveUpAt,
}: FailedAttempt): Millis | null => {
  if (now >= giveUpAt) return null;
  const delayMs = Math.max(randomBackoffMs(consecutiveFailures, random), capRetryAfterMs(retryAfterMs));
  return toMillis(Math.min(addMs(now, delayMs), giveUpAt));
};
