/**
 * The in-memory lease table of a store that a single server uses. A lease is the right to deliver one shard of a
 * webhook.
 */
import type { ShardLease } from '../app/ports/webhook-store.ts';
import { addMs, type Millis, type WebhookId } from '../core/ids.ts';
import { SHARDS_PER_WEBHOOK, type Shard } from '../core/webhooks/webhook.ts';

interface HeldLease {
  readonly holder: string;
  readonly lease: ShardLease;
}

/** Everything that can be leased of a webhook. Null stands for the webhook's redeliveries. */
const LEASABLE_SHARDS: readonly (Shard | null)[] = [
  null,
  ...Array.from({ length: SHARDS_PER_WEBHOOK }, (_, shard) => shard),
];

export class LeaseTable {
  readonly #leasesByWebhook = new Map<WebhookId, Map<Shard | null, HeldLease>>();
  /**
   * The token of the latest lease. It is at least the time of issue, so it exceeds every token issued before a
   * restart.
   */
  #lastToken = 0;

  /**
   * Leases to `holder`, for `leaseMs` from `now`, each shard of these webhooks that no other holder has a lease of.
   * Renews the leases that `holder` has; a renewed lease keeps its token.
   * @returns all leases of these webhooks that `holder` has now.
   */
  acquireOrRenewLeases(
    holder: string,
    leaseMs: number,
    webhooks: readonly WebhookId[],
    now: Millis,
  ): readonly ShardLease[] {
    const expiresAt = addMs(now, leaseMs);
    const leases: ShardLease[] = [];
    for (const webhookId of webhooks) {
      const shards = this.#getOrCreateShards(webhookId);
      for (const shard of LEASABLE_SHARDS) {
        const held = shards.get(shard);
        const isHeld = held !== undefined && held.lease.expiresAt > now;
        if (isHeld && held.holder !== holder) continue;
        const token = isHeld ? held.lease.token : (this.#lastToken = Math.max(this.#lastToken + 1, now));
        const lease = { webhookId, shard, token, expiresAt };
        shards.set(shard, { holder, lease });
        leases.push(lease);
      }
    }
    return leases;
  }

  /** Returns whether this lease, or a renewal of it, is unexpired and has not been given to another holder. */
  isLeaseValid({ webhookId, shard, token }: ShardLease, now: Millis): boolean {
    const held = this.#leasesByWebhook.get(webhookId)?.get(shard);
    return held !== undefined && held.lease.token === token && held.lease.expiresAt > now;
  }

  /** Ends all leases of `holder`. */
  releaseLeasesOfHolder(holder: string): void {
    for (const shards of this.#leasesByWebhook.values()) {
      for (const [shard, held] of shards) if (held.holder === holder) shards.delete(shard);
    }
  }

  /** Ends all leases of this webhook, regardless of the holder. */
  removeLeasesOfWebhook(webhookId: WebhookId): void {
    this.#leasesByWebhook.delete(webhookId);
  }

  #getOrCreateShards(webhookId: WebhookId): Map<Shard | null, HeldLease> {
    const known = this.#leasesByWebhook.get(webhookId);
    if (known !== undefined) return known;
    const shards = new Map<Shard | null, HeldLease>();
    this.#leasesByWebhook.set(webhookId, shards);
    return shards;
  }
}
