/** Whom, and what, an app's user may ask about. Backends may ask about everyone and are not looked up here. */
import type { UserId } from './ids.ts';
import type { WatchScope } from './records.ts';

/** What holds for users whose JWT says nothing about it. */
export const VISIBILITIES = ['everyone', 'none'] as const;
export type Visibility = (typeof VISIBILITIES)[number];

/** Who may ask for the schema: nobody, backends alone, or everyone who has a credential. */
export type IntrospectionAccess = 'off' | 'backends' | 'everyone';

/** The answer depends on the ids alone, never on whether such a user exists. */
export const canWatchUser = (asker: UserId, watch: WatchScope, visibility: Visibility, asked: UserId): boolean => {
  if (asked === asker || watch === '*') return true;
  if (watch === null) return visibility === 'everyone';
  return watch.includes(asked);
};
