/** `updateAll` for a store that has nothing cheaper than as many calls of `update`. */
import type { FailedUpdate, PresenceStore } from '../../src/app/ports.ts';

export const updateEach = async (
  store: Pick<PresenceStore, 'update'>,
  ...[ids, decide]: Parameters<PresenceStore['updateAll']>
): Promise<readonly FailedUpdate[]> => {
  const failed: FailedUpdate[] = [];
  const update = (userId: (typeof ids)[number]) =>
    store.update(userId, decide).catch((error) => failed.push({ userId, error }));
  await Promise.all(ids.map(update));
  return failed;
};
