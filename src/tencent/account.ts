import { DomainError } from '../core/errors.ts';
import { userId, type UserId } from '../core/ids.ts';

/** Null for what is no account here, and cannot be one: every user id is. */
export const accountOf = (name: string): UserId | null => {
  try {
    return userId(name);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return null;
  }
};
