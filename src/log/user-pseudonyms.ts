import { createHmac, randomBytes } from 'node:crypto';

/** Converts a user id to the form that logs and traces contain. */
export type UserPseudonymizer = (userId: string) => string;

/**
 * @param keepIds return ids unchanged. Otherwise a pseudonym has twelve hexadecimal digits. It is the same for the same
 * user until the process ends. The random key is not stored, so that an id cannot be found by trying.
 */
export const createUserPseudonymizer = (keepIds: boolean): UserPseudonymizer => {
  if (keepIds) return (userId) => userId;
  const key = randomBytes(32);
  return (userId) => createHmac('sha256', key).update(userId, 'utf8').digest('hex').slice(0, 12);
};
