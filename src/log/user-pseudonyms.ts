import { createHmac, randomBytes } from 'node:crypto';

/** What a user is called where others may read it. */
export type UserNames = (userId: string) => string;

/**
 * As they are, or twelve hexadecimal digits that say of two lines whether they are about the same user, until
 * the next start, and nothing else: the key is kept nowhere, so nobody can try ids.
 */
export const userNames = (asTheyAre: boolean): UserNames => {
  if (asTheyAre) return (userId) => userId;
  const key = randomBytes(32);
  return (userId) => createHmac('sha256', key).update(userId, 'utf8').digest('hex').slice(0, 12);
};
