/**
 * The contract of the webhook store port: an adapter must pass every test. Call `webhookStoreContract` in a test file of
 * the adapter.
 */
import { afterEach, describe, expect } from 'vitest';
import { VirtualClock } from './virtual-clock.ts';
import { webhook } from './webhook-records.ts';
import { deliveryContract } from './webhook-store/deliveries.ts';
import { leaseContract } from './webhook-store/leases.ts';
import { progressContract } from './webhook-store/progress.ts';
import { retentionAndClosingContract } from './webhook-store/retention-and-closing.ts';
import {
  LEASE_MS,
  ofShard,
  W1,
  type CreateFilledStore,
  type FilledStore,
  type WebhookStoreUnderTest,
} from './webhook-store/setup.ts';
import { webhookContract } from './webhook-store/webhooks.ts';

/** Creates a new, empty store. The suite closes it. */
export type CreateWebhookStore = (clock: VirtualClock) => Promise<WebhookStoreUnderTest>;

export const webhookStoreContract = (name: string, createStore: CreateWebhookStore): void => {
  describe(`${name} as a webhook store`, () => {
    const openStores: WebhookStoreUnderTest[] = [];
    const make: CreateFilledStore = async (...ids) => {
      const clock = new VirtualClock();
      const created = await createStore(clock);
      openStores.push(created);
      for (const id of ids) await created.store.createWebhook(webhook(id));
      const lease: FilledStore['lease'] = async (shard, { holder = 'one', id = W1 } = {}) =>
        ofShard(await created.store.acquireLeases(holder, LEASE_MS), shard, id);
      const storeDeliveries: FilledStore['storeDeliveries'] = async (...deliveries) => {
        for (const each of deliveries) {
          const own = await lease(each.shard, { id: each.webhookId });
          expect(await created.store.saveProgress(own, { deliveries: [each] })).toBe(true);
        }
      };
      return { ...created, clock, lease, storeDeliveries };
    };
    afterEach(async () => {
      await Promise.all(openStores.splice(0).map(({ close }) => close()));
    });

    webhookContract(make);
    leaseContract(make);
    progressContract(make);
    deliveryContract(make);
    retentionAndClosingContract(make);
  });
};
