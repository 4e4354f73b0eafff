/** Who may deliver which shard of which webhook, for a store that only one server serves: in memory. */
import type { ShardLease } from '../app/ports/webhook-store.ts';
import { later, type Millis, type WebhookId } from '../core/ids.ts';
import { SHARDS_PER_WEBHOOK, type Shard } from '../core/webhooks/webhook.ts';

interface HeldLease {
  readonly holder: string;
  readonly lease: ShardLease;
}

/** What is leased of every webhook. Null: what was given to it to be redelivered. */
const LEASABLE_SHARDS: readonly (Shard | null)[] = [
  null,
  ...Array.from({ length: SHARDS_PER_WEBHOOK }, (_, shard) => shard),
];

export class LeaseTable {
  readonly #leasesByWebhook = new Map<WebhookId, Map<Shard | null, HeldLease>>();
  /** Of the latest lease. At least the moment it was given, so that it is above what was given before a restart. */
  #lastToken = 0;

  /**
   * Gives `holder`, for `leaseMs` from now, whatever of these webhooks nobody else holds, and renews what it holds.
   * @returns all that `holder` holds of these webhooks now.
   */
  acquireOrRenew(holder: string, leaseMs: number, webhooks: readonly WebhookId[], now: Millis): readonly ShardLease[] {
    const expiresAt = later(now, leaseMs);
    const leases: ShardLease[] = [];
    for (const webhookId of webhooks) {
      const shards = this.#shardsOf(webhookId);
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

  /** Is this lease in force, renewed or not? */
  isLeaseValid({ webhookId, shard, token }: ShardLease, now: Millis): boolean {
    const held = this.#leasesByWebhook.get(webhookId)?.get(shard);
    return held !== undefined && held.lease.token === token && held.lease.expiresAt > now;
  }

  /** Whatever `holder` holds is over. */
  releaseHeldBy(holder: string): void {
    for (const shards of this.#leasesByWebhook.values()) {
      for (const [shard, held] of shards) if (held.holder === holder) shards.delete(shard);
    }
  }

  /** Whatever anybody holds of this webhook is over. */
  removeLeasesOfWebhook(webhookId: WebhookId): void {
    this.#leasesByWebhook.delete(webhookId);
  }

  #shardsOf(webhookId: WebhookId): Map<Shard | null, HeldLease> {
    const known = this.#leasesByWebhook.get(webhookId);
    if (known !== undefined) return known;
    const shards = new Map<Shard | null, HeldLease>();
    this.#leasesByWebhook.set(webhookId, shards);
    return shards;
  }
}
