import { MemoryStore } from './memory-store.ts';
import { presenceStoreContract } from './presence-store.ts';

presenceStoreContract('The in-memory reference', async ({ clock, ...options }) => {
  const store = new MemoryStore({ ...options, clock: clock.now, getProcessPauses: clock.sleeps });
  return { store, purge: () => store.purgeExpiredData() };
});
