/** What all sections of the contract of webhook stores share. */
import type { Delivery, ShardLease, WebhookStore } from '../../../src/app/ports/webhook-store.ts';
import { parseWebhookId, type DeliveryId, type WebhookId } from '../../../src/core/ids.ts';
import { SHARDS_PER_WEBHOOK, type Shard } from '../../../src/core/webhooks/webhook.ts';
import type { VirtualClock } from '../virtual-clock.ts';

export interface WebhookStoreUnderTest {
  readonly store: WebhookStore;
  /** Removes everything that is older than the retention by now. */
  readonly removeExpiredData: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export interface FilledStore extends WebhookStoreUnderTest {
  readonly clock: VirtualClock;
  /** A lease of this shard, acquired or renewed by `holder`. Default: of the webhook `w1`, by `one`. */
  readonly lease: (
    shard: Shard | null,
    options?: { readonly holder?: string; readonly id?: WebhookId },
  ) => Promise<ShardLease>;
  /** Stores deliveries unchanged, in this order. */
  readonly storeDeliveries: (...deliveries: readonly Delivery[]) => Promise<void>;
}

/** Creates a store with webhooks of these ids. The suite closes it. */
export type CreateFilledStore = (...ids: readonly string[]) => Promise<FilledStore>;

export const SECOND = 1_000;
export const DAY = 86_400_000;
export const LEASE_MS = 10 * SECOND;
export const [W1, W2] = [parseWebhookId('w1'), parseWebhookId('w2')];
export const SHARDS: readonly (Shard | null)[] = [
  null,
  ...Array.from({ length: SHARDS_PER_WEBHOOK }, (_, shard) => shard),
];
export const ANY = { after: null, limit: 100 } as const;
export const BAD_USER_INPUT = { details: { code: 'BAD_USER_INPUT' } };

export const ofShard = (leases: readonly ShardLease[], shard: Shard | null, id = W1): ShardLease => {
  const lease = leases.find((each) => each.webhookId === id && each.shard === shard);
  if (lease === undefined) throw new Error(`No lease of shard ${shard} of ${id}.`);
  return lease;
};

export const idsOf = (deliveries: readonly Delivery[]): readonly DeliveryId[] => deliveries.map(({ id }) => id);
