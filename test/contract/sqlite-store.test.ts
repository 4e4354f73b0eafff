import { join } from 'node:path';
import { openQuietly, temporaryDirectories } from '../integration/storage/support/sqlite-files.ts';
import { presenceStoreContract } from './presence-store.ts';

const newDirectory = temporaryDirectories();

presenceStoreContract('SQLite', async ({ clock, ...options }) => {
  const times = { clock: clock.now, getProcessPauses: clock.getProcessPauses };
  const store = await openQuietly(join(newDirectory(), 'presence.db'), { ...options, ...times });
  return { store, removeExpiredData: () => store.purgeExpiredData() };
});
