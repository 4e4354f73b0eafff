/** When a delivery is tried again, and when no more. */
import { later, millis, type Millis } from '../../core/ids.ts';

const BASE_MS = 1_000;
const CAP_MS = 3_600_000;
/** However long a receiver wants to be left alone. */
const RETRY_AFTER_CAP_MS = 86_400_000;
/** What a receiver is left alone for at the least before it is told something else. */
const REST_MS = 1_000;

/**
 * Full jitter: any part of a second after the first failure in a row, of two after the second, and so on up to an hour,
 * so that those who failed together do not come back together.
 * @param failures in a row, at least 1. @param random at least 0, less than 1.
 */
export const backoffMs = (failures: number, random: number): number =>
  Math.ceil(Math.min(CAP_MS, BASE_MS * 2 ** (failures - 1)) * random);

/** @param retryAfterMs as the receiver said it; null: it did not. */
export const respectedMs = (retryAfterMs: number | null): number =>
  Math.ceil(Math.min(RETRY_AFTER_CAP_MS, Math.max(0, retryAfterMs ?? 0)));

/** How long the receiver is left alone after a delivery was given up, in ms. */
export const restMs = (retryAfterMs: number | null): number => Math.max(REST_MS, respectedMs(retryAfterMs));

export interface Failed {
  readonly now: Millis;
  readonly failures: number;
  readonly random: number;
  readonly retryAfterMs: number | null;
  readonly giveUpAt: Millis;
}

/** Of an attempt that failed just now. @returns null: it was the last. The last one is made at `giveUpAt`, not later. */
export const retryAt = ({ now, failures, random, retryAfterMs, giveUpAt }: Failed): Millis | null => {
  if (now >= giveUpAt) return null;
  const wanted = later(now, Math.max(backoffMs(failures, random), respectedMs(retryAfterMs)));
  return millis(Math.min(wanted, giveUpAt));
};
