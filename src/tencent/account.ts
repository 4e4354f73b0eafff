import { DomainError } from '../core/errors.ts';
import { parseUserId, type UserId } from '../core/ids.ts';

/** Reads a Tencent account name, which is a user id here. @returns null: the name is not a valid user id. */
export const parseAccount = (name: string): UserId | null => {
  try {
    return parseUserId(name);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return null;
  }
};
