/**
 * The contract of the presence store port: an adapter must pass every test. Call `presenceStoreContract` in a test file
 * of the adapter.
 */
import { afterEach, describe } from 'vitest';
import type { PresenceStore } from '../../src/app/ports/presence-store.ts';
import { DEFAULT_POLICY } from '../../src/core/policy.ts';
import { readContract } from './presence-store/reads.ts';
import { updateContract } from './presence-store/updates.ts';
import { eventLogContract } from './presence-store/event-log.ts';
import { deadlineContract } from './presence-store/deadlines.ts';
import { policyAndClosingContract } from './presence-store/policy-and-closing.ts';
import { onlineUsersContract } from './presence-store/online-users.ts';
import { retentionContract } from './presence-store/retention.ts';
import {
  DAY,
  type CreateStore,
  type PresenceStoreTestOptions,
  type PresenceStoreUnderTest,
} from './presence-store/setup.ts';
import { VirtualClock } from './virtual-clock.ts';

/** @param createStore creates a new, empty store. The suite closes it. */
export const presenceStoreContract = (
  name: string,
  createStore: (options: PresenceStoreTestOptions) => Promise<PresenceStoreUnderTest>,
): void => {
  describe(`${name} as a presence store`, () => {
    const openStores: PresenceStore[] = [];
    const make: CreateStore = async ({ policySeed = DEFAULT_POLICY, eventRetentionMs = 30 * DAY } = {}) => {
      const clock = new VirtualClock();
      const { store, removeExpiredData } = await createStore({ clock, policySeed, eventRetentionMs });
      openStores.push(store);
      return { store, removeExpiredData, clock };
    };
    afterEach(async () => {
      await Promise.all(openStores.splice(0).map((store) => store.close()));
    });

    readContract(make);
    updateContract(make);
    eventLogContract(make);
    deadlineContract(make);
    policyAndClosingContract(make);
    onlineUsersContract(make);
    retentionContract(make);
  });
};
