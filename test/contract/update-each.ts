/** `updateAll` for a store that has nothing cheaper than as many calls of `update`. */
import type { FailedUpdate, PresenceStore } from '../../src/app/ports.ts';
import type { UserId } from '../../src/core/ids.ts';

/** @param othersDone resolves when nobody waits for that user. */
export const updateEach = async (
  store: Pick<PresenceStore, 'update'>,
  othersDone: (userId: UserId) => Promise<void>,
  ...[ids, decide]: Parameters<PresenceStore['updateAll']>
): Promise<readonly FailedUpdate[]> => {
  const failed: FailedUpdate[] = [];
  const update = async (userId: UserId): Promise<void> => {
    try {
      await othersDone(userId);
      await store.update(userId, decide);
    } catch (error) {
      failed.push({ userId, error });
    }
  };
  await Promise.all(ids.map(update));
  return failed;
};

/** For `othersDone`, of a store that keeps the last of each user's turns. */
export const lastTurn = async (turns: ReadonlyMap<UserId, Promise<unknown>>, id: UserId): Promise<void> => {
  for (let last = turns.get(id), done; last !== done; last = turns.get(id)) {
    done = last;
    await last;
  }
};
