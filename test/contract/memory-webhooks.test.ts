import { MemoryWebhookStore } from './memory-webhooks.ts';
import { webhookStoreContract } from './webhook-store.ts';

webhookStoreContract('The in-memory reference', async (clock) => {
  const store = new MemoryWebhookStore({ clock: clock.now });
  return { store, removeExpiredData: () => store.purge(), close: () => store.close() };
});
