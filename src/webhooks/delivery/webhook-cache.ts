/** The webhooks as last read, and whether they may have changed since. */
import type { WebhookStore } from '../../app/ports/webhook-store.ts';
import type { WebhookId } from '../../core/ids.ts';
import type { WebhookState } from '../../core/enums.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { KnownWebhooks } from './lease-session.ts';

export class Known implements KnownWebhooks {
  readonly #store: WebhookStore;
  #webhooks: ReadonlyMap<WebhookId, WebhookRecord> = new Map();
  #generation = 0;
  #readGeneration = -1;
  #waiting: (() => void)[] = [];
  #closed = false;

  constructor(store: WebhookStore) {
    this.#store = store;
  }

  get generation(): number {
    return this.#generation;
  }

  /** They are not what was read any more. */
  changed(): void {
    this.#generation++;
  }

  /** @throws what the store says. */
  async read(): Promise<void> {
    const generation = this.#generation;
    const webhooks = await this.#store.webhooks();
    this.#webhooks = new Map(webhooks.map((webhook) => [webhook.id, webhook]));
    this.#readGeneration = generation;
    if (generation === this.#generation) this.#answer();
  }

  /** Waits until they have been read, if they may have changed. */
  async current(id: WebhookId): Promise<WebhookRecord | undefined> {
    while (this.#readGeneration !== this.#generation && !this.#closed) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this.#webhooks.get(id);
  }

  lastKnown(id: WebhookId): WebhookRecord | undefined {
    return this.#webhooks.get(id);
  }

  counts(): Record<WebhookState, number> {
    const counts = { ACTIVE: 0, PAUSED: 0, GONE: 0 };
    for (const { state } of this.#webhooks.values()) counts[state]++;
    return counts;
  }

  /** Nobody waits any more. */
  close(): void {
    this.#closed = true;
    this.#answer();
  }

  #answer(): void {
    for (const answer of this.#waiting.splice(0)) answer();
  }
}
