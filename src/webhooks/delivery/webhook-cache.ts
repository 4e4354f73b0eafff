/** Caches all webhooks of the store. A change marks the cache as stale until it is reloaded. */
import type { WebhookStore } from '../../app/ports/webhook-store.ts';
import type { WebhookId } from '../../core/ids.ts';
import type { WebhookState } from '../../core/enums.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';

export class WebhookCache {
  readonly #store: WebhookStore;
  #webhooks: ReadonlyMap<WebhookId, WebhookRecord> = new Map();
  #generation = 0;
  #loadedGeneration = -1;
  #waiters: (() => void)[] = [];
  #isClosed = false;

  constructor(store: WebhookStore) {
    this.#store = store;
  }

  /** Increases with every change of any webhook, when this server learns of it. */
  get generation(): number {
    return this.#generation;
  }

  /** A webhook was created, changed or deleted. */
  markStale(): void {
    this.#generation++;
  }

  /** @throws the store's error. */
  async reloadWebhooks(): Promise<void> {
    const generation = this.#generation;
    const webhooks = await this.#store.listWebhooks();
    this.#webhooks = new Map(webhooks.map((webhook) => [webhook.id, webhook]));
    this.#loadedGeneration = generation;
    if (generation === this.#generation) this.#resolveWaiters();
  }

  /** Waits for a reload if the cache is stale. @returns undefined: there is no such webhook. */
  async getCurrentWebhook(id: WebhookId): Promise<WebhookRecord | undefined> {
    while (this.#loadedGeneration !== this.#generation && !this.#isClosed) {
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
    return this.#webhooks.get(id);
  }

  /** As last loaded, even if stale. */
  getCachedWebhook(id: WebhookId): WebhookRecord | undefined {
    return this.#webhooks.get(id);
  }

  countByState(): Record<WebhookState, number> {
    const counts = { ACTIVE: 0, PAUSED: 0, GONE: 0 };
    for (const { state } of this.#webhooks.values()) counts[state]++;
    return counts;
  }

  /** Resolves every pending `getCurrentWebhook`; later calls no longer wait. */
  releaseWaiters(): void {
    this.#isClosed = true;
    this.#resolveWaiters();
  }

  #resolveWaiters(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }
}
