/** `updateUsers` for a store without a bulk path: it calls `updateUser` for each user. */
import type { FailedUserUpdate, PresenceStore } from '../../src/app/ports/presence-store.ts';
import type { UserId } from '../../src/core/ids.ts';

/** @param lastUpdates the last update of each user. Updates that are called before it ends run earlier. */
export const updateEach = async (
  store: Pick<PresenceStore, 'updateUser'>,
  lastUpdates: ReadonlyMap<UserId, Promise<unknown>>,
  ...[ids, decide]: Parameters<PresenceStore['updateUsers']>
): Promise<readonly FailedUserUpdate[]> => {
  const failed: FailedUserUpdate[] = [];
  const update = async (userId: UserId): Promise<void> => {
    try {
      await lastUpdates.get(userId);
      await store.updateUser(userId, decide);
    } catch (error) {
      failed.push({ userId, error });
    }
  };
  await Promise.all(ids.map(update));
  return failed;
};
