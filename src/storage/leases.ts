/** Who may deliver which shard of which webhook, for a store that only one server serves: in memory. */
import type { Lease } from '../app/ports/webhook-store.ts';
import { later, type Millis, type WebhookId } from '../core/ids.ts';
import { SHARDS_PER_WEBHOOK, type Shard } from '../core/webhooks/webhook.ts';

interface Held {
  readonly holder: string;
  readonly lease: Lease;
}

/** What is leased of every webhook. Null: what was given to it to be redelivered. */
const LEASED: readonly (Shard | null)[] = [null, ...Array.from({ length: SHARDS_PER_WEBHOOK }, (_, shard) => shard)];

export class Leases {
  readonly #held = new Map<WebhookId, Map<Shard | null, Held>>();
  /** Of the latest lease. At least the moment it was given, so that it is above what was given before a restart. */
  #token = 0;

  /**
   * Gives `holder`, for `leaseMs` from now, whatever of these webhooks nobody else holds, and renews what it holds.
   * @returns all that `holder` holds of these webhooks now.
   */
  lease(holder: string, leaseMs: number, webhooks: readonly WebhookId[], now: Millis): readonly Lease[] {
    const until = later(now, leaseMs);
    const leases: Lease[] = [];
    for (const webhookId of webhooks) {
      const shards = this.#shardsOf(webhookId);
      for (const shard of LEASED) {
        const held = shards.get(shard);
        const lives = held !== undefined && held.lease.until > now;
        if (lives && held.holder !== holder) continue;
        const token = lives ? held.lease.token : (this.#token = Math.max(this.#token + 1, now));
        const lease = { webhookId, shard, token, until };
        shards.set(shard, { holder, lease });
        leases.push(lease);
      }
    }
    return leases;
  }

  /** Is this lease in force, renewed or not? */
  holds({ webhookId, shard, token }: Lease, now: Millis): boolean {
    const held = this.#held.get(webhookId)?.get(shard);
    return held !== undefined && held.lease.token === token && held.lease.until > now;
  }

  /** Whatever `holder` holds is over. */
  release(holder: string): void {
    for (const shards of this.#held.values()) {
      for (const [shard, held] of shards) if (held.holder === holder) shards.delete(shard);
    }
  }

  /** Whatever anybody holds of this webhook is over. */
  lose(webhookId: WebhookId): void {
    this.#held.delete(webhookId);
  }

  #shardsOf(webhookId: WebhookId): Map<Shard | null, Held> {
    const known = this.#held.get(webhookId);
    if (known !== undefined) return known;
    const shards = new Map<Shard | null, Held>();
    this.#held.set(webhookId, shards);
    return shards;
  }
}
