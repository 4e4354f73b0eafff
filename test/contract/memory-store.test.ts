import { MemoryStore } from './memory-store.ts';
import { presenceStoreContract } from './presence-store.ts';

presenceStoreContract('The in-memory reference', async ({ clock, ...options }) => {
  const store = new MemoryStore({ ...options, clock: clock.now, getProcessPauses: clock.getProcessPauses });
  return { store, removeExpiredData: () => store.purgeExpiredData() };
});
