/** Test deliveries: each is attempted once, immediately, while the caller waits for the result. */
import { DEFAULT_RETRY_AFTER_MS, DomainError } from '../../core/errors.ts';
import { NO_ATTEMPTS_YET, type WebhookRecord } from '../../core/webhooks/webhook.ts';
import type { PresenceStore } from '../ports/presence-store.ts';
import type { Delivery, WebhookSender, WebhookIdFactory, WebhookStore } from '../ports/webhook-store.ts';

export interface TestDeliveriesOptions {
  readonly clock: Pick<PresenceStore, 'now'>;
  readonly store: WebhookStore;
  readonly secretFactory: WebhookIdFactory;
  readonly sender: WebhookSender;
}

/** A slow receiver can delay a test up to the request timeout, so their number is limited. */
const MAX_CONCURRENT_TESTS = 10;

export class TestDeliveries {
  readonly #options: TestDeliveriesOptions;
  /** One controller per test in progress, to abort it. */
  readonly #running = new Set<AbortController>();
  #isClosed = false;

  constructor(options: TestDeliveriesOptions) {
    this.#options = options;
  }

  /**
   * Sends a test delivery and stores it with its result.
   * @returns a DELIVERED or DEAD delivery.
   * @throws RATE_LIMITED while ten tests are in progress; BAD_USER_INPUT when the webhook was deleted meanwhile.
   */
  async sendTestDelivery(webhook: WebhookRecord): Promise<Delivery> {
    if (this.#running.size >= MAX_CONCURRENT_TESTS) {
      throw new DomainError(
        { code: 'RATE_LIMITED', retryAfterMs: DEFAULT_RETRY_AFTER_MS },
        `${MAX_CONCURRENT_TESTS} webhook tests are in progress, which is the maximum.`,
      );
    }
    const abortController = new AbortController();
    if (this.#isClosed) abortController.abort();
    this.#running.add(abortController);
    try {
      const delivery = this.#createTestDelivery(webhook);
      const { status, error } = await this.#options.sender.attemptDelivery(webhook, delivery, abortController.signal);
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
      this.#running.delete(abortController);
    }
  }

  /** Aborts the tests in progress and later ones; their deliveries become DEAD. May be called again. */
  close(): void {
    this.#isClosed = true;
    for (const abortController of this.#running) abortController.abort();
  }

  #createTestDelivery({ id: webhookId }: WebhookRecord): Delivery {
    const now = this.#options.clock.now();
    return {
      id: this.#options.secretFactory.createDeliveryId(),
      webhookId,
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
