/** `updateAll` for a store that has nothing cheaper than as many calls of `update`. */
import type { FailedUpdate, PresenceStore } from '../../src/app/ports/presence-store.ts';
import type { UserId } from '../../src/core/ids.ts';

/** @param turns the last of each user's: when it is over, those who came meanwhile have theirs. */
export const updateEach = async (
  store: Pick<PresenceStore, 'update'>,
  turns: ReadonlyMap<UserId, Promise<unknown>>,
  ...[ids, decide]: Parameters<PresenceStore['updateAll']>
): Promise<readonly FailedUpdate[]> => {
  const failed: FailedUpdate[] = [];
  const update = async (userId: UserId): Promise<void> => {
    try {
      await turns.get(userId);
      await store.update(userId, decide);
    } catch (error) {
      failed.push({ userId, error });
    }
  };
  await Promise.all(ids.map(update));
  return failed;
};
