import { timingSafeEqual } from 'node:crypto';

/** Takes the same time wherever the two differ. */
export const sameText = (one: string, other: string): boolean => {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
};
