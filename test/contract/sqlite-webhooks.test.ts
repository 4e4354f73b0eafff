import { join } from 'node:path';
import { openQuietly, temporaryDirectories } from '../integration/storage/support/sqlite-files.ts';
import { webhookStoreContract } from './webhook-store.ts';

const newDirectory = temporaryDirectories();

webhookStoreContract('SQLite', async (clock) => {
  const store = await openQuietly(join(newDirectory(), 'presence.db'), { clock: clock.now });
  return { store: store.webhooks, removeExpiredData: () => store.purgeExpiredData(), close: () => store.close() };
});
