import { join } from 'node:path';
import { openQuietly, temporaryDirectories } from '../storage/sqlite-files.ts';
import { presenceStoreContract } from './presence-store.ts';

const newDirectory = temporaryDirectories();

presenceStoreContract('SQLite', async ({ clock, ...options }) => {
  const store = await openQuietly(join(newDirectory(), 'presence.db'), { ...options, clock: clock.now });
  return { store, purge: () => store.purge() };
});
