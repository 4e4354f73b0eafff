import { timingSafeEqual } from 'node:crypto';

/** Compares two texts. The duration does not depend on where they differ, so it reveals nothing about a secret. */
export const constantTimeEqual = (one: string, other: string): boolean => {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
};
