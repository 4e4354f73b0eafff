/** Tests of webhooks: each is attempted once, at once, while its caller waits. */
import { DomainError } from '../../core/errors.ts';
import { NO_ATTEMPTS_YET, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import type { Delivery, WebhookSender, WebhookSecretFactory, WebhookStore } from '../ports/webhook-store.ts';

export interface TestDeliveriesOptions {
  readonly clock: Pick<PresenceStore, 'now'>;
  readonly store: WebhookStore;
  readonly secretFactory: WebhookSecretFactory;
  readonly sender: WebhookSender;
}

/** A test takes as long as its receiver likes, up to the timeout. */
const MAX_CONCURRENT_TESTS = 10;
const RETRY_AFTER_MS = 1_000;

export class TestDeliveries {
  readonly #options: TestDeliveriesOptions;
  /** Those under way, each with its end. */
  readonly #running = new Set<AbortController>();
  #isClosed = false;

  constructor(options: TestDeliveriesOptions) {
    this.#options = options;
  }

  /**
   * Keeps what became of it, whatever that is.
   * @returns DELIVERED or DEAD.
   * @throws RATE_LIMITED while ten are under way; BAD_USER_INPUT when the webhook is gone by the end of it.
   */
  async sendTestDelivery(webhook: WebhookRecord): Promise<Delivery> {
    if (this.#running.size >= MAX_CONCURRENT_TESTS) {
      throw new DomainError(
        { code: 'RATE_LIMITED', retryAfterMs: RETRY_AFTER_MS },
        `${MAX_CONCURRENT_TESTS} tests of webhooks are under way; at most so many may be.`,
      );
    }
    const cut = new AbortController();
    if (this.#isClosed) cut.abort();
    this.#running.add(cut);
    try {
      const delivery = this.#createTestDelivery(webhook);
      const { status, error } = await this.#options.sender.attemptDelivery(webhook, delivery, cut.signal);
      const attempted: Delivery = {
        ...delivery,
        status: error === null ? 'DELIVERED' : 'DEAD',
        attempts: 1,
        lastAttemptAt: delivery.createdAt,
        lastStatus: status,
        lastError: error,
        nextAttemptAt: null,
      };
      await this.#options.store.addDelivery(attempted);
      return attempted;
    } finally {
      this.#running.delete(cut);
    }
  }

  /** Nobody waits for them any longer: those under way are cut short, later ones too, and have failed. Again is no matter. */
  close(): void {
    this.#isClosed = true;
    for (const cut of this.#running) cut.abort();
  }

  #createTestDelivery({ id }: WebhookRecord): Delivery {
    const now = this.#options.clock.now();
    return {
      id: this.#options.secretFactory.createDeliveryId(),
      webhookId: id,
      shard: null,
      isTest: true,
      status: 'RETRYING',
      events: [],
      eventCount: 0,
      createdAt: now,
      ...NO_ATTEMPTS_YET,
      nextAttemptAt: now,
      giveUpAt: now,
    };
  }
}
