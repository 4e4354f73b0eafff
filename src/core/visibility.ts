/** Which users an app's user may watch. Backends may watch every user and are not checked here. */
import type { UserId } from './ids.ts';
import type { WatchScope } from './records.ts';

/** The default for users whose token does not say whom they may watch. */
export const VISIBILITIES = ['everyone', 'none'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

/** Which callers may read the schema: none, backends only, or every authenticated caller. */
export type IntrospectionAccess = 'off' | 'backends' | 'everyone';

/** Depends on the ids alone, never on whether the target user exists. Every user may watch themselves. */
export const canWatchUser = (
  viewerId: UserId,
  watchScope: WatchScope,
  visibility: Visibility,
  targetId: UserId,
): boolean => {
  if (targetId === viewerId || watchScope === '*') return true;
  if (watchScope === null) return visibility === 'everyone';
  return watchScope.includes(targetId);
};

/** From this many users on, a set is faster than a search for each: a token of 32 KiB can list thousands of users. */
const MIN_USERS_FOR_SET = 50;

/** Like `canWatchUser` for each of the users. */
export const canWatchAllUsers = (
  viewerId: UserId,
  watchScope: WatchScope,
  visibility: Visibility,
  targetIds: readonly UserId[],
): boolean => {
  if (watchScope === null || watchScope === '*' || targetIds.length < MIN_USERS_FOR_SET) {
    return targetIds.every((id) => canWatchUser(viewerId, watchScope, visibility, id));
  }
  const watchable = new Set(watchScope).add(viewerId);
  return targetIds.every((id) => watchable.has(id));
};
